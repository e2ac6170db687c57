"""The output formats: one writer each, chosen from a table."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Protocol, TextIO

from percept_cli.errors import PerceptError
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary


class Writer(Protocol):
    """Takes a run's results one by one, then its end."""

    def write(self, result: Result) -> None:
        """Take one result."""

    def close(self, summary: Summary) -> None:
        """Write what comes after the last result."""


class Named(Protocol):
    """A path, or a URL."""

    @property
    def suffix(self) -> str: ...


FORMATS = ("table", "csv", "json", "jsonl", "parquet")
"""What `compare` writes; a check has formats of its own besides."""

SUFFIXES = {".csv": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".txt": "table"}
SUFFIXES |= {".xml": "junit", ".parquet": "parquet"}
"""The formats that files end like."""

FOR_PEOPLE = ("table", "check")

ANSWERING = ("csv", "jsonl")
"""Formats whose lines somebody may wait for."""

STREAMING = ("csv", "jsonl", "parquet")
"""Formats that write each result at once and keep none."""


def writer_for(
    form: str,
    stream: TextIO,
    settings: Callable[[], Settings],
    limit: int = 0,
    *,
    csv_safe: bool = False,
) -> Writer:
    """The writer of that format on that stream; `limit` is the most rows of a table, 0 for all."""
    module, name = {
        "table": ("table_writer", "TableWriter"),
        "csv": ("csv_writer", "CsvWriter"),
        "json": ("json_writers", "JsonWriter"),
        "jsonl": ("json_writers", "JsonLinesWriter"),
        "parquet": ("parquet_writer", "ParquetWriter"),
        "check": ("check_writer", "CheckWriter"),
        "junit": ("junit_writer", "JUnitWriter"),
    }[form]
    # Only what is needed is imported: a table takes longer to import than to write.
    make = getattr(import_module(f"percept_cli.outputs.{module}"), name)
    limited = (limit,) if form in FOR_PEOPLE else ()
    more = {"safe": csv_safe} if form == "csv" else {}
    writer: Writer = make(stream, settings, *limited, **more)
    return writer


def format_for(form: str | None, output: Named | None) -> str | None:
    """The format asked for, else that of the output's suffix, else None.

    Raises PerceptError for an unknown format, and for a suffix that tells none.
    """
    if form is not None:
        if form not in FORMATS:
            raise PerceptError(f"unknown format {form!r}: choose one of {', '.join(FORMATS)}")
        return form
    if output is None:
        return None
    if SUFFIXES.get(output.suffix) not in FORMATS:
        raise PerceptError(f"{output}: no format has this suffix: add --format, or end in .csv")
    return SUFFIXES[output.suffix]

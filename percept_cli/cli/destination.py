"""Where a command's results go, in which format and order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from io import TextIOWrapper
from pathlib import Path
from time import monotonic
from typing import TextIO

from percept_cli.errors import OutputError, PerceptError, PipeClosed, shown, unwritable
from percept_cli.inputs.kinds import readable
from percept_cli.inputs.stored import Remote, Upload
from percept_cli.outputs.formats import (
    ANSWERING,
    FOR_PEOPLE,
    STREAMING,
    SUFFIXES,
    Writer,
    writer_for,
)
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary
from percept_cli.writing import WholeFile

SECONDS_UNSEEN = 0.2
"""Most seconds, while results come, after which they stand in the file."""

UNMARKED = ("csv", "parquet")
"""Formats that do not say whether the run came to its end."""


class Destination:
    """Takes results in any order of their own, and writes them in the order asked for.

    A file takes its place when it is whole; until then the old one is still there. Raises
    PerceptError for choices that mean nothing, OutputError if results cannot be written.
    """

    partial: Path | None = None
    """Where the results of a run stand that was interrupted, if their format cannot say so."""

    def __init__(
        self,
        output: Path | Remote | None,
        form: str | None,
        sort: str | None,
        layers: Sequence[str],
        settings: Callable[[], Settings],
        *,
        limit: int,
        live: bool,
        csv_safe: bool = False,
    ) -> None:
        self._csv_safe = csv_safe
        self._output = output
        self._file: WholeFile | Upload | None = None
        self._limit = limit
        self._form = form or ("jsonl" if live else "table")
        self._sort = sort or ("total" if self._form == "table" else None)
        if self._sort not in (None, "path", "total", "peak", "jnd", *layers):
            raise PerceptError(
                f"cannot sort by {sort!r}: give path, total, peak, jnd or a chosen layer"
            )
        if self._form == "parquet" and output is None and sys.stdout.isatty():
            raise PerceptError("Parquet is not for a terminal: name a file with --output")
        if live and (self._form not in ANSWERING or self._sort):
            raise PerceptError("--pairs - answers each line at once: use jsonl or csv, unsorted")
        if self._output:
            # A manifest may name it: what its pairs are is known only when it has been read.
            # And what is no image is known only when all of Pillow's formats are loaded.
            if self._output.suffix.lower() not in SUFFIXES and readable(self._output.name):
                raise PerceptError(f"{shown(self._output)}: an image's name: give results another")
            if isinstance(self._output, Path):
                with self._failures():
                    self._output.parent.mkdir(parents=True, exist_ok=True)
        self._settings = settings
        self._kept: list[Result] = []
        self._flushed = 0.0

    @property
    def fills_terminal(self) -> bool:
        """Whether rows appear on a terminal while pairs are still compared."""
        return self._output is None and self._form in STREAMING and sys.stdout.isatty()

    @property
    def shows_summary(self) -> bool:
        """Whether the summary stands among the results, for people to read."""
        return self._form in FOR_PEOPLE

    def write(self, result: Result) -> None:
        """Take one result."""
        if self._sort:
            self._kept.append(result)
        else:
            with self._failures():
                self._writer.write(result)
                # Who reads a pipe may wait for the line; a file is looked at now and then.
                if self._output is None or monotonic() > self._flushed + SECONDS_UNSEEN:
                    self._stream.flush()
                    self._flushed = monotonic()

    def close(self, summary: Summary) -> None:
        """Write what has been kept, and the end."""
        with self._failures():
            if self._sort == "path":
                self._kept.sort(key=lambda result: result.name)
            for result in sorted(self._kept, key=self._rank):
                self._writer.write(result)
            self._writer.close(summary)
            self._stream.flush()
            if self._output and self._file:
                if summary.complete or self._form not in UNMARKED:
                    self._file.place()
                else:
                    self.partial = self._file.unfinished

    def drop(self) -> None:
        """Leave nothing behind of what was not closed."""
        if self._file:
            self._file.drop()

    @cached_property
    def _stream(self) -> TextIO:
        """Opened with the first result: a run that cannot begin leaves an old file as it is."""
        if self._output is not None:
            self._file = (
                Upload(self._output)
                if isinstance(self._output, Remote)
                else WholeFile(self._output, visible=self._form in STREAMING)
            )
            return TextIOWrapper(self._file.file, "utf-8", "backslashreplace", newline="")
        if self._form not in FOR_PEOPLE and isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace", newline="\n")
        return sys.stdout

    @cached_property
    def _writer(self) -> Writer:
        return writer_for(
            self._form, self._stream, self._settings, self._limit, csv_safe=self._csv_safe
        )

    def _rank(self, result: Result) -> float:
        """Small for what is shown first: the largest scores, and pairs without one at the end."""
        scores = {"total": result.total, "peak": result.peak, **result.layers}
        scores["jnd"] = result.jnd.value if result.jnd else None
        score = scores.get(self._sort or "")
        return float("inf") if score is None else -score

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise PipeClosed from error
        except OSError as error:
            self.drop()
            name = shown(self._output) if self._output else "standard output"
            raise OutputError(f"cannot write results to {name}: {unwritable(error)}") from error

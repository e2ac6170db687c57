"""Where a command's results go, in which format and order."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from percept_cli.errors import OutputError, PerceptError, PipeClosed, shown
from percept_cli.outputs.formats import STREAMING, format_for, writer_for
from percept_cli.results import Result, Settings, Summary


class Destination:
    """Takes results in any order of their own, and writes them in the order asked for.

    Raises PerceptError for choices that mean nothing, OutputError if results cannot be written.
    """

    def __init__(
        self,
        output: Path | None,
        form: str | None,
        sort: str | None,
        layers: Sequence[str],
        *,
        limit: int,
        live: bool,
    ) -> None:
        self._output = None if output == Path("-") else output
        self._limit = limit
        self._form = format_for(form, self._output) or ("jsonl" if live else "table")
        self._sort = sort or ("total" if self._form == "table" else "path")
        if self._sort not in ("path", "total", "peak", *layers):
            raise PerceptError(f"cannot sort by {sort!r}: give path, total, peak or a chosen layer")
        self._kept: list[Result] = []
        if live and (self._form not in STREAMING or self._sort != "path"):
            raise PerceptError("--pairs - answers each line at once: use jsonl or csv, unsorted")

    @property
    def fills_terminal(self) -> bool:
        """Whether rows appear on a terminal while pairs are still compared."""
        return self._output is None and self._form in STREAMING and sys.stdout.isatty()

    @property
    def shows_summary(self) -> bool:
        """Whether the summary stands among the results, for people to read."""
        return self._form == "table"

    def open(self, settings: Callable[[], Settings]) -> None:
        """Begin; settings are asked for as late as the format allows."""
        with self._failures():
            stream = sys.stdout if self._output is None else _created(self._output)
            self._stream = stream
            self._writer = writer_for(self._form, stream, settings, self._limit)

    def write(self, result: Result) -> None:
        """Take one result."""
        if self._sort == "path":
            with self._failures():
                self._writer.write(result)
        else:
            self._kept.append(result)

    def close(self, summary: Summary) -> None:
        """Write what has been kept, and the end."""
        with self._failures():
            for result in sorted(self._kept, key=self._rank):
                self._writer.write(result)
            self._writer.close(summary)
            self._stream.flush()
            if self._output is not None:
                self._stream.close()

    def _rank(self, result: Result) -> float:
        """Small for what is shown first: the largest scores, and pairs without one at the end."""
        scores = {"total": result.total, "peak": result.peak, **result.layers}
        score = scores.get(self._sort)
        return float("inf") if score is None else -score

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except BrokenPipeError as error:
            raise PipeClosed from error
        except OSError as error:
            name = shown(self._output) if self._output else "standard output"
            raise OutputError(f"cannot write results to {name}: {error.strerror}") from error


def _created(path: Path) -> TextIO:
    return path.open("w", encoding="utf-8", newline="", errors="backslashreplace")

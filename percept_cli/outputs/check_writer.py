"""A check's results for people: what fails and where, then the verdict."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cached_property
from typing import TYPE_CHECKING, TextIO

from percept_cli.errors import one_line
from percept_cli.outputs.words import (
    figure,
    jnd_words,
    parts_of,
    places_of,
    settings_line,
    summary_line,
    variant_of,
)
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary

if TYPE_CHECKING:
    from percept_cli.outputs.console import Console

SHOWN_REGIONS = 3
STYLES = {"failed": "bold red", "missing": "bold red", "new": "bold yellow", "error": "bold red"}
VERDICTS = {"passed": "bold green", "failed": "bold red", "incomplete": "bold red"}

TERMINALS = ("FORCE_COLOR", "TTY_COMPATIBLE")
"""Variables that say to Rich that there is a terminal."""

Words = str | tuple[str, str]
"""Text, or text and its style."""


class CheckWriter:
    """Shows the first `limit` of the results that do not pass, in full; all for `limit=0`."""

    def __init__(self, stream: TextIO, settings: Callable[[], Settings], limit: int) -> None:
        self._stream = stream
        self._settings = settings
        self._limit = limit
        self._shown = self._left_out = 0

    def write(self, result: Result) -> None:
        """Show the result, unless it passes."""
        if not result.failures and result.status != "error":
            if variant_of(result):
                line = f"{one_line(result.name)}  passed as {one_line(result.reference or '')}"
                self._print((line, "dim"))
            return
        if self._limit and self._shown == self._limit:
            self._left_out += 1
            return
        self._shown += 1
        status = result.status.upper(), STYLES[result.status]
        self._print(status, "  ", *_head(result))
        for line in _details(result):
            self._print(f"  {line}")

    def close(self, summary: Summary) -> None:
        """Show the summary, the verdict and the settings."""
        if self._left_out:
            self._print((f"… and {self._left_out} more: --limit 0 shows all", "dim"))
        if self._shown:
            self._print()
        verdict = summary.verdict or "incomplete"
        self._print((verdict, VERDICTS[verdict]), "  ", summary_line(summary))
        self._print((settings_line(self._settings()), "dim"))
        self._stream.flush()

    def _print(self, *line: Words) -> None:
        if not (self._stream.isatty() or any(map(os.environ.get, TERMINALS))):
            # Importing Rich takes longer than a small check.
            self._stream.write("".join(x if isinstance(x, str) else x[0] for x in line) + "\n")
            return
        from rich.control import Control
        from rich.segment import ControlType
        from rich.text import Text

        with self._console:  # All of it at once: others draw there as well.
            if self._stream.isatty():  # Where a bar may be.
                empty = ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2)
                self._console.control(Control(*empty))
            self._console.print(Text.assemble(*line), soft_wrap=True)

    @cached_property
    def _console(self) -> Console:
        from percept_cli.outputs.console import Console

        return Console(file=self._stream, highlight=False)


def _head(result: Result) -> Iterable[str]:
    yield one_line(result.name)
    if result.total is None:
        said = result.error or "; ".join(result.failures)
        yield f"  {one_line(said.removeprefix(f'{result.name}: '))}"


def _details(result: Result) -> Iterable[str]:
    if result.total is None:
        return
    scores = ", ".join(
        f"{what} {figure(value)}"
        for what, value in (("total", result.total), ("peak", result.peak), ("floor", result.floor))
    )
    yield f"{one_line('; '.join(result.failures))}  ({scores})"
    if result.jnd:
        yield f"jnd  {one_line(jnd_words(result.jnd))}"
    if result.peak_parts:
        yield f"peak of  {parts_of(result)}"
    layers = sorted(result.layers.items(), key=lambda item: -item[1])
    yield "layers  " + ", ".join(f"{name} {figure(value)}" for name, value in layers)
    if result.also:
        yield "also  " + ", ".join(f"{name} {figure(value)}" for name, value in result.also.items())
    yield from places_of(result, SHOWN_REGIONS)
    yield f"baseline {one_line(result.reference or '')}"
    if result.heatmap_file:
        yield f"heat map {one_line(result.heatmap_file)}"
    for key, value in result.overrides.items():
        yield f"own setting {one_line(f'{key} = {value}')}"
    for note in (note for note in result.notes if note not in result.failures):
        yield f"note {one_line(note)}"

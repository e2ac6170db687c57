"""Results as a table for people: the worst layer of each pair is marked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TextIO

from rich.bar import Bar
from rich.console import Group, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from percept_cli.errors import one_line
from percept_cli.outputs.console import Console, plain_table
from percept_cli.outputs.words import (
    figure,
    jnd_words,
    left_out_words,
    notes_of,
    parts_of,
    places_of,
    settings_line,
    spread_lines,
    summary_line,
)
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary

WORST = "bold red"
SHOWN_REGIONS = 5


class TableWriter:
    """Shows the first `limit` results at the end, all for `limit=0`; one alone is shown in full."""

    def __init__(self, stream: TextIO, settings: Callable[[], Settings], limit: int) -> None:
        self._console = Console(file=stream, highlight=False)
        self._settings = settings
        self._limit = limit
        self._results: list[Result] = []

    def write(self, result: Result) -> None:
        """Keep the result."""
        self._results.append(result)

    def close(self, summary: Summary) -> None:
        """Print the table, the summary and the settings."""
        settings = self._settings()
        shown = self._results[: self._limit or None]
        if len(self._results) == 1:
            self._print(_block(self._results[0], settings))
            if summary.left_out:
                self._print(Text(left_out_words(summary.left_out)))
        elif shown:
            self._print(self._table(shown, settings))
            if left := len(self._results) - len(shown):
                self._print(Text(f"… and {left} more: --limit 0 shows all", style="dim"))
            for line in (summary_line(summary), *spread_lines(summary)):
                self._print(Text(line))
        self._print(Text(settings_line(settings), style="dim"))
        self._console.file.flush()

    def _table(self, shown: list[Result], settings: Settings) -> Table:
        """All columns; where the terminal is too narrow for them, only the worst layer of each."""
        table = _table(shown, settings, settings.layers)
        needed = Measurement.get(self._console, self._console.options.update(width=999), table)
        if not self._console.is_terminal:
            self._console.width = max(self._console.width, needed.maximum)
        return table if needed.minimum <= self._console.width else _table(shown, settings, ())

    def _print(self, renderable: RenderableType) -> None:
        self._console.print(renderable, soft_wrap=isinstance(renderable, Text))


def _table(results: list[Result], settings: Settings, layers: tuple[str, ...]) -> Table:
    folder = _common_folder(result.name for result in results)
    if not any(result.total or result.bands or result.jnd for result in results):
        return _list(results, folder)
    details = ("at", *layers, *settings.also, "size") if layers else ("worst layer", *settings.also)
    jnd = ("jnd",) if any(result.jnd for result in results) else ()
    numbers = ("total", "peak", *jnd, *details)
    has_notes = any(notes_of(result) or result.error for result in results)
    pair = f"pair in {folder}" if folder else "pair"
    table = plain_table(pair, *numbers, *(("notes",) if has_notes else ()), right=numbers)
    for result in results:
        cells: list[str | Text] = [Text(one_line(_below(folder, result.name)))]
        if result.total is None:
            cells += [Text(result.status, style="bold yellow"), *[""] * (len(numbers) - 1)]
        else:
            cells += [figure(result.total), figure(result.peak)]
            words = f"{result.jnd.value:.2f} {result.jnd.words}" if result.jnd else ""
            cells += [words] * len(jnd)
            size = f"{result.width}x{result.height}"
            also = [figure(result.also.get(name)) for name in settings.also]
            if layers:
                cells += [_place(result), *_layer_cells(result), *also, size]
            else:
                cells += [_worst(result), *also]
        if has_notes:
            cells.append(Text(one_line(result.error or "; ".join(notes_of(result))), style="dim"))
        table.add_row(*cells)
    if layers:
        table.add_section()
        weights = [f"{settings.layer_weights[name]:g}" for name in layers]
        table.add_row("weight", "", "", *[""] * len(jnd), "", *weights, style="dim")
        if settings.scale is not None:
            scales = [_scale(settings, name) for name in layers]
            table.add_row("scale", "", "", *[""] * len(jnd), "", *scales, style="dim")
    return table


def _scale(settings: Settings, layer: str) -> str:
    scale = (settings.scale or {}).get(layer)
    return "" if scale is None else f"{scale:g}"


def _list(results: list[Result], folder: str) -> Table:
    """Pairs of which none differs: their numbers would all be 0."""
    table = plain_table(f"pair in {folder}" if folder else "pair", "status", "notes")
    for result in results:
        name = one_line(_below(folder, result.name))
        notes = one_line(result.error or "; ".join(notes_of(result)))
        table.add_row(Text(name), result.status, Text(notes, style="dim"))
    return table


def _worst(result: Result) -> Text:
    name = max(result.layers, key=lambda layer: result.layers[layer])
    return Text(f"{name} {figure(result.layers[name])}", style=WORST if result.total else "")


def _block(result: Result, settings: Settings) -> Group:
    """One pair in full, with a bar per layer."""
    head = Table.grid(padding=(0, 2))
    head.add_row("reference", Text(one_line(result.reference or "none"), overflow="fold"))
    head.add_row("candidate", Text(one_line(result.candidate or "none"), overflow="fold"))
    if result.width:
        head.add_row("size", f"{result.width}x{result.height}")
    for note in notes_of(result):
        head.add_row("note", Text(one_line(note), style="dim"))
    if result.total is None:
        head.add_row("status", Text(one_line(result.error or result.status), style="bold yellow"))
        return Group(head)
    table = Table(box=None, header_style="dim", pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("layer")
    for name in ("distance", "weight", "scale"):
        table.add_column(name, justify="right")
    table.add_column("")
    longest = max(result.layers.values()) or 1.0
    for (name, distance), cell in zip(result.layers.items(), _layer_cells(result), strict=True):
        weight = f"{settings.layer_weights[name]:g}"
        bar = Bar(longest, 0, distance, width=24, color="cyan")
        table.add_row(name, cell, weight, _scale(settings, name), bar)
    table.add_section()
    identical = "identical" if result.status == "identical" else ""
    total = Text(figure(result.total), style="bold")
    table.add_row(Text("total", style="bold"), total, "", "", identical)
    place = _place(result)
    table.add_row("peak", figure(result.peak), "", "", f"at {place}" if place else "")
    if result.peak_parts:
        table.add_row("  of", "", "", "", parts_of(result))
    if result.jnd:
        words = jnd_words(result.jnd).partition(" ")
        table.add_row("jnd", words[0], "", "", words[2])
    for name, value in result.also.items():
        table.add_row(name, figure(value))
    if settings.floor:
        table.add_row("floor", figure(result.floor), "", "", "subtracted from the map")
    regions = [Text(place) for place in places_of(result, SHOWN_REGIONS)]
    return Group(head, "", table, *regions, "")


def _layer_cells(result: Result) -> list[Text]:
    worst = max(result.layers.values(), default=0.0)
    cells = []
    for distance in result.layers.values():
        is_worst = distance == worst > 0
        cells.append(Text(f"{'*' * is_worst}{figure(distance)}", style=WORST if is_worst else ""))
    return cells


def _place(result: Result) -> str:
    return "{},{}".format(*result.peak_at) if result.peak_at else ""


def _below(folder: str, name: str) -> str:
    """The name as it is below the folder, if there is one."""
    return name if not folder and "://" in name else os.path.relpath(name, folder or ".")


def _common_folder(names: Iterable[str]) -> str:
    folders = [os.path.dirname(name) for name in names]
    try:
        common = os.path.commonpath(folders)
        if all("://" in folder for folder in folders):  # Two slashes are taken for one.
            return common.replace(":/", "://", 1) if ":/" in common else ""
        return common
    except ValueError:  # Absolute and relative paths, or several drives, have nothing in common.
        return ""

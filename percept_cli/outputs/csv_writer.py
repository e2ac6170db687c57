"""Results as CSV: a row per pair, each with the settings that made its numbers."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterable
from typing import Any, TextIO

from percept_cli.results import VERSION, Band, Elsewhere, Result, Settings, Thresholds
from percept_cli.summary import Summary

FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""How cells begin that a spreadsheet computes."""


JND = (("", "value"), ("_low", "low"), ("_high", "high"), ("_words", "words"), ("_scale", "scale"))
"""Ends of columns, and what they hold."""


class CsvWriter:
    """Writes each row at once, below a header; if `safe`, no cell is a formula to a spreadsheet."""

    def __init__(
        self, stream: TextIO, settings: Callable[[], Settings], *, safe: bool = False
    ) -> None:
        self._safe = safe
        self._stream = stream
        self._settings = settings
        self._known: Settings | None = None
        self._line = io.StringIO()
        # Quoted is what contains a character of the end of a line.
        self._rows = csv.writer(self._line, lineterminator="\r\n")
        self._names: tuple[str, ...] = ()
        self._extra: tuple[str, ...] = ()

    def _begin(self, extra: Iterable[str]) -> None:
        """Write the header, with a column for all that is said of the first pair besides."""
        columns, self._extra = columns_of(self._settings(), extra)
        self._names = (*columns, *self._extra)
        self._put({name: name for name in self._names})

    def write(self, result: Result) -> None:
        """Write the result's row."""
        if not self._names:
            self._begin(result.extra)
        if self._known is None or (result.total and self._known.device is None):
            self._known = self._settings()  # They change when a pair first needs the network.
        cells = row(result, self._known)
        own = {name: _plain(result.extra.get(name)) for name in self._extra}
        rest = {name: value for name, value in result.extra.items() if name not in own}
        self._put(cells | own | {"extra": json.dumps(rest) if rest else None})

    def _put(self, cells: dict[str, Any]) -> None:
        cells = _without_formulas(cells) if self._safe else cells
        self._rows.writerow([cells[name] for name in self._names])
        self._stream.write(self._line.getvalue().removesuffix("\r\n") + "\n")
        self._line.seek(0)
        self._line.truncate()

    def close(self, summary: Summary) -> None:  # noqa: ARG002 -- the rows have all of it
        """Write the header, if there was no row; readers can make the summary from the rows."""
        if not self._names:
            self._begin(())


def _without_formulas(cells: dict[str, Any]) -> dict[str, Any]:
    """An apostrophe before what a spreadsheet takes for a formula (OWASP, CSV injection)."""
    return {
        name: f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULAS) else cell
        for name, cell in cells.items()
    }


def _plain(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, list | dict) else value


def columns_of(settings: Settings, extra: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The columns that all runs with such settings have, and those of what else is known."""
    columns = tuple(row(Result(None, None, "new"), settings))
    return columns, tuple(name for name in extra if name not in columns)


def _elsewhere(larger: tuple[str, Elsewhere]) -> str:
    name, figure = larger
    frame = f" frame {figure.frame}" if figure.frame else ""
    return f"{name}={figure.value!r}{frame}" + (
        f" on {figure.background}" if figure.background else ""
    )


def _band(band: Band) -> str:
    spans = (f"{first}-{end}" for first, end in (band.reference, band.candidate))
    return f"{band.kind} {band.axis} {' '.join(spans)}"


def row(result: Result, settings: Settings) -> dict[str, Any]:
    """Column → value; what only the network knows is empty for a pair that did not need it."""
    x, y = result.peak_at or (None, None)
    used = bool(result.total)
    thresholds = result.thresholds or Thresholds()
    scale = (settings.scale if used else None) or {}
    return {
        "reference": result.reference,
        "candidate": result.candidate,
        "status": result.status,
        "total": result.total,
        "peak": result.peak,
        "peak_x": x,
        "peak_y": y,
        "peak_parts": "; ".join(f"{name}={v!r}" for name, v in result.peak_parts.items()),
        "floor": result.floor,
        **{f"jnd{end}": getattr(result.jnd, name, None) for end, name in JND},
        **{name: result.layers.get(name) for name in settings.layers},
        **{name: result.also.get(name) for name in settings.also},
        "regions": "; ".join(
            f"{r.x},{r.y},{r.width},{r.height}={r.peak!r}" for r in result.regions
        ),
        "bands": "; ".join(map(_band, result.bands)),
        "width": result.width,
        "height": result.height,
        "shown_on": result.background,
        "frame": result.frame,
        "frames": "; ".join(
            f"{f.number}={f.total if f.peak is None else f.peak!r}"
            + (f" jnd={f.jnd.value!r}" if f.jnd else "")
            for f in result.frames
        ),
        "elsewhere": "; ".join(map(_elsewhere, result.elsewhere.items())),
        "notes": "; ".join(result.notes),
        "error": result.error,
        "peak_threshold": thresholds.peak,
        "threshold": thresholds.total,
        "jnd_threshold": thresholds.jnd,
        "layer_thresholds": "; ".join(f"{k}={v!r}" for k, v in thresholds.layers.items()),
        "failures": "; ".join(result.failures),
        "overrides": json.dumps(dict(result.overrides)) if result.overrides else None,
        "heatmap": result.heatmap_file,
        "overlay": result.overlay,
        "reference_sha256": result.reference_sha256,
        "candidate_sha256": result.candidate_sha256,
        "extra": json.dumps(dict(result.extra)) if result.extra else None,
        "version": VERSION,
        "preset": settings.preset,
        "weights": settings.weights,
        "weights_sha256": settings.weights_sha256 if used else None,
        "distance": settings.distance,
        "blur": settings.blur,
        "tolerance": settings.tolerance,
        "most_floor": settings.floor,
        "area": settings.area,
        "colour": settings.colour,
        "shrink": settings.shrink,
        **{f"{name}_weight": settings.layer_weights[name] for name in settings.layers},
        **{f"{name}_scale": scale.get(name) for name in settings.layers},
        "resize": settings.resize,
        "align": settings.align,
        "size_tolerance": settings.size_tolerance,
        "background": settings.background,
        "only_frame": settings.frame,
        "max_pixels": settings.max_pixels,
        "max_bytes": settings.max_bytes,
        "precision": settings.precision,
        "device": settings.device if used else None,
        "ignore": "; ".join(settings.ignore),
        "also": ",".join(settings.also),
        "percept_version": settings.percept_version,
        "scoring_version": settings.scoring_version,
        "torch_version": settings.torch_version,
        "references": settings.references,
        "candidates": settings.candidates,
        "configuration": settings.configuration,
        "shard": settings.shard,
    }

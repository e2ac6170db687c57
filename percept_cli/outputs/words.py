"""Results in words: the lines and figures that people read in more than one place."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from subprocess import list2cmdline

from percept_cli.canvas import bands_in_words
from percept_cli.errors import one_line
from percept_cli.results import STATUSES, Jnd, Result, Settings
from percept_cli.summary import Summary

FEWEST_SPREAD = 10
"""Pairs with numbers from which it is told how they spread."""

BARS = " ▁▂▃▄▅▆▇█"

COMMANDING = frozenset("&|<>^%!;$()`'")
"""What a shell of Windows may take for more than a name, in quotes or not."""

MOST_NAMED = 3
"""Files named in the words about those that were left out."""


def figure(value: float | None) -> str:
    """A distance with four decimals, or two digits where it is too small for that."""
    if value is None:
        return "-"
    return f"{value:.4f}" if value >= 0.001 or value == 0 else f"{value:.1e}"


def places_of(result: Result, most: int) -> Iterator[str]:
    """Where the regions are, and how large their peaks; those beyond the most are counted."""
    for region in result.regions[:most]:
        place = f"{region.x},{region.y} {region.width}x{region.height}"
        yield f"at {place}  peak {figure(region.peak)}"
    if len(result.regions) > most:
        more = len(result.regions) - most
        yield f"and at {more} more place{'s' * (more > 1)}"


def variant_of(result: Result) -> str | None:
    """The variant of a baseline that a result is of; None for the baseline itself."""
    if not (result.reference and result.candidate):
        return None
    stem, variant = PurePath(result.candidate).stem, PurePath(result.reference).stem
    return variant if variant.startswith(f"{stem}~") else None


def notes_of(result: Result) -> tuple[str, ...]:
    """What was done to the images, and what has no partner."""
    return (*result.notes, *bands_in_words(result.bands))


def parts_of(result: Result) -> str:
    """What each layer, and the colour, has in the cell of the peak, the largest first."""
    parts = sorted(result.peak_parts.items(), key=lambda item: -item[1])
    return one_line(", ".join(f"{name} {figure(value)}" for name, value in parts))


def jnd_words(jnd: Jnd) -> str:
    """How visible a difference is, and whose eyes say so."""
    return f"{jnd.value:.2f} ({jnd.low:.2f} to {jnd.high:.2f}): {jnd.words}, on {jnd.scale}"


def command_line(command: str, *paths: str, options: Sequence[str] = ()) -> str | None:
    """A command of percept for a shell; None where a name cannot be shown in one."""
    words = ["percept", command, *options, "--", *paths]
    if os.name == "nt":
        if any(letter in COMMANDING for word in words for letter in word):
            return None
        line = list2cmdline(words)
    else:
        line = shlex.join(words)
    return line if one_line(line) == line else None


def summary_line(summary: Summary) -> str:
    """How many pairs, of which status, how different."""
    counts = ", ".join(f"{summary.counts[s]} {s}" for s in STATUSES if summary.counts[s])
    pairs = "1 pair" if summary.pairs == 1 else f"{summary.pairs} pairs"
    line = f"{pairs}: {counts}" if counts else pairs
    if summary.mean_total is not None:
        line += f"; total: mean {figure(summary.mean_total)}, max {figure(summary.max_total)}"
        line += f"; peak: max {figure(summary.max_peak)}"
    if summary.max_jnd is not None:
        line += f"; jnd: max {summary.max_jnd:.2f}"
    line = line if summary.complete else f"{line} (interrupted)"
    return f"{line}; {left_out_words(summary.left_out)}" if summary.left_out else line


def spread_lines(summary: Summary) -> Iterator[str]:
    """How totals spread, where there are enough of them to ask; and that of each group."""
    percentiles, histogram = summary.percentiles, summary.histogram
    if summary.scored >= FEWEST_SPREAD and percentiles and histogram:
        told = ", ".join(
            f"{'median' if percent == '50' else percent + ' %'} {figure(value)}"
            for percent, value in percentiles.items()
        )
        yield f"total: {told}"
        counts = histogram[1]
        most = max(counts)
        bars = "".join(BARS[-(-count * (len(BARS) - 1) // most)] for count in counts)
        yield f"total: 0 {bars} {figure(summary.max_total)}"
    groups = summary.groups
    width = max((len(one_line(name)) for name in groups), default=0)
    for name, group in groups.items():
        totals = ", ".join(
            f"{what} {figure(value)}"
            for what, value in (
                ("mean", group.mean_total),
                ("median", (group.percentiles or {}).get("50")),
                ("max", group.max_total),
            )
        )
        pairs = "1 pair" if group.pairs == 1 else f"{group.pairs} pairs"
        yield f"{summary.by} {one_line(name):<{width}}  {pairs}; total: {totals}"


def worst_line(summary: Summary) -> str | None:
    """The pairs that differ most, where no table shows them."""
    named = ", ".join(f"{one_line(name)} {figure(total)}" for name, total in summary.worst)
    return f"worst: {named}" if summary.pairs > 1 and named else None


def summary_notes(summary: Summary) -> Iterator[str]:
    """All that is told of a run whose results no table shows."""
    yield summary_line(summary)
    yield from spread_lines(summary)
    worst = worst_line(summary)
    if worst:
        yield worst


def left_out_words(files: Sequence[str]) -> str:
    """How many files are no images, and the first of their names."""
    count = (
        "1 file is no image and was"
        if len(files) == 1
        else f"{len(files)} files are no images and were"
    )
    named = ", ".join(map(one_line, files[:MOST_NAMED]))
    return f"{count} left out: {named}{', …' if len(files) > MOST_NAMED else ''}"


def settings_line(settings: Settings) -> str:
    """What made the numbers."""
    sha256 = f" {settings.weights_sha256[:8]}" if settings.weights_sha256 else ""
    return one_line(", ".join(_made_with(settings, sha256)))


def _made_with(settings: Settings, sha256: str) -> tuple[str, ...]:
    return (
        f"VGG19 {settings.weights}{sha256}",
        f"preset {settings.preset}",
        settings.distance,
        *([f"blur {settings.blur:g}"] if settings.blur else ()),
        *([f"tolerance {settings.tolerance}"] if settings.tolerance else ()),
        *([f"floor {settings.floor:g}"] if settings.floor else ()),
        *([f"area {settings.area:g}"] if settings.area else ()),
        *([f"colour {settings.colour:g}"] if settings.colour else ()),
        *([f"shrink {settings.shrink}"] if settings.shrink else ()),
        *([f"ignored {' and '.join(settings.ignore)}"] if settings.ignore else ()),
        *([f"options from {settings.configuration}"] if settings.configuration else ()),
        f"resize {settings.resize}",
        *([f"align {settings.align}"] if settings.align != "none" else ()),
        *([f"size tolerance {settings.size_tolerance}"] if settings.size_tolerance else ()),
        f"background {settings.background}",
        *([f"frame {settings.frame}"] if settings.frame else ()),
        f"max-pixels {settings.max_pixels}",
        f"max-bytes {settings.max_bytes}",
        f"{settings.precision} on {settings.device or 'no device: no network was needed'}",
        f"percept {settings.percept_version} (scoring {settings.scoring_version})",
        f"torch {settings.torch_version}",
    )

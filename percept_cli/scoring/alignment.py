"""Which rows of two images correspond, where some were inserted, removed or moved.

Rows that are equal, and that each image has once, anchor the alignment in the longest order that
both have (the patience diff of Bram Cohen); what lies between is matched by likeness.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from percept_cli.canvas import Canvas, Span
from percept_cli.results import Axis, Band
from percept_cli.scoring.likeness import Rows, alike, features

CHANCE = 4
"""How many times larger both gaps around equal rows are where these may be so by chance."""
MOST_SLID = 100
"""Most rows by which a gap between equal rows is tried elsewhere."""
LEAST_MOVED = 8
"""Fewest rows that count as moved, not as removed here and inserted there."""


@dataclass(frozen=True)
class Alignment:
    """How two images correspond, of which one may have what the other has not."""

    bands: tuple[Band, ...]
    canvas: Canvas


def aligned(reference: NDArray[np.uint8], candidate: NDArray[np.uint8], axis: Axis) -> Alignment:
    """Find what corresponds in two H×W×3 images along rows or columns.

    Across that axis they correspond from the top left on; what only one has beyond is a band too.
    """
    across: Axis = "columns" if axis == "rows" else "rows"
    turned = (x if axis == "rows" else x.swapaxes(0, 1) for x in (reference, candidate))
    first, second = (np.ascontiguousarray(x) for x in turned)
    shared = min(first.shape[1], second.shape[1])
    along = _bands(first[:, :shared], second[:, :shared], axis)
    beyond = []
    for kind, longer in (("removed", first), ("inserted", second)):
        if longer.shape[1] > shared:
            rest, none = (shared, longer.shape[1]), (shared, shared)
            spans = (rest, none) if kind == "removed" else (none, rest)
            beyond.append(Band(kind, across, *spans))  # type: ignore[arg-type]
    sizes = (reference.shape[1], reference.shape[0]), (candidate.shape[1], candidate.shape[0])
    bands = (*along, *beyond)
    return Alignment(bands, Canvas.of(bands, *sizes))


def _bands(before: NDArray[np.uint8], after: NDArray[np.uint8], axis: Axis) -> Iterator[Band]:
    match, moved = _matched(before, after)
    here = np.setdiff1d(np.arange(len(after)), match)
    fixed = np.append(-1, np.flatnonzero(match >= 0))
    partners = np.append(-1, match[fixed[1:]])
    for start, end in _spans(np.flatnonzero((match < 0) & (moved < 0))):
        place = int(partners[np.searchsorted(fixed, start) - 1]) + 1
        yield Band("removed", axis, (start, end), (place, place))
    for start, end in _spans(np.setdiff1d(here, moved)):
        place = int(fixed[np.searchsorted(partners, start) - 1]) + 1
        yield Band("inserted", axis, (place, place), (start, end))
    for start, end in _spans(np.flatnonzero(moved >= 0), moved):
        first = int(moved[start])
        yield Band("moved", axis, (start, end), (first, first + end - start))


def _spans(rows: Rows, others: Rows | None = None) -> Iterator[Span]:
    """First and end of each run of rows; with others, where those of the other image run on too."""
    apart = np.diff(rows) != 1
    if others is not None:
        apart |= np.diff(others[rows]) != 1
    edges = np.flatnonzero(apart) + 1
    for run in np.split(rows, edges):
        if len(run):
            yield int(run[0]), int(run[-1]) + 1


def _matched(before: NDArray[np.uint8], after: NDArray[np.uint8]) -> tuple[Rows, Rows]:
    """For each row of the first image that of the second, or -1: in their order, and moved."""
    first, second = (np.array([hash(row.tobytes()) for row in image]) for image in (before, after))
    match = np.full(len(first), -1)
    _match_equal(first, second, match)
    _drop_chance(match, len(second))
    moved = _moved(first, second, match)
    for rows, others in _gaps(match, moved, len(second)):
        top, up = rows[0], others[0]
        first_part, second_part = before[top : rows[-1] + 1], after[up : others[-1] + 1]
        here, there = alike(features(first_part)[rows - top], features(second_part)[others - up])
        match[rows[here]] = others[there]
    return match, moved


def _match_equal(first: Rows, second: Rows, match: Rows) -> None:
    """Note equal rows, given as numbers, in `match`."""
    todo = [(0, len(first), 0, len(second))]
    while todo:
        top, bottom, up, down = todo.pop()
        while top < bottom and up < down and first[top] == second[up]:
            match[top] = up
            top, up = top + 1, up + 1
        while top < bottom and up < down and first[bottom - 1] == second[down - 1]:
            bottom, down = bottom - 1, down - 1
            match[bottom] = down
        if top < bottom and up < down:
            rows, others = _anchors(first[top:bottom], second[up:down])
            match[rows + top] = others + up
            ends = [(row + top, other + up) for row, other in zip(rows, others, strict=True)]
            for row, other in [*ends, (bottom, down)] if ends else ():
                todo.append((top, int(row), up, int(other)))
                top, up = int(row) + 1, int(other) + 1


def _drop_chance(match: Rows, length: int) -> None:
    """Forget few equal rows between much larger gaps: likeness will tell whether they belong."""
    rows = np.flatnonzero(match >= 0)
    edges = np.flatnonzero((np.diff(rows) != 1) | (np.diff(match[rows]) != 1)) + 1
    runs = [run for run in np.split(rows, edges) if len(run)]
    ends = [(-1, -1), *((int(run[-1]), int(match[run[-1]])) for run in runs)]
    starts = [*((int(run[0]), int(match[run[0]])) for run in runs), (len(match), length)]
    gaps = [
        max(after[0] - before[0], after[1] - before[1]) - 1
        for before, after in zip(ends, starts, strict=True)
    ]
    for run, *around in zip(runs, gaps, gaps[1:], strict=False):
        if CHANCE * len(run) < min(around):
            match[run] = -1


def _anchors(first: Rows, second: Rows) -> tuple[Rows, Rows]:
    """Rows that are equal and that each has once, in the longest order that both have."""
    rows, others = _once_in_both(first, second)
    # Of the rising sequences of each length the smallest end, where it is, and what is before it.
    ends: list[int] = []
    at: list[int] = []
    before: list[int] = []
    for place, other in enumerate(others.tolist()):
        length = bisect_left(ends, other)
        if length == len(ends):
            ends.append(other)
            at.append(place)
        else:
            ends[length], at[length] = other, place
        before.append(at[length - 1] if length else -1)
    chain = []
    place = at[-1] if at else -1
    while place >= 0:
        chain.append(place)
        place = before[place]
    return rows[chain[::-1]], others[chain[::-1]]


def _once_in_both(first: Rows, second: Rows) -> tuple[Rows, Rows]:
    """Places of the numbers that both have, and each has once; the first rise."""
    alone = []
    for numbers in (first, second):
        values, places, counts = np.unique(numbers, return_index=True, return_counts=True)
        alone.append((values[counts == 1], places[counts == 1]))
    _, here, there = np.intersect1d(alone[0][0], alone[1][0], return_indices=True)
    rows, others = alone[0][1][here], alone[1][1][there]
    order = np.argsort(rows)
    return rows[order], others[order]


def _moved(first: Rows, second: Rows, match: Rows) -> Rows:
    """For each row that is left and is elsewhere in the second image, its place there, or -1.

    `match` is changed where it could as well be another: a gap between equal rows may be anywhere.
    """
    moved = np.full(len(first), -1)
    partners = np.full(len(second), -1)
    partners[match[match >= 0]] = np.flatnonzero(match >= 0)
    # Wherever a gap between equal rows is, it holds the same rows.
    come: dict[tuple[int, int], list[Span]] = defaultdict(list)
    for other in _spans(np.flatnonzero(partners < 0)):
        come[_held(second, other)].append(other)
    for gap in list(_spans(np.flatnonzero(match < 0))):
        for other in come[_held(first, gap)] if gap[1] - gap[0] >= LEAST_MOVED else ():
            _move_whole(first, second, match, partners, moved, gap, other)
    free, left = (match < 0) & (moved < 0), partners < 0
    left[moved[moved >= 0]] = False
    mine, others = np.flatnonzero(free), np.flatnonzero(left)
    for place, other_place in zip(*_once_in_both(first[mine], second[others]), strict=True):
        top, up = int(mine[place]), int(others[other_place])
        if moved[top] >= 0:
            continue
        bottom, down = top, up
        while top and up and free[top - 1] and left[up - 1] and first[top - 1] == second[up - 1]:
            top, up = top - 1, up - 1
        while (
            bottom < len(first)
            and down < len(second)
            and free[bottom]
            and left[down]
            and first[bottom] == second[down]
        ):
            bottom, down = bottom + 1, down + 1
        if bottom - top >= LEAST_MOVED:
            moved[top:bottom] = np.arange(up, down)
            free[top:bottom] = left[up:down] = False
    return moved


def _held(rows: Rows, gap: Span) -> tuple[int, int]:
    """What tells gaps apart: how many rows there are in it, and their sum."""
    return gap[1] - gap[0], int(np.add.reduce(rows[slice(*gap)]))


def _move_whole(
    first: Rows, second: Rows, match: Rows, partners: Rows, moved: Rows, gap: Span, other: Span
) -> None:
    """Note that what is missing at one place is all that came at another, if it is."""
    gone, come = slice(*gap), slice(*other)
    if max(match[gone].max(), moved[gone].max(), partners[come].max()) >= 0:
        return  # One of them has found its place.
    if np.isin(np.arange(*other), moved).any():
        return
    slides = product(_slides(first, match, gap), _slides(second, partners, other))
    for by, other_by in sorted(slides, key=lambda both: sum(map(abs, both))):
        (top, bottom), (up, down) = ((a + n, b + n) for (a, b), n in ((gap, by), (other, other_by)))
        if np.array_equal(first[top:bottom], second[up:down]):
            _slide(match, partners, gap, by)
            _slide(partners, match, other, other_by)
            moved[top:bottom] = np.arange(up, down)
            return


def _slide(match: Rows, partners: Rows, gap: Span, by: int) -> None:
    """Let a gap be so many rows further down: what it leaves has the partners of what it takes."""
    (top, bottom), count = gap, abs(by)
    gets, gives = (top, bottom) if by > 0 else (bottom - count, top - count)
    match[gets : gets + count] = match[gives : gives + count].copy()
    match[top + by : bottom + by] = -1
    partners[match[gets : gets + count]] = np.arange(gets, gets + count)


def _slides(rows: Rows, partners: Rows, gap: Span) -> list[int]:
    """By how many rows a gap without partners may be further down, the nearest first."""
    found, (top, bottom) = [0], gap
    for step in (1, -1):
        for by in range(1, MOST_SLID):
            enters, leaves = (bottom, top) if step > 0 else (top - 1, bottom - 1)
            enters, leaves = enters + step * (by - 1), leaves + step * (by - 1)
            inside = 0 <= enters < len(rows) and partners[enters] >= 0
            if not (inside and rows[enters] == rows[leaves]):
                break
            found.append(step * by)
    return sorted(found, key=abs)


def _gaps(match: Rows, moved: Rows, length: int) -> Iterator[tuple[Rows, Rows]]:
    """Rows of both images that are left between the same two that correspond."""
    fixed = np.flatnonzero(match >= 0)
    rows = np.flatnonzero((match < 0) & (moved < 0))
    others = np.setdiff1d(np.arange(length), np.concatenate([match, moved]))
    gaps = np.searchsorted(fixed, rows), np.searchsorted(match[fixed], others)
    for gap in np.intersect1d(*gaps):
        starts, ends = (np.searchsorted(each, (gap, gap + 1)) for each in gaps)
        yield rows[slice(*starts)], others[slice(*ends)]

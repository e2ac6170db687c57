"""Rows of two images that correspond by how they look, where few are equal.

A gap costs something to open and something for each row (Gotoh 1982).
"""

from __future__ import annotations

import math
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Rows = NDArray[np.intp]
Features = NDArray[np.float32]

BLOCKS = 32
"""Parts of a row whose mean colours are compared where no rows are equal."""
OPEN, EXTEND, MOST = 0.3, 0.05, 0.09
"""What a gap costs, each row in it, and at most two rows that correspond: less than two in gaps."""
ALIKE = 0.03
"""Mean difference, of 1, below which as many rows on both sides correspond one by one."""
FEW_ROWS = 32
"""Rows up to which as many on both sides correspond in any case."""
MOST_CELLS = 1 << 21
"""Of two images' rows, the most pairs that are compared; of more, several rows count as one."""


def features(rows: NDArray[np.uint8]) -> Features:
    """Mean colours in 0..1 of the parts of each row."""
    height, width = rows.shape[:2]
    small = Image.fromarray(rows).resize((min(BLOCKS, width), height), Image.Resampling.BOX)
    found: Features = np.divide(np.asarray(small).reshape(height, -1), 255, dtype=np.float32)
    return found


def alike(first: Features, second: Features) -> tuple[Rows, Rows]:
    """Places, in both, of rows that correspond by their features."""
    few = len(first) <= FEW_ROWS
    if len(first) == len(second) and (few or np.abs(first - second).mean() <= ALIKE):
        return np.arange(len(first)), np.arange(len(first))
    several = math.ceil(math.sqrt(len(first) * len(second) / MOST_CELLS))
    if several == 1:
        return _cheapest(first, second)
    coarse = _cheapest(_grouped(first, several), _grouped(second, several))
    return _refined(first, second, *coarse, several)


def _grouped(features: Features, several: int) -> Features:
    starts = np.arange(0, len(features), several)
    counts = np.diff(starts, append=len(features))[:, None]
    means: Features = (np.add.reduceat(features, starts) / counts).astype(np.float32)
    return means


def _cheapest(first: Features, second: Features) -> tuple[Rows, Rows]:
    """Rows that correspond where all gaps and differences together cost least."""
    steps = np.arange(len(second) + 1) * EXTEND
    best, above = np.where(steps > 0, OPEN + steps, 0), np.full(len(steps), np.inf)
    shape = len(first) + 1, len(steps)
    # Whether a gap in one image ends here, and whether it goes on there.
    ends_above, ends_left = np.zeros(shape, bool), np.zeros(shape, bool)
    on_above, on_left = np.zeros(shape, bool), np.zeros(shape, bool)
    ends_left[0, 1:] = on_left[0, 2:] = True
    for row, features in enumerate(first, start=1):
        costs = np.minimum(np.abs(second - features).mean(axis=1), MOST)
        opened = best + (OPEN + EXTEND)
        on_above[row] = above + EXTEND < opened
        above = np.minimum(above + EXTEND, opened)
        straight = above.copy()
        np.minimum(straight[1:], best[:-1] + costs, out=straight[1:])
        ends_above[row] = straight == above
        started = straight - steps
        least = np.minimum.accumulate(started)
        left = np.concatenate([[np.inf], least[:-1] + steps[1:] + OPEN])
        on_left[row, 1:] = least[:-1] < started[:-1]
        ends_left[row] = left < straight
        best = np.minimum(straight, left)
    return _traced(ends_above, ends_left, on_above, on_left)


def _traced(
    ends_above: NDArray[np.bool_],
    ends_left: NDArray[np.bool_],
    on_above: NDArray[np.bool_],
    on_left: NDArray[np.bool_],
) -> tuple[Rows, Rows]:
    rows, others = [], []
    row, other = (length - 1 for length in ends_above.shape)
    while row and other:
        if ends_left[row, other]:
            while on_left[row, other]:
                other -= 1
            other -= 1
        if not other:
            break
        if ends_above[row, other]:
            while on_above[row, other]:
                row -= 1
            row -= 1
        else:
            row, other = row - 1, other - 1
            rows.append(row)
            others.append(other)
    return np.array(rows[::-1], int), np.array(others[::-1], int)


def _refined(
    first: Features, second: Features, rows: Rows, others: Rows, several: int
) -> tuple[Rows, Rows]:
    """Single rows that correspond, from groups of `several` that do."""
    if not len(rows):
        return rows, others
    match = np.full(len(first), -1)
    edges = np.flatnonzero(np.diff(others - rows)) + 1
    runs = []
    for run, others_run in zip(np.split(rows, edges), np.split(others, edges), strict=True):
        top, bottom = int(run[0]) * several, min((int(run[-1]) + 1) * several, len(first))
        shift = (int(others_run[0]) - int(run[0])) * several
        shifts = range(shift - several, shift + several + 1)
        runs.append((top, min(shifts, key=partial(_cost_of, first, second, top, bottom))))
    ends = [top for top, _ in runs[1:]] + [len(first)]
    start = 0
    for place, ((_, shift), end) in enumerate(zip(runs, ends, strict=True)):
        after = runs[place + 1][1] if place + 1 < len(runs) else shift
        end = _seam(first, second, end, shift, after, 3 * several) if after != shift else end
        mine = np.arange(max(start, -shift), max(min(end, len(second) - shift), start, -shift))
        match[mine] = mine + shift
        start = max(end, start) + max(shift - after, 0)
    found = np.flatnonzero(match >= 0)
    return found, match[found]


def _cost_of(first: Features, second: Features, top: int, bottom: int, shift: int) -> float:
    """Mean difference of rows from those so many further down in the second image."""
    return float(_costs(first, second, np.arange(top, bottom), shift).mean())


def _costs(first: Features, second: Features, rows: Rows, shift: int) -> NDArray[np.float64]:
    """Each row's difference; 1 where there is no other."""
    there = (rows + shift >= 0) & (rows + shift < len(second)) & (rows >= 0) & (rows < len(first))
    costs = np.ones(len(rows))
    mine = rows[there]
    costs[there] = np.abs(first[mine] - second[mine + shift]).mean(axis=1)
    return costs


def _seam(first: Features, second: Features, near: int, before: int, after: int, reach: int) -> int:
    """Where rows stop to be shifted by one count and are shifted by the other, behind a gap."""
    gone = max(before - after, 0)
    places = np.arange(max(near - reach - gone, 0), min(near + reach, len(first) - gone) + 1)
    upper = np.cumsum(_costs(first, second, places, before))
    lower = np.cumsum(_costs(first, second, places + gone, after)[::-1])[::-1]
    return int(places[np.argmin(np.append(0, upper[:-1]) + lower)])

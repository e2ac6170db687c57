"""Where two images differ: the peak of the map, and the regions around its large cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from percept_cli.results import Region

Grid = NDArray[np.float64]

MOST_REGIONS = 20

SHARE = 0.25
"""Share of the peak from which a cell belongs to a region, unless a threshold says otherwise."""


def peak_of(cells: Grid, side: int) -> tuple[float, tuple[int, int]]:
    """The largest cell, the first of equals, and its middle, x and y in pixels."""
    row, column = divmod(int(cells.argmax()), cells.shape[1])
    return float(cells[row, column]), (column * side + side // 2, row * side + side // 2)


def regions_of(
    cells: Grid, side: int, size: tuple[int, int], level: float | None = None
) -> tuple[Region, ...]:
    """Rectangles around touching cells of at least `level`, by falling peak, 20 at the most.

    `cells` is the map, rows × columns of `side` pixels; `size` the image's width and height.
    """
    level = SHARE * float(cells.max()) if level is None else level
    large = (cells >= level) & (cells > 0)
    if not large.any():
        return ()
    rows, lefts, rights = _runs(large)
    groups = _touching(rows, lefts, rights)
    peaks = np.maximum.reduceat(cells[large], np.append(0, np.cumsum(rights - lefts)[:-1]))
    by_peak = np.argsort(-peaks, kind="stable")
    _, firsts = np.unique(groups[by_peak], return_index=True)
    found = []
    for first in by_peak[np.sort(firsts)[:MOST_REGIONS]]:
        mine = groups == groups[first]
        starts = lefts[mine].min(), rows[mine].min()
        ends = rights[mine].max(), rows[mine].max() + 1
        left, top = (int(start) * side for start in starts)
        # The map's last row and column reach to the image's border.
        right, bottom = (
            length if end == count else int(end) * side
            for length, end, count in zip(size, ends, cells.shape[::-1], strict=True)
        )
        found.append(Region(left, top, right - left, bottom - top, float(peaks[first])))
    return tuple(found)


def _runs(flags: NDArray[np.bool_]) -> tuple[NDArray[np.intp], ...]:
    """Row, first column and end of each run of flags in a row, from top left to bottom right."""
    rows, edges = np.nonzero(np.diff(flags, prepend=False, append=False))
    return rows[::2], edges[::2], edges[1::2]


def _touching(
    rows: NDArray[np.intp], lefts: NDArray[np.intp], rights: NDArray[np.intp]
) -> NDArray[np.intp]:
    """For each run the first of those it touches, directly or by others, on a side or a corner."""
    # In one count of all rows, and one column more, no run touches one of another row.
    wide = int(rights.max()) + 1
    begins, ends = rows * wide + lefts, rows * wide + rights
    below = np.searchsorted(ends, begins + wide), np.searchsorted(begins, ends + wide, "right")
    leaders = list(range(len(rows)))

    def leader(run: int) -> int:
        while leaders[run] != run:
            leaders[run] = run = leaders[leaders[run]]
        return run

    for run, touched in enumerate(zip(*(bounds.tolist() for bounds in below), strict=True)):
        for other in range(*touched):
            first, second = sorted((leader(run), leader(other)))
            leaders[second] = first
    return np.array([leader(run) for run in leaders])

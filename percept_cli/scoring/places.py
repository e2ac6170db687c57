"""Where two images differ: the peak of the map, and the regions around its large cells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from percept_cli.results import Region

Grid = NDArray[np.float64]

MOST_REGIONS = 20

SHARE = 0.25
"""Share of the peak from which a cell belongs to a region, unless a threshold says otherwise."""


PARTS = 4
"""Parts on each side of a map that are looked at to see whether a difference is everywhere."""

FEWEST_CELLS = 2500
"""In a smaller map a part has too few cells to tell."""


def everywhere(cells: Grid) -> float:
    """What the images differ by everywhere: at least a quarter of the parts of the map reach it.

    A part reaches its 0.99 quantile. So a change in fewer than a quarter of the parts, however
    large, is nowhere but there, and gives 0; as does a small map.
    """
    if cells.size < FEWEST_CELLS:
        return 0.0
    rows = np.array_split(cells, PARTS, axis=0)
    parts = [part for row in rows for part in np.array_split(row, PARTS, axis=1)]
    return float(np.quantile([np.quantile(part, 0.99) for part in parts], 0.75, method="lower"))


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
    left_over = (cells >= level) & (cells > 0)
    found: list[Region] = []
    for start in map(tuple, np.argwhere(left_over)[np.argsort(-cells[left_over], kind="stable")]):
        if len(found) == MOST_REGIONS:
            break
        if left_over[start]:
            found.append(_region(_taken(left_over, start), cells, side, size))
    return tuple(found)


def _taken(left_over: NDArray[np.bool_], start: tuple[int, ...]) -> NDArray[np.intp]:
    """Cells that touch the first one, directly or by others, on a side or a corner."""
    rows, columns = left_over.shape
    left_over[start] = False
    members, ends = [start], [start]
    while ends:
        row, column = ends.pop()
        for near in (
            (r, c)
            for r in range(max(row - 1, 0), min(row + 2, rows))
            for c in range(max(column - 1, 0), min(column + 2, columns))
        ):
            if left_over[near]:
                left_over[near] = False
                members.append(near)
                ends.append(near)
    return np.array(members)


def _region(members: NDArray[np.intp], cells: Grid, side: int, size: tuple[int, int]) -> Region:
    """The rectangle around cells; the map's last row and column reach to the image's border."""
    top, left = (int(start) for start in members.min(axis=0))
    bottom, right = (int(end) + 1 for end in members.max(axis=0))
    ends = [
        length if end == count else end * side
        for length, end, count in zip(size, (right, bottom), cells.shape[::-1], strict=True)
    ]
    return Region(
        left * side,
        top * side,
        ends[0] - left * side,
        ends[1] - top * side,
        float(cells[members[:, 0], members[:, 1]].max()),
    )

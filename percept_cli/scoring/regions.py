"""Which parts of two images the network must see, so that their distance is exact.

A position's feature depends on the pixels of its receptive field only. Where those are equal its
change is exactly 0 and need not be computed. What can change is covered with rectangles of whole
cells (one position of the deepest layer each); the network sees each rectangle with the margin
that its positions' receptive fields reach into. At the borders of the image its padding is real.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from percept_cli.network.layers import Layer

CALL_PIXELS = 96 * 96
"""What one more run of the network costs besides its pixels, in pixels."""

WORTHWHILE = 0.8
"""Share of the whole image's cost from which crops are not worth it."""

COMPARED_PIXELS = 1 << 18
"""Pixels that are compared at a time: what is made of them stays in the cache."""

Blocks = NDArray[np.bool_]
"""A flag per cell, rows × columns; the last ones may reach over the border."""


@dataclass(frozen=True)
class Rectangle:
    """Pixels from left and top up to, not with, right and bottom."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def width(self) -> int:
        return self.right - self.left

    @property
    def height(self) -> int:
        return self.bottom - self.top

    @property
    def pixels(self) -> int:
        return self.width * self.height

    def within(self, other: Rectangle) -> Rectangle:
        """What both have in common; empty, from its left and top on, where they have nothing."""
        left, top = max(self.left, other.left), max(self.top, other.top)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Rectangle(left, top, max(right, left), max(bottom, top))


def grown(part: Rectangle, by: int, size: tuple[int, int]) -> Rectangle:
    """The rectangle with so many pixels more on each side, inside an image of that size."""
    more = Rectangle(part.left - by, part.top - by, part.right + by, part.bottom + by)
    return more.within(Rectangle(0, 0, *size))


@dataclass(frozen=True)
class Crop:
    """A part of two images: the pixels the network sees, and those whose positions count."""

    seen: Rectangle
    own: Rectangle
    changed: Rectangle | None = None
    """Holds all changed pixels that are seen, where that is known."""


def crops(
    changed: Blocks,
    layer: Layer,
    size: tuple[int, int],
    tile: tuple[int, int],
    everywhere: bool = False,
) -> list[Crop]:
    """Crops that own every position whose feature can differ, each once, in a fixed order.

    `changed` flags the cells of the deepest layer, `layer`, that hold a changed pixel; `size` is
    the image's width and height. No crop owns more than a tile, of that width and height brought
    to whole cells. Before they are cut into tiles they cost clearly less than the whole image, or
    else are the whole image, which they are too where positions count `everywhere`.
    """
    affected = np.ones_like(changed) if everywhere else affected_cells(changed, layer)
    whole = Rectangle(0, 0, *size)
    parts = [_crop(part, layer, size) for part in _covered(affected, layer, size, (0, 0))]
    if sum(map(_cost, parts)) >= WORTHWHILE * _cost(Crop(whole, whole)):
        parts = [Crop(whole, whole)]
    owned = (piece for part in parts for piece in _tiles(part.own, layer.stride, tile))
    return [
        with_changed(_crop(own, layer, size), changed, layer.stride)
        for own in owned
        if _cells_of(own, affected, layer.stride).any()
    ]


def tiles_seen(layer: Layer, size: tuple[int, int], tile: tuple[int, int]) -> list[Rectangle]:
    """What the network sees of a whole image, tile by tile."""
    whole = Rectangle(0, 0, *size)
    return [_crop(own, layer, size).seen for own in _tiles(whole, layer.stride, tile)]


def changed_cells(reference: NDArray[Any], candidate: NDArray[Any], side: int) -> Blocks:
    """Which cells of `side` × `side` pixels differ: two H×W×3 images → a flag per cell."""
    height, width, channels = reference.shape
    down, across = -(-height // side), -(-width // side)
    found = np.empty((down, across), bool)
    rows = max(COMPARED_PIXELS // (width * side), 1)
    for start in range(0, down, rows):
        part = slice(start * side, (start + rows) * side)
        before, after = (x[part].reshape(-1, width * channels) for x in (reference, candidate))
        if np.array_equal(before, after):  # Most are, and what follows takes longer.
            found[start : start + rows] = False
            continue
        differs = np.zeros((min(rows, down - start), side, across * side * channels), bool)
        flat = differs.reshape(-1, differs.shape[2])
        np.not_equal(before, after, out=flat[: len(before), : width * channels])
        cells = np.bitwise_or.reduce(differs, axis=1).reshape(len(differs), across, -1)
        found[start : start + rows] = cells.any(axis=2)
    return found


def affected_cells(changed: Blocks, layer: Layer) -> Blocks:
    """Cells with a position, of this layer or one before it, that sees a changed cell."""
    before = layer.reach_after // layer.stride
    after = (layer.stride - 1 + layer.reach_before) // layer.stride
    for axis in (0, 1):
        grown = changed.copy()
        length = changed.shape[axis]
        flags, source = np.moveaxis(grown, axis, 0), np.moveaxis(changed, axis, 0)
        for step in range(1, min(before, length - 1) + 1):
            flags[:-step] |= source[step:]
        for step in range(1, min(after, length - 1) + 1):
            flags[step:] |= source[:-step]
        changed = grown
    return changed


def _covered(
    cells: Blocks, layer: Layer, size: tuple[int, int], origin: tuple[int, int]
) -> list[Rectangle]:
    """Disjoint rectangles around all flagged cells, split where two cost less than one."""
    rows, columns = (np.flatnonzero(cells.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    cells = cells[top : rows[-1] + 1, left : columns[-1] + 1]
    origin = origin[0] + left, origin[1] + top
    side = layer.stride
    whole = Rectangle(
        origin[0] * side,
        origin[1] * side,
        min((origin[0] + cells.shape[1]) * side, size[0]),
        min((origin[1] + cells.shape[0]) * side, size[1]),
    )
    # Two parts see no less than what is flagged.
    least = np.count_nonzero(cells) * side**2 + 2 * CALL_PIXELS
    gap = _widest_gap(cells) if least < _cost(_crop(whole, layer, size)) else None
    if gap is None:
        return [whole]
    axis, place = gap
    first, second = np.split(cells, [place], axis=axis)
    shift = (origin[0], origin[1] + place) if axis == 0 else (origin[0] + place, origin[1])
    parts = _covered(first, layer, size, origin) + _covered(second, layer, size, shift)
    cost = sum(_cost(_crop(part, layer, size)) for part in parts)
    return parts if cost < _cost(_crop(whole, layer, size)) else [whole]


def _widest_gap(cells: Blocks) -> tuple[int, int] | None:
    """Axis and middle of the most rows or columns in a run without a flag, the most central."""
    found = []
    for axis in (0, 1):
        empty = np.logical_not(cells.any(axis=1 - axis)).astype(np.int8)
        edges = np.flatnonzero(np.diff(empty, prepend=0, append=0))
        runs = edges.reshape(-1, 2).tolist()
        found += [
            (end - start, -abs(start + end - len(empty)), axis, (start + end) // 2)
            for start, end in runs
        ]
    return max(found)[2:] if found else None


def _cost(crop: Crop) -> float:
    return crop.seen.pixels + CALL_PIXELS


def _crop(own: Rectangle, layer: Layer, size: tuple[int, int]) -> Crop:
    """The rectangle with the margin its positions see, on whole cells, inside the image."""
    side = layer.stride
    seen = Rectangle(
        max(own.left - _ceil(layer.reach_before, side), 0),
        max(own.top - _ceil(layer.reach_before, side), 0),
        min(_ceil(own.right - side + layer.reach_after + 1, side), size[0]),
        min(_ceil(own.bottom - side + layer.reach_after + 1, side), size[1]),
    )
    return Crop(seen, own)


def with_changed(crop: Crop, changed: Blocks, side: int) -> Crop:
    """The crop, knowing the rectangle around the flagged cells that it sees."""
    seen = crop.seen
    cells = _cells_of(seen, changed, side)
    rows, columns = (np.flatnonzero(cells.any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return replace(crop, changed=Rectangle(seen.left, seen.top, seen.left, seen.top))
    around = Rectangle(
        seen.left + int(columns[0]) * side,
        seen.top + int(rows[0]) * side,
        min(seen.left + int(columns[-1] + 1) * side, seen.right),
        min(seen.top + int(rows[-1] + 1) * side, seen.bottom),
    )
    return replace(crop, changed=around)


def _cells_of(part: Rectangle, cells: Blocks, side: int) -> Blocks:
    rows = slice(part.top // side, _ceil(part.bottom, side) // side)
    return cells[rows, part.left // side : _ceil(part.right, side) // side]


def _ceil(value: int, side: int) -> int:
    return -(-value // side) * side


def _tiles(own: Rectangle, side: int, tile: tuple[int, int]) -> Iterator[Rectangle]:
    """The rectangle cut into about equal parts of a tile at the most, on whole cells."""
    width, height = (
        _ceil(-(-length // -(-length // most)), side)
        for length, most in zip((own.width, own.height), tile, strict=True)
    )
    for top in range(own.top, own.bottom, height):
        for left in range(own.left, own.right, width):
            yield Rectangle(left, top, min(left + width, own.right), min(top + height, own.bottom))

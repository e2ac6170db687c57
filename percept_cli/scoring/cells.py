"""What is summed up of one layer, crop by crop, until its distance and its map are known."""

from __future__ import annotations

import math
from functools import partial
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, cat, split

from percept_cli.network.distances import Distance, Located, at_least_float32
from percept_cli.network.layers import Layer
from percept_cli.network.workers import piece, share

Grid = NDArray[np.float64]


class Part(NamedTuple):
    """Positions of a layer: where the first is in the image, and which they are in a tensor."""

    top: int
    left: int
    rows: slice
    columns: slice
    changed: tuple[slice, slice] | None = None
    """Which of the tensor's rows and columns can differ; None where all of these can."""

    def of(self, x: Tensor) -> Tensor:
        """Those positions, of N×C×H×W."""
        return x[:, :, self.rows, self.columns]


def cells_of(start: int, length: int, ratio: int, count: int) -> tuple[slice, NDArray[np.intp]]:
    """Which of `count` cells `length` positions from `start` on lie in, and where each begins.

    A cell has `ratio` positions; the last one all those that follow.
    """
    first = min(start // ratio, count - 1)
    last = min((start + length - 1) // ratio, count - 1)
    starts = np.arange(first, last + 1) * ratio - start
    return slice(first, last + 1), starts.clip(0)


class Sums(Protocol):
    """Takes a layer's features and their changes, every position of the image at most once.

    Positions it never gets are equal in both images; statistics of whole layers get them all.
    """

    def found(self, f: Tensor, d: Tensor, part: Part) -> Tensor:
        """What there is to count of this part of features and changes, 1×C×H×W, on their device."""

    def count(self, found: Tensor, part: Part) -> None:
        """Count that, once it is on the CPU."""

    def distance(self) -> float:
        """The layer's distance, >= 0."""

    def forgive(self, other: Any) -> None:
        """Keep in each place the smaller of this and of another of its kind."""


class Cells:
    """Sums of differences over the cells of the map.

    The map has one cell per position of the deepest layer that has positions. A cell holds the
    positions of a shallower layer that lie in it; the last row and column of cells reach to the
    border, so that every position is counted once.
    """

    def __init__(
        self,
        distance: Located,
        layer: Layer,
        cell_layer: Layer,
        size: tuple[int, int],
        scale: float,
    ) -> None:
        self._distance = distance
        self._scale = scale
        self._ratio = cell_layer.stride // layer.stride
        width, height = (length // layer.stride for length in size)
        columns, rows = (length // cell_layer.stride for length in size)
        heights, widths = np.full(rows, self._ratio), np.full(columns, self._ratio)
        heights[-1] += height - rows * self._ratio
        widths[-1] += width - columns * self._ratio
        self._sides = heights, widths
        self._sums: Grid = np.zeros((rows, columns))

    def found(self, f: Tensor, d: Tensor, part: Part) -> Tensor:
        """The difference of each position, H×W."""
        f, d = (at_least_float32(part.of(x)) for x in (f, d))
        differences = f.new_empty(1, *f.shape[2:])

        def fill(f: Tensor, d: Tensor, out: Tensor) -> None:
            out.copy_(self._distance.difference(f, d, self._scale))

        rows = piece(f, f.shape[2])
        groups = zip(*(split(x, rows, -2) for x in (f, d, differences)), strict=True)
        share([partial(fill, *group) for group in groups])
        return differences[0]

    def count(self, found: Tensor, part: Part) -> None:
        """Count the positions in their cells."""
        self.add_differences(found.numpy(), part.top, part.left)

    def forgive(self, other: Cells) -> None:
        """Keep in each cell the smaller of both."""
        np.minimum(self._sums, other._sums, out=self._sums)

    def add_differences(self, differences: NDArray[Any], top: int, left: int) -> None:
        """Count differences, H×W, whose first position is at this row and column."""
        height, width = differences.shape
        rows, row_starts = cells_of(top, height, self._ratio, self._sums.shape[0])
        columns, column_starts = cells_of(left, width, self._ratio, self._sums.shape[1])
        sums = np.add.reduceat(differences, row_starts, axis=0, dtype=np.float64)
        self._sums[rows, columns] += np.add.reduceat(sums, column_starts, axis=1)

    def distance(self) -> float:
        """The layer's distance, >= 0."""
        heights, widths = self._sides
        mean = self._sums.sum(keepdims=True) / (heights.sum() * widths.sum())
        return float(self._finished(mean)[0, 0])

    def cell_distances(self) -> Grid:
        """The layer's distance inside each cell, rows × columns."""
        heights, widths = self._sides
        means = self._sums / heights[:, None]
        means /= widths
        return self._finished(means)

    def cell_distance(self, row: int, column: int) -> float:
        """The layer's distance inside one cell."""
        heights, widths = self._sides
        means = self._sums[row : row + 1, column : column + 1] / heights[row] / widths[column]
        return float(self._finished(means)[0, 0])

    def _finished(self, means: Grid) -> Grid:
        """Distances in place of means."""
        means /= self._scale**self._distance.scale_power
        return np.sqrt(means, out=means) if self._distance.root else means


class Colours:
    """The largest changes of colour in the cells of the map."""

    def __init__(self, cell_layer: Layer, size: tuple[int, int]) -> None:
        self._side = cell_layer.stride
        columns, rows = (length // cell_layer.stride for length in size)
        self.cells: Grid = np.zeros((rows, columns))

    def add(self, changes: NDArray[Any], top: int, left: int) -> None:
        """Count changes of pixels, H×W, >= 0, the first of which is at this row and column."""
        rows, row_starts = cells_of(top, changes.shape[0], self._side, self.cells.shape[0])
        columns, column_starts = cells_of(left, changes.shape[1], self._side, self.cells.shape[1])
        largest = np.maximum.reduceat(changes, row_starts, axis=0)
        largest = np.maximum.reduceat(largest, column_starts, axis=1)
        np.maximum(self.cells[rows, columns], largest, out=self.cells[rows, columns])

    def forgive(self, other: Colours) -> None:
        """Keep in each cell the smaller of both."""
        np.minimum(self.cells, other.cells, out=self.cells)


class Statistics:
    """Statistics of a whole layer."""

    def __init__(
        self, distance: Distance, layer: Layer, size: tuple[int, int], scale: float
    ) -> None:
        self._distance = distance
        self._scale = scale
        sides = (1, 1) if layer.kind == "fc" else (length // layer.stride for length in size)
        self._positions = math.prod(sides)
        self._sums: Tensor | None = None

    def found(self, f: Tensor, d: Tensor, part: Part) -> Tensor:
        """Sums over all positions: statistics do not know where they are."""
        rows, columns = part.changed or part[2:4]
        changed, d = (x[:, :, rows, columns] for x in (f, d))
        return self._distance.sums(part.of(f), d, self._scale, changed)

    def count(self, found: Tensor, _: Part) -> None:
        """Add them to those of other parts."""
        sums = found.double()
        self._sums = sums if self._sums is None else self._sums + sums

    def forgive(self, other: Statistics) -> None:
        """Nothing: without positions there is no tolerance."""

    def distance(self) -> float:
        """The layer's distance, >= 0."""
        if self._sums is None:
            return 0.0
        return float(self._distance.finished(self._sums, self._positions, self._scale))


def sums_for(
    distance: Distance,
    layer: Layer,
    cell_layer: Layer | None,
    size: tuple[int, int],
    scale: float,
) -> Sums:
    """What sums up this layer of an image of that width and height."""
    if not isinstance(distance, Located):
        return Statistics(distance, layer, size, scale)
    if layer.kind == "fc" or cell_layer is None:
        return Cells(distance, layer, layer, (layer.stride, layer.stride), scale)
    return Cells(distance, layer, cell_layer, size, scale)


class Tally:
    """Counts what is found, once it is so many elements or the pair is done, in one transfer.

    So few crops wait for an accelerator. With 0 elements all is counted at once.
    """

    def __init__(self, elements: int) -> None:
        self._most = elements
        self._waiting: list[tuple[Sums, Tensor, Part]] = []
        self._elements = 0

    def add(self, sums: Sums, f: Tensor, d: Tensor, part: Part) -> None:
        """Count this part of features and changes, 1×C×H×W, in those sums."""
        found = sums.found(f, d, part)
        if not self._most:
            sums.count(found.cpu(), part)
            return
        self._waiting.append((sums, found, part))
        self._elements += found.numel()
        if self._elements >= self._most:
            self.finish()

    def finish(self) -> None:
        """Count what is waiting, in its order."""
        if not self._waiting:
            return
        values = cat([found.flatten() for _, found, _ in self._waiting]).cpu()
        sizes = [found.numel() for _, found, _ in self._waiting]
        for (sums, found, part), own in zip(self._waiting, split(values, sizes), strict=True):
            sums.count(own.view(found.shape), part)
        self._waiting, self._elements = [], 0

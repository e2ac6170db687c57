"""Sums of one layer's differences over the cells of the map.

The map has one cell per position of the deepest layer that has positions. A cell holds the
positions of a shallower layer that lie in it; the last row and column of cells reach to the
border, so that every position is counted once. A layer's distance follows from the same sums.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from percept_cli.network.layers import Layer

Grid = NDArray[np.float64]


class Cells:
    """The cells' sums of differences for one layer of an image of the given size."""

    def __init__(self, layer: Layer, deepest: Layer, size: tuple[int, int]) -> None:
        width, height = size
        ratio = deepest.stride // layer.stride
        rows, columns = height // deepest.stride, width // deepest.stride
        self._row_starts = np.arange(rows) * ratio
        self._column_starts = np.arange(columns) * ratio
        heights = np.diff(self._row_starts, append=height // layer.stride)
        widths = np.diff(self._column_starts, append=width // layer.stride)
        self._counts = np.outer(heights, widths)
        self._sums: Grid = np.zeros((rows, columns))

    def add(self, differences: NDArray[Any]) -> None:
        """Count the differences, H×W, of all positions."""
        rows = np.add.reduceat(differences, self._row_starts, axis=0, dtype=np.float64)
        self._sums += np.add.reduceat(rows, self._column_starts, axis=1)

    def mean(self) -> float:
        """Mean difference over the layer."""
        return float(self._sums.sum() / self._counts.sum())

    def cell_means(self) -> Grid:
        """Mean difference in each cell."""
        means: Grid = self._sums / self._counts
        return means

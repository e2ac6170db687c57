from __future__ import annotations

import numpy as np
import pytest
import torch

from percept_cli.network.distances import distance_named
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.cells import Cells, Colours

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("layer", ["conv1_1", "conv2_1", "conv3_1", "conv4_1"])
@pytest.mark.parametrize("size", [(8, 8), (23, 16), (61, 47)])
def test_cells_hold_every_position_once(layer: str, size: tuple[int, int]) -> None:
    width, height = size
    stride, side = LAYERS[layer].stride, LAYERS["conv4_1"].stride
    values = np.random.default_rng(0).random((height // stride, width // stride))
    cells = Cells(distance_named("l1"), LAYERS[layer], LAYERS["conv4_1"], size, 1.0)
    # In parts that begin and end anywhere, as strips and crops do.
    for rows in (slice(0, 3), slice(3, 5), slice(5, None)):
        for columns in (slice(0, 1), slice(1, None)):
            part = values[rows, columns].astype(np.float32)
            if part.size:
                cells.add_differences(part, rows.start, columns.start)
    rows, columns = height // side, width // side
    expected = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            bottom = (row + 1) * side // stride if row < rows - 1 else None
            right = (column + 1) * side // stride if column < columns - 1 else None
            part = values[row * side // stride : bottom, column * side // stride : right]
            expected[row, column] = part.mean()
    # Each value was rounded to float32, and nothing more.
    half = torch.finfo(torch.float32).eps / 2
    assert cells.cell_distances() == pytest.approx(expected, rel=half)
    assert cells.distance() == pytest.approx(values.mean(), rel=half)


@pytest.mark.parametrize("size", [(16, 40), (40, 16), (23, 61)])
def test_colours_keep_the_largest_change_of_each_cell(size: tuple[int, int]) -> None:
    width, height = size
    side = LAYERS["conv4_1"].stride
    values = np.random.default_rng(0).random((height, width))
    colours = Colours(LAYERS["conv4_1"], size)
    for rows in (slice(0, 9), slice(9, None)):
        colours.add(values[rows], rows.start, 0)
    rows, columns = height // side, width // side
    for row in range(rows):
        for column in range(columns):
            bottom = (row + 1) * side if row < rows - 1 else None
            right = (column + 1) * side if column < columns - 1 else None
            part = values[row * side : bottom, column * side : right]
            assert colours.cells[row, column] == part.max()

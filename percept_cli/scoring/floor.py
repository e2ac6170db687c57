"""What two images differ by in content all over the page: the renderer's, not a change."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from percept_cli.inputs.images import Pixels, unit_range
from percept_cli.scoring.cells import Grid

CONTRAST = 0.1
"""Range of a colour, of 1, within CLOSE pixels of a pixel from which on there is content."""

CLOSE = 2

AROUND = 8
"""Cells on each side of one with content in which it may differ."""

FEWEST_CELLS = 500
"""With fewer cells of content nothing is all over the page."""

SHARE = 0.25
"""Of cells with content, those that have the floor, or more, close by."""

ONE_PLACE = 800
"""Cells that have a change in one place close by, about: on a small page more than SHARE of all."""

STRIP_CELLS = 64
"""Rows of cells whose pixels are looked at together."""


def subtract_floor(cells: Grid, images: tuple[Pixels, Pixels], side: int, most: float) -> float:
    """Take from cells with content what a quarter of them have within AROUND cells, at the most.

    Of a small page it is what half of them have, up to ONE_PLACE. Cells are rows × columns of
    `side` pixels, the images H×W×3. So a change with less of the content around it, however strong
    and wherever it is, loses nothing, nor does one of an empty area.
    """
    if not most:
        return 0.0
    reached = _largest(torch.from_numpy(cells)[None], AROUND).count_nonzero()
    if reached < FEWEST_CELLS / 2:
        return 0.0  # Whatever there is of content: most changes need no look at it.
    content = _content(images[0], cells.shape, side) | _content(images[1], cells.shape, side)
    count = np.count_nonzero(content)
    if count < FEWEST_CELLS:
        return 0.0
    enough = max(SHARE * count, min(count / 2, ONE_PLACE))
    of_content = torch.from_numpy(np.where(content, cells, 0))[None]
    around = _largest(of_content, AROUND)[0].numpy()
    floor = min(float(np.quantile(around[content], 1 - enough / count, method="lower")), most)
    cells[content] = np.maximum(cells[content] - floor, 0)
    return floor


def _content(image: Pixels, shape: tuple[int, ...], side: int) -> NDArray[np.bool_]:
    """Which cells have a pixel around which a colour varies: an edge, a stroke, a texture."""
    found = np.zeros(shape, bool)
    for top in range(0, shape[0], STRIP_CELLS):
        rows = min(STRIP_CELLS, shape[0] - top)
        above = min(top * side, CLOSE)
        strip = image[top * side - above : (top + rows) * side + CLOSE, : shape[1] * side + CLOSE]
        pixels = torch.from_numpy(unit_range(strip).transpose(2, 0, 1).copy())
        ranges = (_largest(pixels, CLOSE) + _largest(-pixels, CLOSE)).amax(0)
        own = ranges[above : above + rows * side, : shape[1] * side]
        largest = own.reshape(rows, side, shape[1], side).amax((1, 3))
        found[top : top + rows] = (largest > CONTRAST).numpy()
    return found


def _largest(values: Tensor, around: int) -> Tensor:
    """The largest value on each side of each position up to so many positions away, C×H×W."""
    for window, padding in (((2 * around + 1, 1), (around, 0)), ((1, 2 * around + 1), (0, around))):
        values = functional.max_pool2d(values, window, 1, padding)
    return values

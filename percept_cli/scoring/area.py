"""The larger a change is, the fainter it may be and still be seen: what is around a cell counts."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from percept_cli.scoring.cells import Grid

WINDOW = 9
"""Rows and columns of cells that are looked at together."""

ROUNDING = 1e-9
"""What a mean of equal cells may be above them."""


def count_areas(cells: Grid, weight: float) -> None:
    """Raise cells to their surroundings' mean times `weight`, if that is more than they have.

    Only those that have at least that mean, so that a map's edges stay where they are. Rows ×
    columns of cells >= 0; outside of the image nothing differs. The eye sums up over space too
    (Robson & Graham 1981); window and weight are chosen in benchmarks/rendering.
    """
    if weight:
        window = functional.avg_pool2d(torch.from_numpy(cells)[None], WINDOW, 1, WINDOW // 2)
        around = window[0].numpy()
        alike = cells * (1 + ROUNDING) >= around
        np.maximum(cells, weight * around, out=cells, where=alike)

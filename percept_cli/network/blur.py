"""A Gaussian blur that is the same on a part of an image as on the whole."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

WIDTHS = 3
"""Standard deviations after which the Gaussian is cut off."""


def blur_radius(sigma: float) -> int:
    """How many pixels away a blurred pixel still sees."""
    return math.ceil(WIDTHS * sigma)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """N×C×H×W smoothed with a standard deviation of `sigma` pixels; border pixels are repeated."""
    from torch.nn import functional

    radius = blur_radius(sigma)
    weights = [math.exp(-(place**2) / (2 * sigma**2)) for place in range(-radius, radius + 1)]
    outcome = functional.pad(images, (radius,) * 4, mode="replicate")
    for axis in (3, 2):
        # Sums of shifted images: faster than a convolution of single channels.
        around, length = outcome, images.shape[axis]
        outcome = around.narrow(axis, 0, length) * (weights[0] / sum(weights))
        for start, weight in enumerate(weights[1:], start=1):
            outcome.add_(around.narrow(axis, start, length), alpha=weight / sum(weights))
    return outcome

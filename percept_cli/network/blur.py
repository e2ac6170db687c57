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
    import torch
    from torch.nn import functional

    radius, channels = blur_radius(sigma), images.shape[1]
    places = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weights = (-places.square() / (2 * sigma**2)).exp()
    kernel = (weights / weights.sum()).to(images.device, images.dtype)
    kernel = kernel.expand(channels, 1, 1, -1)
    around = functional.pad(images, (radius,) * 4, mode="replicate")
    across = functional.conv2d(around, kernel, groups=channels)
    return functional.conv2d(across, kernel.transpose(2, 3), groups=channels)

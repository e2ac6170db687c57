"""Where areas changed their colour, or strokes theirs: what features of edges see least.

Both images are compared in OKLab (Ottosson 2020), whose distances are as large as people see them;
0.02 is just visible (CSS Color 4, section 13.2). Two changes count, and of them the larger:

- of an *area*: the least difference in a window around each position, after a blur. What is thinner
  than the window (strokes, antialiasing, a moved edge) vanishes.
- of *strokes*: colours around a position may change while their pattern stays, as in a recoloured
  line of text. With A and B the deviations of both images' colours from their means in a Gaussian
  window, and C the Frobenius norm of their covariance, a change of colour alone makes
  recoloured = (‖A‖ − ‖B‖)² + 2 (C − tr cov), and one of the pattern redrawn = 2 (‖A‖ ‖B‖ − C);
  both add up to the mean of ‖A − B‖². What a renderer redraws changes the pattern, so it is
  subtracted, several times over.

All is computed in float64, so that a part of an image gives what the whole does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from percept_cli.network.blur import blur_radius, blurred

if TYPE_CHECKING:
    from torch import Tensor

BLUR = 1.0
"""Standard deviation, in pixels, of the blur before areas are compared."""

AREA = 3
"""Pixels on each side of a position that an area covers at least."""

PATTERN = 3.0
"""Standard deviation, in pixels, of the window in which patterns are compared."""

REDRAWN = 10.0
"""How many times a change of the pattern counts against one of the colour."""

STROKES = 1.8
"""What a change of strokes counts beside one of an area: theirs is diluted by what lies between."""

FLARE = 0.004
"""Light that every screen adds: without it OKLab tells apart blacks that nobody does."""

COLOUR_REACH = max(blur_radius(BLUR) + AREA, blur_radius(PATTERN))
"""How many pixels away a position's change of colour still sees."""

TO_CONES = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
TO_LAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)


def oklab(images: Tensor) -> Tensor:
    """sRGB in [0, 1], N×3×H×W → OKLab, 0 at black as a screen shows it, in float64."""
    srgb = images.double()
    low = srgb <= 0.04045
    linear = (srgb / 12.92).where(low, ((srgb + 0.055) / 1.055).pow(2.4))
    cones = (_mixed(linear, TO_CONES) + FLARE).pow(1 / 3) - FLARE ** (1 / 3)
    return _mixed(cones, TO_LAB)


def colour_change(base: Tensor, other: Tensor) -> Tensor:
    """How much the colour changed at each pixel: images N×3×H×W in [0, 1] → N×H×W, >= 0."""
    base, other = oklab(base), oklab(other)
    return _of_areas(base, other).maximum(STROKES * _of_strokes(base, other))


def _mixed(images: Tensor, matrix: tuple[tuple[float, ...], ...]) -> Tensor:
    import torch

    return torch.einsum("ij,njhw->nihw", images.new_tensor(matrix), images)


def _of_areas(base: Tensor, other: Tensor) -> Tensor:
    from torch.nn import functional

    apart = blurred(base - other, BLUR).square().sum(1, keepdim=True).sqrt()
    side = 2 * AREA + 1
    for window, padding in (((side, 1), (AREA, 0)), ((1, side), (0, AREA))):
        apart = -functional.max_pool2d(-apart, window, 1, padding)
    return apart[:, 0]


def _of_strokes(base: Tensor, other: Tensor) -> Tensor:
    """Covariances over a window, from means of products; N×3×H×W each → N×H×W."""
    import torch

    mean, other_mean = (blurred(x, PATTERN) for x in (base, other))
    spread, other_spread = (
        (blurred(x.square(), PATTERN) - m.square()).sum(1).clamp_min(0)
        for x, m in ((base, mean), (other, other_mean))
    )
    rows = [
        blurred(base[:, i : i + 1] * other, PATTERN) - mean[:, i : i + 1] * other_mean
        for i in range(3)
    ]
    covariance = torch.stack(rows, 1)
    together = (spread * other_spread).sqrt()
    common = covariance.square().sum((1, 2)).sqrt().minimum(together)
    trace = torch.einsum("niihw->nhw", covariance)
    recoloured = spread + other_spread - 2 * together + 2 * (common - trace).clamp_min(0)
    redrawn = 2 * (together - common)
    return (recoloured - REDRAWN * redrawn).clamp_min(0).sqrt()

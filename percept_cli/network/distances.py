"""The five distances between two images' features of one layer.

Each is a mean over positions of a difference that depends on one position only, or the root of
that mean. So sums over disjoint regions add up to the sum over the whole image. `gram` is the
exception: it compares what the whole layers have in common and has no positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from percept_cli.errors import PerceptError

if TYPE_CHECKING:
    from torch import Tensor

FAINT = 1e-10
"""Squared norm below which `unit` counts a feature as zero: its direction is rounding noise."""


@dataclass(frozen=True)
class Distance:
    """How one position's difference becomes a layer's distance."""

    name: str
    difference: Callable[[Tensor, Tensor], Tensor] | None
    """Two N×C×H×W features → N×H×W, >= 0, before scaling; None if there are no positions."""
    scale_power: int
    """Power of the layer's scale that the difference is divided by."""
    root: bool
    """Whether a mean of differences is finished by a square root."""


def _mean_square(f: Tensor, g: Tensor) -> Tensor:
    return (f - g).square().mean(1)


def _mean_absolute(f: Tensor, g: Tensor) -> Tensor:
    return (f - g).abs().mean(1)


def _unit_square(f: Tensor, g: Tensor) -> Tensor:
    return (_direction(f) - _direction(g)).square().sum(1)


def _direction(feature: Tensor) -> Tensor:
    square = feature.square().sum(1, keepdim=True)
    return feature * square.clamp_min(FAINT).rsqrt() * (square > FAINT)


DISTANCES = {
    distance.name: distance
    for distance in (
        # Johnson et al. 2016, eq. 2, before squaring; l1 is its Manhattan sibling.
        Distance("l2", _mean_square, scale_power=2, root=True),
        Distance("l1", _mean_absolute, scale_power=1, root=False),
        # Johnson et al. 2016, eq. 2.
        Distance("mse", _mean_square, scale_power=2, root=False),
        # Its square is Zhang et al. 2018 (LPIPS), eq. 1, with w = 1.
        Distance("unit", _unit_square, scale_power=0, root=True),
        # Gatys et al. 2016; Johnson et al. 2016, eq. 4.
        Distance("gram", None, scale_power=2, root=False),
    )
}


def distance_named(name: str) -> Distance:
    """The distance of that name; PerceptError if there is none."""
    if name not in DISTANCES:
        raise PerceptError(f"unknown distance {name!r}: choose one of {', '.join(DISTANCES)}")
    return DISTANCES[name]


def gram_distance(f: Tensor, g: Tensor) -> Tensor:
    """Frobenius norm of the difference of Gram matrices over C·H·W, before scaling: N×C×H×W → N."""
    return safe_sqrt((_gram(f) - _gram(g)).square().sum((1, 2))) / f[0].numel()


def _gram(feature: Tensor) -> Tensor:
    flat = feature.flatten(2)
    return flat @ flat.transpose(1, 2)


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor itself, or in float32 where it has fewer bits: sums need them."""
    return x if x.element_size() >= 4 else x.float()


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient is 0, not infinite, at 0."""
    positive = x > 0
    return x.where(positive, 1).sqrt().where(positive, 0)


def layer_distance(distance: Distance, f: Tensor, g: Tensor, scale: float) -> Tensor:
    """Distance of two N×C×H×W features of one layer for each of the N images, differentiable."""
    f, g = at_least_float32(f), at_least_float32(g)
    if distance.difference is None:
        return gram_distance(f, g) / scale**distance.scale_power
    mean = distance.difference(f, g).mean((1, 2)) / scale**distance.scale_power
    return safe_sqrt(mean) if distance.root else mean

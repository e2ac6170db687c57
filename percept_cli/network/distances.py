"""The five distances between two images' features of one layer.

All are computed from a feature f and the change d = g − f, so that small differences between large
features lose nothing. A distance is a mean over positions of a difference that depends on one
position only, or the root of that mean, so sums over disjoint regions add up to the sum over the
whole image. `gram` has no positions: there it is the matrices that add up.
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
    change: Callable[[Tensor, Tensor], Tensor]
    """Feature and change → what is compared of them, both N×C×H×W."""
    size: Callable[[Tensor], Tensor] | None
    """What is compared, N×C×H×W → N×H×W, >= 0, before scaling; None without positions."""
    scale_power: int
    """Power of the layer's scale that the difference is divided by."""
    root: bool
    """Whether a mean of differences is finished by a square root."""

    def difference(self, f: Tensor, d: Tensor) -> Tensor:
        """Each position's difference: feature and change, N×C×H×W → N×H×W, >= 0, unscaled."""
        assert self.size is not None
        return self.size(self.change(f, d))

    def sums(self, f: Tensor, d: Tensor) -> Tensor:
        """What adds up over positions: feature and change, N×C×H×W → N, or N×C×C for `gram`."""
        f, d = at_least_float32(f), at_least_float32(d)
        return gram_change(f, d) if self.size is None else self.difference(f, d).sum((1, 2))

    def finished(self, sums: Tensor, positions: Tensor | float, scale: float) -> Tensor:
        """A layer's distance for each of N images, >= 0, from the sums over its positions.

        The number of positions is one for all images or N. Differentiable, also at 0.
        """
        unscaled = scale**self.scale_power
        if self.size is None:
            norm = safe_sqrt(sums.square().sum((1, 2)))
            return norm / (sums.shape[1] * positions) / unscaled
        mean = sums / positions / unscaled
        return safe_sqrt(mean) if self.root else mean


def _itself(_: Tensor, d: Tensor) -> Tensor:
    return d


def _mean_square(d: Tensor) -> Tensor:
    return d.square().sum(1) / d.shape[1]


def _mean_absolute(d: Tensor) -> Tensor:
    return d.abs().mean(1)


def _square(d: Tensor) -> Tensor:
    return d.square().sum(1)


def _direction_change(f: Tensor, d: Tensor) -> Tensor:
    """g/‖g‖ − f/‖f‖ = d/‖g‖ + f·(1/‖g‖ − 1/‖f‖), the last factor from d as well."""
    g = f + d
    square_f, square_g = (x.square().sum(1, keepdim=True) for x in (f, g))
    inverse_f, inverse_g = (_inverse_norm(square) for square in (square_f, square_g))
    gained = (d * (f + g)).sum(1, keepdim=True)
    norms = square_f * inverse_f + square_g * inverse_g
    shrunk = -gained / norms.clamp_min(FAINT) * inverse_f * inverse_g
    apart = shrunk.where((inverse_f > 0) & (inverse_g > 0), inverse_g - inverse_f)
    return d * inverse_g + f * apart


def _inverse_norm(square: Tensor) -> Tensor:
    """1/‖f‖, or 0 where the feature is faint; NaN where its square is not finite."""
    nothing = square.detach() - square.detach()
    return square.clamp_min(FAINT).rsqrt() * (square > FAINT) + nothing


DISTANCES = {
    distance.name: distance
    for distance in (
        # Johnson et al. 2016, eq. 2, before squaring; l1 is its Manhattan sibling.
        Distance("l2", _itself, _mean_square, scale_power=2, root=True),
        Distance("l1", _itself, _mean_absolute, scale_power=1, root=False),
        # Johnson et al. 2016, eq. 2.
        Distance("mse", _itself, _mean_square, scale_power=2, root=False),
        # Its square is Zhang et al. 2018 (LPIPS), eq. 1, with w = 1.
        Distance("unit", _direction_change, _square, scale_power=0, root=True),
        # Gatys et al. 2016; Johnson et al. 2016, eq. 4.
        Distance("gram", _itself, None, scale_power=2, root=False),
    )
}


def distance_named(name: str) -> Distance:
    """The distance of that name; PerceptError if there is none."""
    if name not in DISTANCES:
        raise PerceptError(f"unknown distance {name!r}: choose one of {', '.join(DISTANCES)}")
    return DISTANCES[name]


def gram(f: Tensor) -> Tensor:
    """Gram matrix of a feature, unnormalised: N×C×H×W → N×C×C."""
    f = f.flatten(2)
    return f @ f.transpose(1, 2)


def gram_change(f: Tensor, d: Tensor) -> Tensor:
    """Change of the Gram matrix, unnormalised: feature and change, N×C×H×W → N×C×C."""
    f, d = f.flatten(2), d.flatten(2)
    mixed = d @ f.transpose(1, 2)
    return mixed + mixed.transpose(1, 2) + d @ d.transpose(1, 2)


def at_least_float32(x: Tensor) -> Tensor:
    """The tensor itself, or in float32 where it has fewer bits: sums need them."""
    return x if x.element_size() >= 4 else x.float()


def safe_sqrt(x: Tensor) -> Tensor:
    """Square root whose gradient is 0, not infinite, at 0."""
    nonzero = x != 0  # NaN stays NaN.
    return x.where(nonzero, 1).sqrt().where(nonzero, 0)

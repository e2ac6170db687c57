"""The distances between two images' features of one layer.

All are computed from a feature f and the change d = g − f, so that small differences between large
features lose nothing. Either a distance is a mean over positions of a difference that depends on
one position only, or the root of that mean; or it compares statistics of the whole layer, which
have no positions. Both are made of sums, and sums over disjoint regions add up to that of the whole
image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from percept_cli.errors import PerceptError
from percept_cli.network.layers import LAYERS, Layer

if TYPE_CHECKING:
    from torch import Tensor

FAINT = 1e-10
"""Squared norm below which `unit` counts a feature as zero: its direction is rounding noise."""

SATURATION = 0.2
"""Contrast, in squares of the layer's scale, from which `divisive` begins to divide by it."""

NEAR = 1e-4
"""What `correlation` adds to squared distances of channels, in squares of the layer's scale."""

STEADY = 0.01
"""What `structure` adds to squared means and to variances, in squares of the layer's scale."""

FINE = 2
"""Stride up to which `appearance` compares positions: through relu2_2."""


@dataclass(frozen=True)
class Distance:
    """How the features of two images become a layer's distance."""

    name: str
    uses_scale: bool

    has_positions = True
    """Whether it says where images differ."""
    whole = False
    """Whether positions count that are equal in both images."""
    of_change = False
    """Whether the feature does not matter where its change is known."""

    def sums(self, f: Tensor, d: Tensor, scale: float, changed: Tensor | None = None) -> Tensor:
        """What adds up over positions, for each image: feature and change, N×C×H×W → N×…

        Where the `whole` counts, the change may be of the only positions at which it is not 0, with
        the feature there as `changed`.
        """
        raise NotImplementedError

    def finished(self, sums: Tensor, positions: Tensor | float, scale: float) -> Tensor:
        """A layer's distance for each of N images, >= 0, from the sums over its positions.

        The number of positions is one for all images, or N where not the `whole` counts.
        Differentiable, also at 0.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class Located(Distance):
    """A mean over positions of what they differ by, or its root."""

    difference: Callable[[Tensor, Tensor, float], Tensor]
    """Feature, change and scale → each position's difference, N×C×H×W → N×H×W, >= 0."""
    scale_power: int
    """Power of the layer's scale that the mean is divided by."""
    root: bool
    of_change: bool = False

    def sums(self, f: Tensor, d: Tensor, scale: float, _: Tensor | None = None) -> Tensor:
        f, d = at_least_float32(f), at_least_float32(d)
        return self.difference(f, d, scale).sum((1, 2))

    def finished(self, sums: Tensor, positions: Tensor | float, scale: float) -> Tensor:
        mean = sums / positions / scale**self.scale_power
        return safe_sqrt(mean) if self.root else mean


def _mean_square(_: Tensor, d: Tensor, __: float) -> Tensor:
    return d.square().sum(1) / d.shape[1]


def _mean_absolute(_: Tensor, d: Tensor, __: float) -> Tensor:
    return d.abs().mean(1)


def _apart(f: Tensor, d: Tensor, _: float) -> Tensor:
    return _direction_change(f, d).square().sum(1)


def _divided(f: Tensor, d: Tensor, scale: float) -> Tensor:
    """mean (f − g)² / (mean (f² + g²)/2 + c·σ²), means over channels; f² + g² = 2·f·(f+d) + d²."""
    change = d.square().mean(1)
    contrast = (f * (f + d)).mean(1) + change / 2
    nothing = contrast.detach() - contrast.detach()  # What is not finite is no small difference.
    return change / (contrast + SATURATION * scale**2) + nothing


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


@dataclass(frozen=True)
class Gram(Distance):
    """Frobenius norm of the change of the Gram matrix, over C·H·W and σ²."""

    has_positions = False

    def sums(self, f: Tensor, d: Tensor, _: float, __: Tensor | None = None) -> Tensor:
        return gram_change(at_least_float32(f), at_least_float32(d))

    def finished(self, sums: Tensor, positions: Tensor | float, scale: float) -> Tensor:
        norm = safe_sqrt(sums.square().sum((1, 2)))
        return norm / (sums.shape[1] * positions) / scale**2


@dataclass(frozen=True)
class Structure(Distance):
    """Mean over channels of how their means and their structures differ, both counted alike.

    (μ_f − μ_g)² / (μ_f² + μ_g² + c) is 1 less the similarity of texture of Ding et al. 2020
    (DISTS), and var(f − g) / (var f + var g + c) is 1 less that of structure.
    """

    has_positions = False
    whole = True

    def sums(self, f: Tensor, d: Tensor, _: float, changed: Tensor | None = None) -> Tensor:
        import torch

        f, d, changed = map(at_least_float32, (f, d, f if changed is None else changed))
        parts = (f, d, f.square(), changed * d, d.square())
        return torch.stack([part.sum((2, 3)) for part in parts], 1)

    def finished(self, sums: Tensor, positions: Tensor | float, scale: float) -> Tensor:
        f, d, ff, fd, dd = (sums / positions).unbind(1)
        steady = STEADY * scale**2
        means = f.square() + (f + d).square()
        var_f, var_d = ((ff - f.square()).clamp_min(0), (dd - d.square()).clamp_min(0))
        var_g = (var_f + 2 * (fd - f * d) + var_d).clamp_min(0)
        mean = d.square() / (means + steady)
        structure = var_d / (var_f + var_g + steady)
        return (mean + structure).mean(1) / 2


@dataclass(frozen=True)
class Correlation(Distance):
    """1 − the squared distance correlation of both images' channels (Zhu et al. 2022, DeepDC), or
    its root.

    Each channel is a point with a coordinate per position. The distances between them, rows and
    columns centred, are correlated (Székely et al. 2007). They follow from Gram matrices.
    """

    root: bool = False

    has_positions = False
    whole = True

    def sums(self, f: Tensor, d: Tensor, _: float, changed: Tensor | None = None) -> Tensor:
        import torch

        f, d, changed = map(at_least_float32, (f, d, f if changed is None else changed))
        return torch.stack((gram(f), gram_change(changed, d)), 1)

    def finished(self, sums: Tensor, positions: Tensor | float, scale: float) -> Tensor:
        squares, changes = _squared_distances(sums / positions / scale**2).unbind(1)
        before = (squares.clamp_min(0) + NEAR).sqrt()
        after = ((squares + changes).clamp_min(0) + NEAR).sqrt()
        f, d = (
            _centred(x).flatten(1)[..., None, None] for x in (before, changes / (before + after))
        )
        apart = _direction_change(f, d).square().sum((1, 2, 3)) / 2
        return safe_sqrt(apart) if self.root else apart


@dataclass(frozen=True)
class ByDepth:
    """One distance in layers whose positions are fine, and another in deeper ones."""

    shallow: Distance
    deep: Distance

    def at(self, layer: Layer) -> Distance:
        """The one in this layer."""
        return self.shallow if layer.stride <= FINE else self.deep


def _squared_distances(grams: Tensor) -> Tensor:
    """Squared distances of the points whose products these are, …×C×C."""
    norms = grams.diagonal(dim1=-2, dim2=-1)
    return norms[..., None] + norms[..., None, :] - 2 * grams


def _centred(x: Tensor) -> Tensor:
    """Without the means of rows and columns, N×C×C."""
    return x - x.mean(1, keepdim=True) - x.mean(2, keepdim=True) + x.mean((1, 2), keepdim=True)


# Divisive normalisation, Heeger 1992, eq. 1; Laparra et al. 2016 compare images by it.
DIVISIVE = Located("divisive", True, _divided, scale_power=0, root=True)

DISTANCES: dict[str, Distance] = {
    distance.name: distance
    for distance in (
        # Johnson et al. 2016, eq. 2, before squaring; l1 is its Manhattan sibling.
        Located("l2", True, _mean_square, scale_power=2, root=True, of_change=True),
        Located("l1", True, _mean_absolute, scale_power=1, root=False, of_change=True),
        # Johnson et al. 2016, eq. 2.
        Located("mse", True, _mean_square, scale_power=2, root=False, of_change=True),
        # Its square is Zhang et al. 2018 (LPIPS), eq. 1, with w = 1.
        Located("unit", False, _apart, scale_power=0, root=True),
        DIVISIVE,
        # Gatys et al. 2016; Johnson et al. 2016, eq. 4.
        Gram("gram", True),
        Structure("structure", True),
        Correlation("correlation", True),
    )
}
"""Those that are the same in all layers."""

BY_DEPTH = {
    # benchmarks/human measures how people agree with it.
    "appearance": ByDepth(DIVISIVE, Correlation("correlation", True, root=True)),
}


def distance_named(name: str) -> Distance | ByDepth:
    """The distance of that name; PerceptError if there is none."""
    known = DISTANCES | BY_DEPTH
    if name not in known:
        raise PerceptError(f"unknown distance {name!r}: choose one of {', '.join(known)}")
    return known[name]


def distances_in(layers: Iterable[str], name: str) -> dict[str, Distance]:
    """What the distance of that name is in each of these layers; PerceptError if there is none."""
    distance = distance_named(name)
    if isinstance(distance, ByDepth):
        return {layer: distance.at(LAYERS[layer]) for layer in layers}
    return dict.fromkeys(layers, distance)


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

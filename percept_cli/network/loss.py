"""Losses to train with: the perceptual distance that `percept compare` reports, and style's.

L(x, y) = Σᵢ wᵢ·dᵢ(x, y) / Σᵢ wᵢ, where dᵢ is the distance of the features of layer i.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from percept_cli.errors import PerceptError
from percept_cli.network.bands import sums_over
from percept_cli.network.distances import at_least_float32, distances_in, gram
from percept_cli.network.layers import DEFAULT_LAYERS, LAYERS, Layer, chosen, weighted
from percept_cli.network.scales import applied
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load

ROUNDING = 1e-3
"""How far beyond the range a value may lie, as a share of it: half precision rounds that much."""

STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
"""The layers that Gatys et al. 2016 match the style in."""

REDUCTIONS = ("mean", "sum", "none")


class Maker(NamedTuple):
    """What a loss must have in common with one that prepared something for it."""

    layers: tuple[str, ...]
    weights_sha256: str
    resize: tuple[int, int] | None
    device: torch.device


@dataclass(frozen=True)
class Prepared:
    """A target's features, computed once for many inputs; no gradient reaches it."""

    images: Tensor = field(repr=False)
    """N×3×H×W in [0, 1], before they are resized."""
    features: Mapping[str, Tensor] = field(repr=False)
    maker: Maker


@dataclass(frozen=True)
class Style:
    """Gram matrices of one or more images' layers, each over its positions, N×C×C."""

    grams: Mapping[str, Tensor] = field(repr=False)
    maker: Maker


class _Loss(nn.Module):
    """Weighted mean over layers of a distance between two batches of images, and its options."""

    def __init__(
        self,
        layers: Sequence[str] = DEFAULT_LAYERS,
        layer_weights: Mapping[str, float] | None = None,
        distance: str = "l2",
        raw: bool = False,
        weights: str = "bundled",
        *,
        reduction: str = "mean",
        resize: int | tuple[int, int] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        check_range: bool = True,
        checkpointing: bool = False,
    ) -> None:
        super().__init__()
        names = chosen(layers)
        _check_pair("input_range", input_range)
        low, high = input_range
        if not (low < high and math.isfinite(high - low)):
            raise PerceptError(f"input_range {input_range}: give the least value and the largest")
        if isinstance(resize, int):
            resize = resize, resize
        if resize is not None:
            _check_pair("resize", resize)
            least = LAYERS[names[-1]].stride
            if min(resize) < least or not all(isinstance(side, int) for side in resize):
                raise PerceptError(
                    f"resize {resize}: give a height and a width, whole, of {least} or more"
                )
        self.layer_weights = weighted(names, {} if layer_weights is None else layer_weights)
        self.distance = distance
        self._distances = distances_in(names, distance)
        self.reduction = _checked_reduction(reduction)
        self.resize = resize
        self.input_range = input_range
        self.check_range = check_range
        self.checkpointing = checkpointing
        loaded = load(weights)
        self._weights_sha256 = loaded.sha256
        self.network = VGG19(loaded, names[-1])
        self.scale = applied(loaded, self._distances, raw)
        self._seen: set[tuple[str, torch.device]] = set()

    def total(self, distances: Mapping[str, Tensor]) -> Tensor:
        """The weighted mean over layers, reduced over the images."""
        terms = [self.layer_weights[name] * distance for name, distance in distances.items()]
        total = torch.stack(terms).sum(0) / sum(self.layer_weights.values())
        return _reduced(total, self.reduction)

    def extra_repr(self) -> str:
        weights = ", ".join(f"{name}={weight:g}" for name, weight in self.layer_weights.items())
        return f"{self.distance}, {weights}, reduction={self.reduction}"

    @property
    def _maker(self) -> Maker:
        device = self.network.mean.device
        return Maker(self._names, self._weights_sha256, self.resize, device)

    def _check_maker(self, maker: Maker, role: str) -> None:
        others = zip(Maker._fields, maker, self._maker, strict=True)
        differing = [name.replace("_", " ") for name, its, ours in others if its != ours]
        if differing:
            raise PerceptError(
                f"the {role} was prepared by a loss of other {' and '.join(differing)}: "
                "prepare it with this one"
            )

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.layer_weights)

    def _images(self, images: Tensor, role: str) -> Tensor:
        """Images in the input range: N×3×H×W in [0, 1]."""
        self._check(images, role)
        low, high = self.input_range
        return images if (low, high) == (0, 1) else (images - low) / (high - low)

    def _sized(self, images: Tensor, role: str) -> Tensor:
        """What the network sees of N×3×H×W images in [0, 1]."""
        if self.resize is not None:
            whole = at_least_float32(images)
            images = functional.interpolate(whole, self.resize, mode="bicubic", antialias=True)
            # Bicubic overshoots at edges, by what no image can hold.
            low = whole.detach().amin((1, 2, 3), keepdim=True).clamp(max=0)
            high = whole.detach().amax((1, 2, 3), keepdim=True).clamp(min=1)
            images = images.clamp(low, high)
        least = LAYERS[self._names[-1]].stride
        if min(images.shape[2:]) < least:
            shape = tuple(images.shape)
            raise PerceptError(f"{role} has shape {shape}: give {least}×{least} pixels or more")
        return images

    def _check(self, images: Tensor, role: str) -> None:
        if not isinstance(images, Tensor):
            raise PerceptError(f"{role} is a {type(images).__name__}: give a tensor")
        shape = tuple(images.shape)
        if len(shape) != 4 or shape[1] != 3:
            raise PerceptError(f"{role} has shape {shape}: give N×3×H×W images")
        if not images.numel():
            raise PerceptError(f"{role} has shape {shape}: it is empty")
        if not images.is_floating_point():
            raise PerceptError(f"{role} holds {images.dtype}: give floating point")
        self._check_device(images, role)
        if self.check_range and self._may_look(images, role):
            _check_range(
                images,
                role,
                self.input_range,
                "scale or clamp them, declare another input_range, or switch check_range off",
            )

    def _check_device(self, values: Tensor, role: str) -> None:
        if values.device != self.network.mean.device:
            raise PerceptError(
                f"{role} is on {values.device}, the loss on {self.network.mean.device}: "
                "move one of them with .to()"
            )

    def _may_look(self, values: Tensor, role: str) -> bool:
        """Whether values may be read, which makes the host wait for an accelerator: there once."""
        if torch.compiler.is_compiling():
            return False
        if values.device.type == "cpu":
            return True
        is_first = (role, values.device) not in self._seen
        self._seen.add((role, values.device))
        return is_first

    def _inside(self, mask: Tensor, images: Tensor) -> Tensor:
        """The mask, in 0..1, of these images."""
        expected = (images.shape[0], 1, *images.shape[2:])
        if not isinstance(mask, Tensor):
            raise PerceptError(f"mask is a {type(mask).__name__}: give a tensor")
        if tuple(mask.shape) != expected:
            raise PerceptError(f"mask has shape {tuple(mask.shape)}: give {expected}")
        inside = at_least_float32(mask) if mask.is_floating_point() else mask.float()
        self._check_device(inside, "mask")
        if self._may_look(inside, "mask"):
            _check_range(inside, "mask", (0.0, 1.0), "scale or clamp them")
        return inside


class PerceptualLoss(_Loss):
    """Weighted mean over layers of the distance between two batches of images.

    With `l2` and equal weights the Euclidean perceptual loss (Johnson et al. 2016, eq. 2, before
    squaring). All options mean what they mean to `percept compare`, and besides:

    `reduction`: `mean` or `sum` over the batch, or `none`.
    `resize`: side, or height and width, that both are brought to first (bicubic, antialiased).
    `input_range`: least and largest value of the images; (-1, 1) and (0, 255) are usual as well.
    `check_range`: whether values outside that range raise PerceptError: they nearly always are in
    another by mistake. On the CPU every batch is looked at, on an accelerator the first, so that
    training never waits; under torch.compile none is. Off, for models that may overshoot.
    `checkpointing`: the backward pass computes features again, in bands of about 1024×256 pixels
    a time, instead of keeping them: large images need much less memory, and more time.

    The network's weights and the mean and standard deviation of its inputs are non-persistent
    buffers: they follow `.to()`, take no gradient and are in no checkpoint. Under autocast the
    network runs in its precision, while distances accumulate in float32.

    Raises PerceptError for options that mean nothing and for weights that cannot be used.
    """

    def forward(
        self, input: Tensor, target: Tensor | Prepared, mask: Tensor | None = None
    ) -> Tensor:
        """The total distance, >= 0: a scalar, or a value for each image with `reduction="none"`.

        What it takes and raises is what `layer_distances` does.
        """
        return self.total(self.layer_distances(input, target, mask))

    def layer_distances(
        self, input: Tensor, target: Tensor | Prepared, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Each layer's distance for each image, with its graph: name → N values, >= 0.

        Both are N×3×H×W, or the target is prepared, N images or 1 for all. With a `mask`, N×1×H×W
        in 0..1, only what is inside counts: outside, the input is taken to be the target. So no
        gradient reaches it, while what is inside is still seen in its surroundings; and means are
        over the mask's area, but for fully connected layers, and for `structure`, `correlation` and
        what `appearance` is in deep layers, which are of whole images.

        Raises PerceptError for values outside the range, channels other than 3, shapes that differ,
        images too small for the deepest layer, tensors on another device than the loss, and a
        target that was prepared in another precision.
        """
        images = self._images(input, "input")
        prepared = None
        if isinstance(target, Prepared):
            self._check_maker(target.maker, "target")
            prepared, goal = target, target.images
        else:
            goal = self._images(target, "target")
        if prepared and goal.shape[0] == 1:
            goal = goal.expand(images.shape[0], -1, -1, -1)
        if images.shape != goal.shape:
            raise PerceptError(
                f"input {tuple(images.shape)} and target {tuple(goal.shape)}: give equal shapes"
            )
        share: Tensor | float = 1.0
        if mask is not None:
            inside = self._inside(mask, images)
            images = torch.where(inside > 0, goal + inside * (images - goal), goal)
            share = inside.mean((1, 2, 3)).clamp_min(1 / inside[0].numel())
        seen = self._sized(images, "input")

        def summed(name: str, rows: slice, f: Tensor, *other: Tensor) -> Tensor:
            g = prepared.features[name][:, :, rows] if prepared else other[0]
            if g.dtype != f.dtype:
                raise PerceptError(
                    f"target prepared in {g.dtype}, input computed in {f.dtype}: prepare it under "
                    "the same autocast and precision"
                )
            with torch.autocast(f.device.type, enabled=False):
                f, g = at_least_float32(f), at_least_float32(g)
                return self._distances[name].sums(g.expand_as(f), f - g, self.scale[name])

        compared = (seen,) if prepared else (seen, self._sized(goal, "target"))
        found = {}
        sums = sums_over(self.network, self._names, compared, summed, self.checkpointing)
        for name, of_layer in sums.items():
            layer, distance = LAYERS[name], self._distances[name]
            everywhere = layer.kind == "fc" or distance.whole
            counted = _positions(layer, seen) * (1.0 if everywhere else share)
            found[name] = distance.finished(of_layer, counted, self.scale[name])
        return found

    @torch.inference_mode(False)
    @torch.no_grad()
    def prepare(self, target: Tensor) -> Prepared:
        """A target's features, N×3×H×W, to be given as the target of many inputs.

        They are all kept, with `checkpointing` too. Raises PerceptError as `layer_distances` does.
        """
        images = self._images(target, "target")
        parts: dict[str, list[Tensor]] = {name: [] for name in self._names}

        def kept(name: str, _: slice, f: Tensor) -> Tensor:
            parts[name].append(f)
            return f.new_zeros(())

        # In the bands that the input will go in: equal images then give equal features.
        seen = (self._sized(images, "target"),)
        sums_over(self.network, self._names, seen, kept, self.checkpointing)
        features = {name: torch.cat(bands, 2) for name, bands in parts.items()}
        return Prepared(images.detach().clone(), features, self._maker)


class StyleLoss(_Loss):
    """Weighted mean over layers of the distance between Gram matrices (Gatys et al. 2016).

    A layer's distance is `gram`: ‖gram(F) − gram(G)‖ over σ², where each Gram matrix is divided by
    its own C·H·W, so that the style image may have another size than the input. The options are
    those of `PerceptualLoss` but for `distance`, with the paper's layers by default.
    """

    def __init__(
        self,
        layers: Sequence[str] = STYLE_LAYERS,
        layer_weights: Mapping[str, float] | None = None,
        raw: bool = False,
        weights: str = "bundled",
        **options: Any,
    ) -> None:
        super().__init__(layers, layer_weights, "gram", raw, weights, **options)

    def forward(self, input: Tensor, style: Tensor | Style) -> Tensor:
        """The total distance, >= 0: a scalar, or a value for each image with `reduction="none"`."""
        return self.total(self.layer_distances(input, style))

    def layer_distances(self, input: Tensor, style: Tensor | Style) -> dict[str, Tensor]:
        """Each layer's distance for each image, with its graph: name → N values, >= 0.

        The input is N×3×H×W; the style is N×3×H×W or 1×3×H×W, of any size, or prepared. Raises
        PerceptError as that of `PerceptualLoss` does.
        """
        if isinstance(style, Style):
            self._check_maker(style.maker, "style")
        given = style.grams if isinstance(style, Style) else self._grams(style, "style")
        found = {}
        for name, matrix in self._grams(input, "input").items():
            if given[name].shape[0] not in (1, matrix.shape[0]):
                raise PerceptError(
                    f"{given[name].shape[0]} styles for {matrix.shape[0]} images: give one for all "
                    "or one for each"
                )
            apart = matrix - given[name]
            found[name] = self._distances[name].finished(apart, 1, self.scale[name])
        return found

    @torch.inference_mode(False)
    @torch.no_grad()
    def prepare(self, style: Tensor) -> Style:
        """The Gram matrices of one or more style images, N×3×H×W, to be given again and again."""
        return Style(self._grams(style, "style"), self._maker)

    def _grams(self, images: Tensor, role: str) -> dict[str, Tensor]:
        """Each layer's Gram matrix, over H·W: N×3×H×W → name → N×C×C."""
        seen = self._sized(self._images(images, role), role)

        def summed(_: str, __: slice, f: Tensor) -> Tensor:
            with torch.autocast(f.device.type, enabled=False):
                return gram(at_least_float32(f))

        sums = sums_over(self.network, self._names, (seen,), summed, self.checkpointing)
        return {name: matrix / _positions(LAYERS[name], seen) for name, matrix in sums.items()}


def total_variation(images: Tensor, reduction: str = "mean") -> Tensor:
    """How rough images are: mean |difference| of neighbours, down plus across, >= 0.

    The anisotropic total variation (Rudin et al. 1992) over the number of differences: N×C×H×W of
    2 pixels or more a side → a scalar, or N values with `reduction="none"`. Raises PerceptError for
    other shapes, types and reductions.
    """
    if not isinstance(images, Tensor):
        raise PerceptError(f"images are a {type(images).__name__}: give a tensor")
    if images.ndim != 4 or min(images.shape[2:]) < 2 or not images.numel():
        raise PerceptError(f"images have shape {tuple(images.shape)}: give N×C×H×W, 2×2 or more")
    if not images.is_floating_point():
        raise PerceptError(f"images hold {images.dtype}: give floating point")
    images = at_least_float32(images)
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().mean((1, 2, 3))
    across = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
    return _reduced(down + across, _checked_reduction(reduction))


def _reduced(values: Tensor, reduction: str) -> Tensor:
    """N values, or their mean or sum."""
    if reduction == "none":
        return values
    return values.mean() if reduction == "mean" else values.sum()


def _check_range(values: Tensor, role: str, bounds: tuple[float, float], cure: str) -> None:
    least, most = bounds
    room = ROUNDING * (most - least)
    low, high = (float(bound) for bound in values.detach().aminmax())
    if not (low >= least - room and high <= most + room):
        raise PerceptError(
            f"{role} has values from {low:g} to {high:g}, outside [{least:g}, {most:g}]: {cure}"
        )


def _check_pair(option: str, value: Any) -> None:
    is_pair = isinstance(value, Sequence) and len(value) == 2
    if not (is_pair and all(isinstance(one, int | float) for one in value)):
        raise PerceptError(f"{option} {value!r}: give two numbers")


def _checked_reduction(reduction: str) -> str:
    if reduction not in REDUCTIONS:
        raise PerceptError(
            f"unknown reduction {reduction!r}: choose one of {', '.join(REDUCTIONS)}"
        )
    return reduction


def _positions(layer: Layer, images: Tensor) -> int:
    """Positions of a layer of these images."""
    height, width = (1 if layer.kind == "fc" else n // layer.stride for n in images.shape[2:])
    return height * width

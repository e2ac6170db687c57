"""The perceptual distance as a loss to train with: the numbers that `percept compare` reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from percept_cli.errors import PerceptError
from percept_cli.network.distances import distance_named, layer_distance
from percept_cli.network.layers import DEFAULT_LAYERS, LAYERS, chosen, weighted
from percept_cli.network.scales import applied
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load

ROUNDING = 1e-3
"""How far beyond [0, 1] a value may lie: half precision rounds that much."""


class PerceptualLoss(nn.Module):
    """Weighted mean over layers of the distance between two batches of images.

    L(x, y) = Σᵢ wᵢ·dᵢ(x, y) / Σᵢ wᵢ, where dᵢ is the distance of the features of layer i; with
    `l2` and equal weights the Euclidean perceptual loss (Johnson et al. 2016, eq. 2, before
    squaring). All options mean what they mean to `percept compare`.

    The network's weights and the mean and standard deviation of its inputs are non-persistent
    buffers: they follow `.to()`, take no gradient and are in no checkpoint.

    Values outside [0, 1] raise PerceptError: nearly always they are in another range by mistake.
    For a model whose outputs may overshoot, `check_range=False` takes them as they are.

    Raises PerceptError for options that mean nothing and for weights that cannot be used.
    """

    def __init__(
        self,
        layers: Sequence[str] = DEFAULT_LAYERS,
        layer_weights: Mapping[str, float] | None = None,
        distance: str = "l2",
        raw: bool = False,
        weights: str = "bundled",
        check_range: bool = True,
    ) -> None:
        super().__init__()
        names = chosen(layers)
        self.check_range = check_range
        self.layer_weights = weighted(names, layer_weights or {})
        self.distance = distance_named(distance)
        loaded = load(weights)
        self.network = VGG19(loaded, names[-1])
        self.scale = applied(loaded, self.distance, names, raw)

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch of the total distance: two N×3×H×W in [0, 1] → scalar, >= 0.

        Raises PerceptError for values outside [0, 1], channels other than 3, shapes that differ,
        images too small for the deepest layer, and tensors on another device than the loss.
        """
        distances = self.layer_distances(input, target)
        weighted = [self.layer_weights[name] * distance for name, distance in distances.items()]
        return torch.stack(weighted).sum(0).mean() / sum(self.layer_weights.values())

    def layer_distances(self, input: Tensor, target: Tensor) -> dict[str, Tensor]:
        """Each layer's distance for each image: two N×3×H×W in [0, 1] → name → N, >= 0.

        Raises PerceptError as `forward` does.
        """
        self._check(input, target)
        names = tuple(self.layer_weights)
        pairs = zip(
            self.network.features(input, names), self.network.features(target, names), strict=True
        )
        return {
            name: layer_distance(self.distance, g, f - g, self.scale[name])
            for (name, f), (_, g) in pairs
        }

    def _check(self, input: Tensor, target: Tensor) -> None:
        for role, images in (("input", input), ("target", target)):
            if not isinstance(images, Tensor):
                raise PerceptError(f"{role} is a {type(images).__name__}: give a tensor")
        if input.shape != target.shape:
            raise PerceptError(
                f"input {tuple(input.shape)} and target {tuple(target.shape)}: give equal shapes"
            )
        least = LAYERS[tuple(self.layer_weights)[-1]].stride
        for role, images in (("input", input), ("target", target)):
            shape = tuple(images.shape)
            if len(shape) != 4 or shape[1] != 3:
                raise PerceptError(f"{role} has shape {shape}: give N×3×H×W images")
            if not shape[0]:
                raise PerceptError(f"{role} has shape {shape}: the batch is empty")
            if min(shape[2:]) < least:
                raise PerceptError(f"{role} has shape {shape}: give {least}×{least} pixels or more")
            if images.device != self.network.mean.device:
                raise PerceptError(
                    f"{role} is on {images.device}, the loss on {self.network.mean.device}: "
                    f"move the loss with .to({str(images.device)!r})"
                )
            if not self.check_range:
                continue
            low, high = (float(bound) for bound in images.detach().aminmax())
            if not (low >= -ROUNDING and high <= 1 + ROUNDING):
                raise PerceptError(
                    f"{role} has values from {low:g} to {high:g}: scale or clamp them to [0, 1], "
                    "or switch check_range off"
                )

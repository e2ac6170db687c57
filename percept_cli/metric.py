"""The distance as a metric of torchmetrics, for evaluation while a model is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from percept_cli.errors import PerceptError
from percept_cli.network.layers import DEFAULT_LAYERS
from percept_cli.network.loss import PerceptualLoss

try:
    from torchmetrics import Metric
except (ImportError, RuntimeError) as error:  # It imports torchvision, which must fit torch.
    raise PerceptError(
        f"torchmetrics cannot be imported ({error}): run 'pip install \"percept-cli[metrics]\"'; "
        "a torchvision beside it must belong to this torch"
    ) from error


class PerceptualDistance(Metric):
    """Mean total of `percept compare` over all images seen, >= 0; smaller is nearer.

    Its options mean what they mean to `PerceptualLoss`. With `per_layer` each layer's mean is
    computed as well. Other arguments are those of torchmetrics.Metric; under distributed evaluation
    sums and counts are added up over processes, so that each image counts the same.

    Raises PerceptError for options that mean nothing.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0

    sums: Tensor
    count: Tensor

    def __init__(
        self,
        layers: Sequence[str] = DEFAULT_LAYERS,
        layer_weights: Mapping[str, float] | None = None,
        distance: str = "l2",
        raw: bool = False,
        weights: str = "bundled",
        *,
        resize: int | tuple[int, int] | None = None,
        input_range: tuple[float, float] = (0.0, 1.0),
        per_layer: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(**more)
        self.per_layer = per_layer
        self.loss = PerceptualLoss(
            layers,
            layer_weights,
            distance,
            raw,
            weights,
            reduction="none",
            resize=resize,
            input_range=input_range,
        )
        names = list(self.loss.layer_weights)
        zeros = torch.zeros(1 + len(names), dtype=torch.float64)
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take candidates and references, N×3×H×W in the input range; PerceptError as the loss."""
        distances = self.loss.layer_distances(preds, target)
        total = self.loss.total(distances)
        found = torch.stack([total, *distances.values()]).double().sum(1)
        self.sums += found.to(self.sums.device)
        self.count += len(preds)

    def compute(self) -> Tensor | dict[str, Tensor]:
        """The mean total, or name → mean of `total` and of each layer; NaN before any update."""
        means = self.sums / self.count
        if not self.per_layer:
            return means[0]
        return dict(zip(("total", *self.loss.layer_weights), means, strict=True))

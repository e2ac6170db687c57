"""VGG19 as Simonyan & Zisserman 2015 (configuration E) give it, frozen, up to a chosen depth."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from percept_cli.errors import PerceptError
from percept_cli.network.convolution import convolve_padded
from percept_cli.network.layers import LAYERS, ORDER, POOLED, Layer
from percept_cli.network.pooling import pool
from percept_cli.network.weights import Weights


class VGG19(nn.Module):
    """The layers of VGG19 up to the deepest one asked for.

    All tensors are non-persistent buffers: they follow `.to()`, take no gradient, and neither an
    optimiser nor a checkpoint of the module that holds this one ever sees them. The ReLUs and
    poolings have no state and there is no dropout, so training mode changes nothing.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: Weights, deepest: str) -> None:
        super().__init__()
        if deepest not in weights.layers:
            raise PerceptError(
                f"the weights {weights.name} end at {weights.layers[-1]}, before {deepest}: choose "
                "others, such as torchvision's, or shallower layers"
            )
        self.steps = tuple(LAYERS[name] for name in ORDER[: ORDER.index(deepest) + 1])
        self._statistics = {"mean": weights.mean, "std": weights.std}
        for name, values in self._statistics.items():
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)
        for layer in self.steps:
            if layer.kind in ("conv", "fc"):
                for part in ("weight", "bias"):
                    tensor = weights.tensors[f"{layer.name}.{part}"]
                    self.register_buffer(f"{layer.name}_{part}", tensor, persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> VGG19:
        """Also in half precision mean and std stay in float32: 1/255 would be 0.4 % off."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, values in self._statistics.items():
            moved = self.get_buffer(name)
            if moved.element_size() < 4:
                setattr(self, name, torch.tensor(values, device=moved.device).view(1, 3, 1, 1))
        return self

    @property
    def dtype(self) -> torch.dtype:
        """The precision of the layers."""
        return self.parameters_of("conv1_1")[0].dtype

    @property
    def layout(self) -> torch.memory_format:
        """The memory format of the weights, which features have as well."""
        first = self.parameters_of("conv1_1")[0]
        return torch.contiguous_format if first.is_contiguous() else torch.channels_last

    def features(self, images: Tensor, layers: Collection[str]) -> Iterator[tuple[str, Tensor]]:
        """Name and feature, N×C×H×W, of each of these layers, for N×3×H×W images in [0, 1].

        The ReLUs run in place except over a feature that is given out. The fully connected layers
        give N×C×1×1.
        """
        x = ((images - self.mean) / self.std).to(self.dtype).contiguous(memory_format=self.layout)
        given = False
        for layer, name in self.plan(layers):
            if layer.kind == "conv":
                x = convolve_padded(x, *self.parameters_of(layer.name))
            elif layer.kind == "relu":
                x = functional.relu(x, inplace=not given)
            elif layer.kind == "pool":
                x = pool(x)
            else:
                x = self._fully_connected(x, layer.name)
            given = name is not None
            if name:
                yield name, x

    def plan(self, layers: Collection[str]) -> Iterator[tuple[Layer, str | None]]:
        """The steps, each with the name under which its outcome is asked for.

        A ReLU that only a pooling reads comes after it: the same values from a quarter of the work.
        """
        following = (*self.steps[1:], None)
        late: Layer | None = None
        for step, after in zip(self.steps, following, strict=True):
            wanted = step.name if step.name in layers else None
            if step.kind == "relu" and after and after.kind == "pool" and not wanted:
                late = step
            elif step.kind == "pool" and late:
                yield step, None
                yield late, wanted
                late = None
            else:
                yield step, wanted

    def _fully_connected(self, x: Tensor, name: str) -> Tensor:
        x = functional.adaptive_avg_pool2d(x, POOLED) if name == "fc6" else functional.relu(x)
        return functional.linear(x.flatten(1), *self.parameters_of(name))[:, :, None, None]

    def parameters_of(self, name: str) -> tuple[Tensor, Tensor]:
        """Weight and bias of a convolution or a fully connected layer."""
        return self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")

"""The layers of VGG19 as plain facts: names, sizes and cost. Nothing here needs torch."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Literal

from percept_cli.errors import PerceptError

BLOCKS = ((64, 2), (128, 2), (256, 4), (512, 4), (512, 4))
"""Output channels and convolutions of each block: configuration E of Simonyan & Zisserman 2015."""

POOLED = 7
"""Rows and columns the fully connected layers read, whatever the size of the image."""

FULLY_CONNECTED = (("fc6", 512 * POOLED**2, 4096), ("fc7", 4096, 4096), ("fc8", 4096, 1000))
"""Name, inputs and outputs of the fully connected layers."""

DEFAULT_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")

MOST_WEIGHT = 1e6

Kind = Literal["conv", "relu", "pool", "fc"]


@dataclass(frozen=True)
class Layer:
    """One named activation of VGG19."""

    name: str
    kind: Kind
    channels: int
    stride: int
    """Pixels between two positions; the smallest image has this many on each side."""
    receptive_field: int | None
    """Side, in pixels, of the square one position sees; None for the whole image."""
    reach_before: int
    """Pixels a position sees to the left of, and above, the first of its own."""
    multiplications: int
    """Multiplications up to and with this layer, for an image of 224×224 pixels."""

    @property
    def reach_after(self) -> int:
        """Pixels a position sees to the right of, and below, the first of its own."""
        return (self.receptive_field or 1) - 1 - self.reach_before


def _network() -> Iterable[Layer]:
    channels, stride, field, before, cost, side = 3, 1, 1, 0, 0, 224
    for block, (width, convolutions) in enumerate(BLOCKS, start=1):
        for index in range(1, convolutions + 1):
            field += 2 * stride
            before += stride
            cost += 9 * channels * width * side**2
            channels = width
            yield Layer(f"conv{block}_{index}", "conv", channels, stride, field, before, cost)
            yield Layer(f"relu{block}_{index}", "relu", channels, stride, field, before, cost)
        field += stride
        stride, side = 2 * stride, side // 2
        yield Layer(f"pool{block}", "pool", channels, stride, field, before, cost)
    for name, inputs, outputs in FULLY_CONNECTED:
        cost += inputs * outputs
        yield Layer(name, "fc", outputs, stride, None, before, cost)


LAYERS = {layer.name: layer for layer in _network()}
"""Every layer by its name, in network order."""

ORDER = tuple(LAYERS)


def relative_cost(layer: Layer) -> float:
    """Multiplications up to this layer, over those up to conv4_1."""
    return layer.multiplications / LAYERS["conv4_1"].multiplications


def known(name: str) -> Layer:
    """The layer of that name; PerceptError with the nearest name if there is none."""
    if isinstance(name, str) and name in LAYERS:
        return LAYERS[name]
    near = difflib.get_close_matches(str(name).lower(), ORDER, n=1, cutoff=0.75)
    hint = f"did you mean {near[0]}?" if near else "'percept layers' lists them"
    raise PerceptError(f"unknown layer {name!r}: {hint}")


def chosen(names: Iterable[str] | str) -> tuple[str, ...]:
    """These layers, or those in one text with commas, in network order.

    Raises PerceptError if one is unknown or twice there, or none is.
    """
    if isinstance(names, str):
        names = (name.strip() for name in names.split(",") if name.strip())
    if not isinstance(names, Iterable):
        raise PerceptError(f"layers {names!r}: give a list of names")
    names = [known(name).name for name in names]
    if not names:
        raise PerceptError("no layer chosen: name at least one, 'percept layers' lists them")
    if doubled := {name for name in names if names.count(name) > 1}:
        raise PerceptError(f"layer {min(doubled)} is named twice: name it once")
    return tuple(sorted(names, key=ORDER.index))


def weighted(names: Iterable[str], weights: Mapping[str, float]) -> dict[str, float]:
    """Each of these layers' weight in the total, 1 unless given.

    Raises PerceptError for a weight of another layer, one that is negative or not finite, and if
    all are 0.
    """
    total = dict.fromkeys(names, 1.0)
    if not isinstance(weights, Mapping):
        raise PerceptError(f"layer weights {weights!r}: give a mapping from layers to numbers")
    for name, weight in weights.items():
        if known(name).name not in total:
            raise PerceptError(f"layer weight for {name}, which is not among the chosen layers")
        if not (isinstance(weight, Real) and 0 <= weight <= MOST_WEIGHT):
            raise PerceptError(f"layer weight {name}={weight!r}: give a number from 0 to 1e6")
        total[name] = float(weight)
    if not any(total.values()):
        raise PerceptError("all layer weights are 0: give at least one layer a weight")
    return total

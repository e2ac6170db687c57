"""Recipes with a name: which choices make a distance for which purpose."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field

from percept_cli.errors import PerceptError
from percept_cli.network.layers import DEFAULT_LAYERS


@dataclass(frozen=True)
class Preset:
    """Choices that belong together."""

    name: str
    purpose: str
    distance: str
    layers: tuple[str, ...] = DEFAULT_LAYERS
    layer_weights: Mapping[str, float] = field(default_factory=dict)
    blur: float = 0.0
    tolerance: int = 0
    floor: float = 0.0
    area: float = 0.0
    colour: float = 0.0
    shrink: int = 0


PRESETS = {
    preset.name: preset
    for preset in (
        Preset("photo", "photographs and what models make of them", "l2"),
        # benchmarks/human measures how people agree with these choices.
        Preset(
            "quality",
            "photographs, as people rate them; in just noticeable differences",
            "appearance",
            layers=("relu2_2", "relu3_4"),
            shrink=224,
        ),
        # benchmarks/rendering measures what these choices are worth.
        Preset(
            "rendering",
            "pages and drawings, judged by peak",
            "unit",
            layers=("conv1_2", "conv2_1", "conv3_1"),
            layer_weights={"conv1_2": 0.25, "conv2_1": 0.25},
            blur=1.0,
            tolerance=1,
            floor=0.2,
            area=2.2,
            colour=6.3,
        ),
    )
}


def preset_named(name: str) -> Preset:
    """The preset of that name; PerceptError if there is none."""
    if name not in PRESETS:
        near = difflib.get_close_matches(name, PRESETS, n=1)
        hint = f"did you mean {near[0]}?" if near else f"choose one of {', '.join(PRESETS)}"
        raise PerceptError(f"unknown preset {name!r}: {hint}")
    return PRESETS[name]

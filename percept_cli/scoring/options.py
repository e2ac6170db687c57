"""What a user may choose, checked before anything is compared and without torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

from percept_cli.errors import PerceptError, ShapesDiffer
from percept_cli.inputs.files import MAX_BYTES, backgrounds_of
from percept_cli.inputs.ignore import region_of
from percept_cli.network import layers
from percept_cli.network.blur import blur_radius
from percept_cli.network.colour import COLOUR_REACH
from percept_cli.network.distances import Distance, distance_named, distances_in
from percept_cli.network.layers import Layer
from percept_cli.network.weights import check_available
from percept_cli.results import Axis
from percept_cli.scoring.also import measures_named
from percept_cli.scoring.presets import preset_named

PRECISIONS = ("fp32", "tf32", "bf16")
MAX_PIXELS = 200_000_000
BACKGROUND = "white,black"
"""On one of them any colour shows."""
RATED_SHAPE = 4 / 3
"""Width by height of most of the photographs that people rated for `quality`."""
CHOSEN = (
    *("layers", "layer_weights", "distance"),
    *("blur", "tolerance", "floor", "area", "colour", "shrink"),
)
"""What a preset chooses."""

ALIGNS = ("none", "auto", "rows", "columns")

MOST_BLUR = 32
MOST_TOLERANCE = 8


@dataclass(frozen=True)
class Options:
    """Choices that make a distance; the defaults are those of `compare`.

    Raises PerceptError for a choice that means nothing.
    """

    preset: str = "photo"
    """The preset that the choices began with; its name says nothing about those made since."""
    layers: tuple[str, ...] = layers.DEFAULT_LAYERS
    layer_weights: Mapping[str, float] = field(default_factory=dict)
    """Each layer's weight in the total; 1 for those not given."""
    distance: str = "l2"
    raw: bool = False
    """Whether distances are left unscaled."""
    blur: float = 0.0
    """Standard deviation, in pixels, of the Gaussian that smooths both images first."""
    tolerance: int = 0
    """Displacements forgiven, in pixels."""
    floor: float = 0.0
    """Most that is subtracted from the map because content all over the page differs by it."""
    area: float = 0.0
    """What the mean of the 9×9 cells around counts in a cell of the map that has that mean."""
    colour: float = 0.0
    """What a change of colour counts in the map, per unit of OKLab."""
    shrink: int = 0
    """Pixels of the shorter side to which larger images are shrunk first, and with them those that
    have more pixels in all than one of 4:3 then has; 0 shrinks none."""
    weights: str = "bundled"
    resize: str = "reference"
    align: str = "none"
    """Find inserted, removed and moved rows or columns; auto does so where sizes differ."""
    size_tolerance: int = 0
    """Pixels by which sizes may differ, so that only what both have is compared."""
    background: str = BACKGROUND
    """Colours behind transparent pixels; of several the one counts on which images differ most."""
    frame: int | None = None
    """The one frame, from 1 on, of animations and files of several pages; None compares all."""
    precision: str = "fp32"
    device: str = "auto"
    max_pixels: int = MAX_PIXELS
    max_bytes: int = MAX_BYTES
    ignore: tuple[str, ...] = ()
    """Regions that do not count: `x,y,width,height` in pixels, or the path of a mask image."""
    also: tuple[str, ...] = ()
    """Other measures that are taken besides: psnr, ssim, ms-ssim, mae."""

    @classmethod
    def of(cls, preset: str, **chosen: Any) -> Options:
        """The preset's choices, except for those that are not None in `chosen`."""
        base = preset_named(preset)
        given = {name: value for name, value in chosen.items() if value is not None}
        if "layers" in given:
            given.setdefault("layer_weights", {})
        chosen_layers = layers.chosen(given.get("layers", base.layers))
        distances = distances_in(chosen_layers, given.get("distance", base.distance)).values()
        if not all(each.has_positions for each in distances):
            given.setdefault("tolerance", 0)
        if not any(each.has_positions for each in distances):
            given.setdefault("area", 0.0)
            given.setdefault("colour", 0.0)
        return cls(preset=preset, **{name: getattr(base, name) for name in CHOSEN} | given)

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", layers.chosen(self.layers))
        object.__setattr__(self, "also", measures_named(self.also))
        distance_named(self.distance)
        weights = layers.weighted(self.layers, self.layer_weights)
        object.__setattr__(self, "layer_weights", weights)
        self._check_weights()
        width, height = self.evaluated_size((1, 1), (1, 1))
        if width * height > self.max_pixels:
            raise PerceptError(f"--resize {self.resize}: over --max-pixels {self.max_pixels}")
        if self.align not in ALIGNS:
            raise PerceptError(f"unknown align {self.align!r}: give {', '.join(ALIGNS)}")
        if self.size_tolerance < 0:
            raise PerceptError(f"--size-tolerance {self.size_tolerance}: give 0 or more pixels")
        backgrounds_of(self.background)
        if self.frame is not None and self.frame < 1:
            raise PerceptError(f"--frame {self.frame}: give 1 for the first, or more")
        self._check_forgiveness()
        for region in self.ignore:
            region_of(region)
        if self.precision not in PRECISIONS:
            raise PerceptError(
                f"unknown precision {self.precision!r}: choose one of {', '.join(PRECISIONS)}"
            )
        if not re.fullmatch(r"(auto|cpu|cuda|hpu|mps|mtia|npu|xla|xpu)(:\d+)?", self.device):
            raise PerceptError(f"unknown device {self.device!r}: give auto, cpu, cuda, cuda:1, mps")
        if self.max_pixels < 1:
            raise PerceptError(f"--max-pixels {self.max_pixels}: give at least 1")
        if self.max_bytes < 1:
            raise PerceptError(f"--max-bytes {self.max_bytes}: give at least 1")

    def _check_forgiveness(self) -> None:
        if not 0 <= self.blur <= MOST_BLUR:
            raise PerceptError(f"--blur {self.blur:g}: give 0 to {MOST_BLUR} pixels")
        if not 0 <= self.tolerance <= MOST_TOLERANCE:
            raise PerceptError(f"--tolerance {self.tolerance}: give 0 to {MOST_TOLERANCE}")
        if not 0 <= self.floor < float("inf"):
            raise PerceptError(f"--floor {self.floor:g}: give 0 or more")
        if not (isinstance(self.shrink, int) and self.shrink >= 0):
            raise PerceptError(f"--shrink {self.shrink}: give a number of pixels, or 0")
        for name in ("area", "colour"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise PerceptError(f"--{name} {getattr(self, name):g}: give 0 or more")
        without = [name for name, each in self.distances.items() if not each.has_positions]
        all_but_one = len(self.layers) - 1
        for name, most in (("tolerance", 0), ("area", all_but_one), ("colour", all_but_one)):
            value = getattr(self, name)
            if value and len(without) > most:
                raise PerceptError(
                    f"--{name} {value:g}: {self.distance} has no positions in "
                    f"{', '.join(without)}: leave it at 0"
                )

    def _check_weights(self) -> None:
        check_available(self.weights)
        if self.weights == "bundled" and layers.LAYERS[self.deepest].kind == "fc":
            raise PerceptError(
                f"the bundled weights end before {self.deepest}: use --weights torchvision"
            )

    @property
    def is_preset(self) -> bool:
        """Whether what is measured is all as the preset has it."""
        pure = Options.of(self.preset)
        return (
            replace(self, **{name: getattr(pure, name) for name in (*CHOSEN, "raw", "weights")})
            == self
        )

    @property
    def distances(self) -> dict[str, Distance]:
        """What the distance is in each layer."""
        return distances_in(self.layers, self.distance)

    @property
    def deepest(self) -> str:
        """The deepest chosen layer."""
        return self.layers[-1]

    @property
    def deepest_reach(self) -> Layer:
        """The deepest chosen layer, seeing as far as any does, with blur and colour."""
        deepest = layers.LAYERS[self.deepest]
        if deepest.kind == "fc":
            return deepest
        before = after = 0
        for layer in (layers.LAYERS[name] for name in self.layers):
            before = max(before, layer.reach_before)
            after = max(after, deepest.stride - layer.stride + layer.reach_after)
        if self.colour:
            before = max(before, COLOUR_REACH)
            after = max(after, deepest.stride - 1 + COLOUR_REACH)
        blur = blur_radius(self.blur)
        field = before + after + 2 * blur + 1
        return replace(deepest, reach_before=before + blur, receptive_field=field)

    @property
    def cell_layer(self) -> Layer | None:
        """The deepest chosen layer with positions, the cells of the map; None if there is none."""
        spatial = [layers.LAYERS[name] for name in self.layers if not name.startswith("fc")]
        return spatial[-1] if spatial else None

    @property
    def has_map(self) -> bool:
        """Whether the distance says where images differ."""
        return any(
            distance.has_positions and self.layer_weights[name] and not name.startswith("fc")
            for name, distance in self.distances.items()
        )

    def aligned_along(self, reference: tuple[int, int], candidate: tuple[int, int]) -> Axis | None:
        """Along what two images of these sizes are aligned; None if they are not."""
        if self.align == "auto" and self.resize == "none" and reference != candidate:
            return "columns" if reference[1] == candidate[1] else "rows"
        return cast("Axis", self.align) if self.align in ("rows", "columns") else None

    def evaluated_size(
        self, reference: tuple[int, int], candidate: tuple[int, int]
    ) -> tuple[int, int]:
        """Width and height at which two images of these sizes are compared.

        Raises PerceptError where `resize` forbids that, or means nothing.
        """
        width, height = self._brought_together(reference, candidate)
        scale = min(
            self.shrink / min(width, height), self.shrink * math.sqrt(RATED_SHAPE / width / height)
        )
        if not 0 < scale < 1:
            return width, height
        return max(1, round(width * scale)), max(1, round(height * scale))

    def _brought_together(
        self, reference: tuple[int, int], candidate: tuple[int, int]
    ) -> tuple[int, int]:
        if self.resize == "reference":
            return reference
        if self.resize == "none":
            if reference != candidate:
                raise ShapesDiffer(
                    "sizes differ: reference {}x{}, candidate {}x{}: "
                    "--resize reference brings them together".format(*reference, *candidate)
                )
            return reference
        sides = re.fullmatch(r"([1-9]\d*)(?:x([1-9]\d*))?", self.resize)
        if not sides:
            raise PerceptError(
                f"unknown resize {self.resize!r}: give reference, none, N, or WIDTHxHEIGHT"
            )
        return int(sides[1]), int(sides[2] or sides[1])

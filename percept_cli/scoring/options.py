"""What a user may choose, checked before anything is compared and without torch."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from percept_cli.errors import PerceptError
from percept_cli.inputs.files import background_colour
from percept_cli.network import layers
from percept_cli.network.distances import distance_named
from percept_cli.network.layers import Layer
from percept_cli.network.weights import check_available

PRECISIONS = ("fp32", "bf16")
MAX_PIXELS = 200_000_000


@dataclass(frozen=True)
class Options:
    """Choices that make a distance; the defaults are those of `compare`.

    Raises PerceptError for a choice that means nothing.
    """

    layers: tuple[str, ...] = layers.DEFAULT_LAYERS
    layer_weights: Mapping[str, float] = field(default_factory=dict)
    """Each layer's weight in the total; 1 for those not given."""
    distance: str = "l2"
    raw: bool = False
    """Whether distances are left unscaled."""
    weights: str = "bundled"
    resize: str = "reference"
    background: str = "white"
    precision: str = "fp32"
    device: str = "auto"
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", layers.chosen(self.layers))
        distance_named(self.distance)
        weights = layers.weighted(self.layers, self.layer_weights)
        object.__setattr__(self, "layer_weights", weights)
        self._check_weights()
        width, height = self.evaluated_size((1, 1), (1, 1))
        if width * height > self.max_pixels:
            raise PerceptError(f"--resize {self.resize}: over --max-pixels {self.max_pixels}")
        background_colour(self.background)
        if self.precision not in PRECISIONS:
            raise PerceptError(
                f"unknown precision {self.precision!r}: choose one of {', '.join(PRECISIONS)}"
            )
        if not re.fullmatch(r"(auto|cpu|cuda|hpu|mps|mtia|npu|xla|xpu)(:\d+)?", self.device):
            raise PerceptError(f"unknown device {self.device!r}: give auto, cpu, cuda, cuda:1, mps")
        if self.max_pixels < 1:
            raise PerceptError(f"--max-pixels {self.max_pixels}: give at least 1")

    def _check_weights(self) -> None:
        check_available(self.weights)
        if self.weights == "bundled" and layers.LAYERS[self.deepest].kind == "fc":
            raise PerceptError(
                f"the bundled weights end before {self.deepest}: use --weights torchvision"
            )

    @property
    def deepest(self) -> str:
        """The deepest chosen layer."""
        return self.layers[-1]

    @property
    def cell_layer(self) -> Layer | None:
        """The deepest chosen layer with positions, the cells of the map; None if there is none."""
        spatial = [layers.LAYERS[name] for name in self.layers if not name.startswith("fc")]
        return spatial[-1] if spatial else None

    @property
    def has_map(self) -> bool:
        """Whether the distance says where images differ."""
        located = (name for name in self.layers if not name.startswith("fc"))
        has_positions = distance_named(self.distance).difference is not None
        return has_positions and any(self.layer_weights[name] for name in located)

    def evaluated_size(
        self, reference: tuple[int, int], candidate: tuple[int, int]
    ) -> tuple[int, int]:
        """Width and height at which two images of these sizes are compared.

        Raises PerceptError where `resize` forbids that, or means nothing.
        """
        if self.resize == "reference":
            return reference
        if self.resize == "none":
            if reference != candidate:
                raise PerceptError(
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

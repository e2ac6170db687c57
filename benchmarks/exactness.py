"""Crops and tiles against the full frame: how far apart are the distances?

24 random pairs of odd sizes with random local edits, also at borders and corners; all layers
through pool5; every distance. Those that compare whole layers see all of the image in any case.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
from frames import full_frame
from measuring import machine, table
from photographs import SOURCES
from PIL import Image
from torch import Tensor

from percept_cli.inputs.images import Pixels
from percept_cli.network.differences import DEEPEST_BY_WINOGRAD
from percept_cli.network.distances import BY_DEPTH, DISTANCES, distances_in
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.cells import Part, Sums, sums_for
from percept_cli.scoring.devices import Capacity
from percept_cli.scoring.meter import Measurement, Meter
from percept_cli.scoring.options import Options

PAIRS = 24
LOCAL = [name for name, distance in DISTANCES.items() if not distance.whole]
GROUPS = [LOCAL, [name for name in (*DISTANCES, *BY_DEPTH) if name not in LOCAL]]
"""Distances that see the same crops."""
LAYERS_THROUGH_POOL5 = tuple(name for name, layer in LAYERS.items() if layer.kind != "fc")
DEEPEST = (DEEPEST_BY_WINOGRAD, "pool5")
TILES = Capacity(width=128, height=96, together=0, strips=True)


def random_pair(rng: np.random.Generator) -> tuple[Pixels, Pixels]:
    """A part of a photograph, of odd sides, and the same with a few patches changed."""
    with Image.open(SOURCES[int(rng.integers(len(SOURCES)))]) as image:
        source = np.asarray(image.convert("RGB").resize((512, 512)))
    height, width = 2 * rng.integers(20, 160, 2) + 1
    reference = source[:height, :width]
    candidate = reference.copy()
    for _ in range(int(rng.integers(1, 4))):
        rows, columns = rng.integers(1, 16, 2)
        top = int(rng.choice((0, height - rows, rng.integers(0, height - rows))))
        left = int(rng.choice((0, width - columns, rng.integers(0, width - columns))))
        patch = candidate[top : top + rows, left : left + columns]
        strength = rng.choice((2, 20, 200))
        noise = rng.integers(-strength, strength + 1, patch.shape)
        patch[:] = np.clip(patch + noise, 0, 255)
    return reference, candidate


class EveryDistance:
    """Sums of one layer for all distances at once."""

    def __init__(self, sums: dict[str, Sums]) -> None:
        self.sums = sums

    def found(self, f: Tensor, d: Tensor, part: Part) -> Tensor:
        """Nothing more to count: it is counted for each distance."""
        for each in self.sums.values():
            each.count(each.found(f, d, part), part)
        return f.new_empty(0)

    def count(self, found: Tensor, part: Part) -> None:
        """Nothing."""


class ExactMeter(Meter):
    """A meter that keeps every distance of a group, of every layer of the last pair."""

    def __init__(self, options: Options, group: list[str]) -> None:
        super().__init__(options)
        self.group = group

    def _nothing_found(self, other: Pixels) -> Any:
        found = super()._nothing_found(other)
        cells, size = LAYERS[self.options.deepest], (other.shape[1], other.shape[0])
        self.last = {
            name: EveryDistance(
                {
                    each: sums_for(distance, LAYERS[name], cells, size, self.scale[name])
                    for each in self.group
                    for distance in distances_in([name], each).values()
                }
            )
            for name in self.options.layers
        }
        return found._replace(sums=self.last)

    def _finished(self, pair: Any) -> Measurement:  # noqa: ARG002
        """Nothing: the sums themselves are looked at."""
        return Measurement({}, 0.0, None)

    def distances(self) -> dict[tuple[str, str], float]:
        """Distance and layer → what the last pair came to."""
        return {
            (distance, layer): each.distance()
            for layer, every in self.last.items()
            for distance, each in every.sums.items()
        }


def main() -> None:
    rng = np.random.default_rng(0)
    pairs = [random_pair(rng) for _ in range(PAIRS)]
    worst: dict[tuple[str, str], float] = {}
    for deepest, group in itertools.product(DEEPEST, GROUPS):
        layers = LAYERS_THROUGH_POOL5[: LAYERS_THROUGH_POOL5.index(deepest) + 1]
        options = Options(layers=layers, distance=group[0])
        crops, tiles = (ExactMeter(options, group) for _ in range(2))
        tiles._capacity = TILES
        for pair in pairs:
            full_frame(pair, crops)
            whole = crops.distances()
            for name, meter in (("crops", crops), ("tiles", tiles)):
                meter.measure([pair])
                for (distance, layer), found in meter.distances().items():
                    exact = whole[distance, layer]
                    apart = abs(found - exact) / exact if exact else abs(found)
                    place = distance, f"{name}, to {deepest}"
                    worst[place] = max(worst.get(place, 0.0), apart)
    columns = list(dict.fromkeys(column for _, column in worst))
    rows = [
        (distance, *(f"{worst[distance, column]:.1e}" for column in columns))
        for distance in (*DISTANCES, *BY_DEPTH)
    ]
    print(
        f"Largest relative difference of any layer from the full frame, {PAIRS} odd-sized pairs, "
        f"{machine()}\n"
    )
    print(table(("distance", *columns), rows))


if __name__ == "__main__":
    main()

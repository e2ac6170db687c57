"""Crops and tiles against the full frame: how far apart are the distances?

200 random pairs of odd sizes with random local edits, also at borders and corners; all layers
through pool5; every distance.
"""

from __future__ import annotations

import numpy as np
from frames import full_frame
from measuring import machine, table
from photographs import SOURCES
from PIL import Image

from percept_cli.inputs.images import Pixels
from percept_cli.network.distances import DISTANCES
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.devices import Capacity
from percept_cli.scoring.meter import Measurement, Meter
from percept_cli.scoring.options import Options

PAIRS = 200
LAYERS_THROUGH_POOL5 = tuple(name for name, layer in LAYERS.items() if layer.kind != "fc")
TILES = Capacity(width=96, height=64, batch=1, strips=True)


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


def apart(found: Measurement, whole: Measurement) -> float:
    """The largest relative difference of any layer's distance, or of the total."""
    pairs = [(found.total, whole.total)]
    pairs += [(found.layers[name], value) for name, value in whole.layers.items()]
    return max(abs(one - other) / other if other else abs(one) for one, other in pairs)


def main() -> None:
    rows = []
    for distance in DISTANCES:
        rng, worst = np.random.default_rng(0), {"crops": 0.0, "tiles": 0.0}
        options = Options(distance=distance, layers=LAYERS_THROUGH_POOL5)
        meters = {"crops": Meter(options), "tiles": Meter(options)}
        meters["tiles"]._capacity = TILES
        for _ in range(PAIRS):
            pair = random_pair(rng)
            (whole,) = full_frame(pair, meters["crops"])
            for name, meter in meters.items():
                worst[name] = max(worst[name], apart(meter.measure([pair])[0], whole))
        rows.append((distance, *(f"{value:.1e}" for value in worst.values())))
    print(f"Largest relative difference from the full frame, {PAIRS} pairs, {machine()}\n")
    print(table(("distance", "crops", "tiles"), rows))


if __name__ == "__main__":
    main()

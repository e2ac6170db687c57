"""A layer's scale: the root mean square of its features over natural photographs.

Raw features grow about twenty-fold from conv1_1 to conv4_1; divided by their scales, layers can be
averaged. The bundled weights' scales are a table in the package (scripts/measure_scales.py makes
it); other weights are measured once and cached under their hash.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from importlib import resources
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.network.distances import Distance
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import Weights
from percept_cli.writing import write_whole

TABLE = "scales.json"


def scales_of(weights: Weights) -> dict[str, float]:
    """Scale of every layer these weights can compute."""
    package = resources.files("percept_cli.network")
    table: dict[str, dict[str, float]] = json.loads((package / TABLE).read_text("utf-8"))
    if weights.sha256 in table:
        return table[weights.sha256]
    cached = cache_folder() / f"{weights.sha256}.json"
    try:
        known: dict[str, float] = json.loads(cached.read_text("utf-8"))
        if list(known) == list(weights.layers):
            return known
    except (OSError, ValueError):
        pass
    scales = measure(weights)
    with suppress(OSError):  # Without a cache the scales are only measured again.
        write_whole(json.dumps(scales).encode(), cached)
    return scales


def applied(weights: Weights, distances: Mapping[str, Distance], raw: bool) -> dict[str, float]:
    """What the features of each layer are divided by: its scale, or 1 if that is not done."""
    if raw or not any(distance.uses_scale for distance in distances.values()):
        return dict.fromkeys(distances, 1.0)
    scales = scales_of(weights)
    return {name: scales[name] for name in distances}


def cache_folder() -> Path:
    """Where measured scales are kept."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with suppress(RuntimeError):  # Nobody's home: then scales are measured each time.
        return Path(cache).expanduser() / "percept" / "scales"
    return Path(os.devnull) / "scales"


def measure(weights: Weights) -> dict[str, float]:
    """Root mean square of every layer's features over the photographs in the package.

    Raises PerceptError where that is 0 or not finite.
    """
    network = VGG19(weights, weights.layers[-1])
    sums = dict.fromkeys(weights.layers, 0.0)
    photographs = [
        entry
        for entry in (resources.files("percept_cli.network") / "photographs").iterdir()
        if entry.name.endswith(".jpg")
    ]
    for photograph in sorted(photographs, key=lambda entry: entry.name):
        with photograph.open("rb") as file, Image.open(file) as image:
            pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1) / np.float32(255))
        with torch.inference_mode():
            for name, feature in network.features(pixels[None], weights.layers):
                sums[name] += float(feature.square().mean(dtype=torch.float64))
    scales = {name: (total / len(photographs)) ** 0.5 for name, total in sums.items()}
    for name, scale in scales.items():
        if not 0 < scale < float("inf"):
            raise PerceptError(
                f"the weights {weights.name} give {name} no usable features (scale {scale}): "
                "use trained weights"
            )
    return scales

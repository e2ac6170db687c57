"""Two decoded images → their distances. The one place where scoring runs the network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from percept_cli.inputs.images import Pixels, unit_range
from percept_cli.network.distances import at_least_float32, distance_named, layer_distance
from percept_cli.network.layers import LAYERS
from percept_cli.network.scales import applied
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load
from percept_cli.scoring.cells import Cells, Grid
from percept_cli.scoring.devices import device_named, exact_arithmetic
from percept_cli.scoring.options import Options

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Measurement:
    """The distances of one pair."""

    layers: dict[str, float]
    total: float
    map: Grid | None
    """Rows × columns of cells, >= 0; None where no chosen layer has positions to compare."""


@lru_cache(maxsize=4)
def frozen_network(weights: str, deepest: str, device: torch.device, precision: str) -> VGG19:
    """The one network of this kind in the process."""
    network = VGG19(load(weights), deepest).to(device, DTYPES[precision])
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class Meter:
    """Measures pairs of images with one network and one set of options."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.device = device_named(options.device)
        self.weights = load(options.weights)
        self.distance = distance_named(options.distance)
        self._network = frozen_network(
            options.weights, options.deepest, self.device, options.precision
        )
        self.scale = applied(self.weights, self.distance, options.layers, options.raw)

    def measure(self, reference: Pixels, candidate: Pixels) -> Measurement:
        """Distances of two images of equal size, not smaller than the deepest layer's stride."""
        height, width = reference.shape[:2]
        map_layer = self.options.map_layer
        distances: dict[str, float] = {}
        means: list[tuple[float, Grid]] = []
        with exact_arithmetic():
            images = self._images(reference, candidate)
            for name, feature in self._network.features(images, self.options.layers):
                if map_layer is None or LAYERS[name].kind == "fc":
                    f, g = feature.chunk(2)
                    distances[name] = float(layer_distance(self.distance, f, g, self.scale[name]))
                    continue
                cells = Cells(LAYERS[name], map_layer, (width, height))
                cells.add(self._differences(feature).cpu().numpy())
                divisor = self.scale[name] ** self.distance.scale_power
                distances[name] = float(self._finished(cells.mean() / divisor))
                grid = self._finished(cells.cell_means() / divisor)
                means.append((self.options.layer_weights[name], grid))
        return Measurement(distances, self._total(distances), _weighted_mean(means))

    def _images(self, reference: Pixels, candidate: Pixels) -> Tensor:
        if reference.dtype != candidate.dtype:
            reference, candidate = unit_range(reference), unit_range(candidate)
        images = torch.from_numpy(np.stack((reference, candidate))).to(self.device)
        images = images.permute(0, 3, 1, 2).to(DTYPES[self.options.precision])
        return images / 255 if reference.dtype == np.uint8 else images

    def _differences(self, feature: Tensor) -> Tensor:
        assert self.distance.difference is not None
        f, g = at_least_float32(feature).chunk(2)
        return self.distance.difference(f, g)[0]

    def _finished(self, mean: Grid | float) -> Grid:
        return np.sqrt(mean) if self.distance.root else np.asarray(mean)

    def _total(self, distances: dict[str, float]) -> float:
        weights = [self.options.layer_weights[name] for name in distances]
        return float(np.average(list(distances.values()), weights=weights))


def _weighted_mean(grids: list[tuple[float, Grid]]) -> Grid | None:
    if not grids:
        return None
    weights = [weight for weight, _ in grids]
    mean: Grid = np.average([grid for _, grid in grids], axis=0, weights=weights)
    return mean

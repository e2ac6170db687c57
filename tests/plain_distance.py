"""The distances once more, slow and obvious: float64, whole images, one loop, no engine.

It shares nothing with percept but the weights and the scales. Each image goes through the network
by itself, layer by layer, as torch's own convolutions, and each formula is that of the README.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from percept_cli.network.scales import scales_of
from percept_cli.network.weights import load

Array = NDArray[np.float64]

BLOCKS = (2, 2, 4, 4, 4)
STRIDES = {
    f"{kind}{block}_{n}": 2 ** (block - 1)
    for kind in ("conv", "relu")
    for block in range(1, 6)
    for n in range(1, 5)
}
STRIDES |= {f"pool{block}": 2**block for block in range(1, 6)}


GREY = 128
"""What is in ignored regions, of both."""


class Plain(NamedTuple):
    """What a pair comes to."""

    layers: dict[str, float]
    total: float
    map: Array | None


def features(image: NDArray[Any]) -> dict[str, Array]:
    """Every feature, C×H×W, of an H×W×3 image in 0..255."""
    weights = load("bundled")
    mean, std = (np.array(values) for values in (weights.mean, weights.std))
    pixels = (image.astype(np.float64) / 255 - mean) / std
    x = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    found = {}
    for block, convolutions in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            name = f"{block}_{number}"
            kernel, bias = (
                weights.tensors[f"conv{name}.{part}"].double() for part in ("weight", "bias")
            )
            x = functional.conv2d(x, kernel, bias, padding=1)
            found[f"conv{name}"] = x[0].numpy()
            x = x.clamp(min=0)
            found[f"relu{name}"] = x[0].numpy()
        if min(x.shape[2:]) < 2:
            break
        x = functional.max_pool2d(x, 2)
        found[f"pool{block}"] = x[0].numpy()
    return found


LOCATED = ("l2", "l1", "mse", "unit", "divisive")


def in_layer(name: str, layer: str) -> str:
    """What a distance is in a layer: `appearance` is divisive in the first two blocks."""
    if name != "appearance":
        return name
    return "divisive" if STRIDES[layer] <= 2 else "root of correlation"


def distance(name: str, f: Array, g: Array, scale: float) -> float:
    """One layer's distance, from C×H×W or any part of the positions, C×P."""
    channels = len(f)
    f, g = f.reshape(channels, -1), g.reshape(channels, -1)
    positions = f.shape[1]
    if name in ("l2", "mse"):
        mse = ((f - g) ** 2).mean() / scale**2
        return float(math.sqrt(mse) if name == "l2" else mse)
    if name == "l1":
        return float(np.abs(f - g).mean() / scale)
    if name == "unit":
        squares = []
        for p in range(positions):
            sides = [
                v / norm if (norm := np.linalg.norm(v)) > 1e-5 else 0 * v
                for v in (f[:, p], g[:, p])
            ]
            squares.append(np.sum((sides[0] - sides[1]) ** 2))
        return math.sqrt(np.mean(squares))
    if name == "divisive":
        contrast = ((f**2).mean(0) + (g**2).mean(0)) / 2
        return math.sqrt(np.mean(((f - g) ** 2).mean(0) / (contrast + 0.2 * scale**2)))
    if name == "gram":
        return float(np.linalg.norm(f @ f.T - g @ g.T) / f.size / scale**2)
    if name == "structure":
        steady = 0.01 * scale**2
        means = (f.mean(1) - g.mean(1)) ** 2 / (f.mean(1) ** 2 + g.mean(1) ** 2 + steady)
        structures = (f - g).var(1) / (f.var(1) + g.var(1) + steady)
        return float(np.mean(means + structures) / 2)
    if name == "root of correlation":
        return math.sqrt(distance("correlation", f, g, scale))
    assert name == "correlation"
    centred = []
    for x in (f, g):
        apart = np.empty((channels, channels))
        for one in range(channels):
            squares = ((x[one] - x) ** 2).mean(1) / scale**2
            apart[one] = np.sqrt(squares + 1e-4)
        centred.append(apart - apart.mean(0) - apart.mean(1)[:, None] + apart.mean())
    a, b = centred
    return float(1 - (a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()))


def plain(
    reference: NDArray[Any],
    candidate: NDArray[Any],
    name: str,
    weights: Mapping[str, float],
    *,
    raw: bool = False,
    ignore: Sequence[tuple[int, int, int, int]] = (),
) -> Plain:
    """All of a pair of H×W×3 images in 0..255: layers, in network order, with their weights."""
    reference, candidate = reference.copy(), candidate.copy()
    for left, top, width, height in ignore:
        box = slice(top, top + height), slice(left, left + width)
        reference[box] = candidate[box] = GREY
    one, other = features(reference), features(candidate)
    scales = dict.fromkeys(weights, 1.0) if raw else scales_of(load("bundled"))
    layers = {
        layer: distance(in_layer(name, layer), one[layer], other[layer], scales[layer])
        for layer in weights
    }
    total = sum(weights[layer] * layers[layer] for layer in weights) / sum(weights.values())
    side = max(STRIDES[layer] for layer in weights)
    weights = {layer: w for layer, w in weights.items() if in_layer(name, layer) in LOCATED}
    if not weights:
        return Plain(layers, total, None)
    rows, columns = reference.shape[0] // side, reference.shape[1] // side
    cells = np.zeros((rows, columns))
    for layer, weight in weights.items():
        ratio = side // STRIDES[layer]
        for row in range(rows):
            for column in range(columns):
                # The last cells reach to the border.
                down = slice(row * ratio, (row + 1) * ratio if row < rows - 1 else None)
                across = slice(
                    column * ratio, (column + 1) * ratio if column < columns - 1 else None
                )
                parts = (x[layer][:, down, across] for x in (one, other))
                cells[row, column] += weight * distance(
                    in_layer(name, layer), *parts, scales[layer]
                )
    return Plain(layers, total, cells / sum(weights.values()))

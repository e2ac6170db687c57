"""A 3×3 convolution at float32 accuracy with a quarter of the multiplications.

On the CPU, deep convolutions go by Winograd's minimal filtering F(4×4, 3×3) (Lavin & Gray 2016,
section 4.3): tiles of 4×4 outputs are transformed, multiplied with the transformed kernels, and
transformed back, all three as matrix products. benchmarks/README.md has the figures.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

FEWEST_CHANNELS = 64
"""Input channels from which the transforms pay."""

CHUNK_ELEMENTS = 1_000_000
"""Most elements of the transformed tiles at a time: they stay in the cache."""

KERNEL = torch.tensor(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ],
    dtype=torch.float64,
)
INPUT = torch.tensor(
    [
        [4.0, 0, -5, 0, 1, 0],
        [0, -4, -4, 1, 1, 0],
        [0, 4, -4, -1, 1, 0],
        [0, -2, -1, 2, 1, 0],
        [0, 2, -1, -2, 1, 0],
        [0, 4, 0, -5, 0, 1],
    ]
)
OUTPUT = torch.tensor(
    [[1.0, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]
)
# Both axes at once: tile, row by row → transformed tile, and back.
KERNELS, INPUTS, OUTPUTS = (torch.kron(one, one) for one in (KERNEL, INPUT, OUTPUT))

_TRANSFORMED = WeakTensorKeyDictionary()


def convolve(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3×3 convolution that pads columns but not rows: N×C×(H+2)×W → N×K×H×W."""
    if x.dtype == torch.float32 and x.device.type == "cpu" and x.shape[1] >= FEWEST_CHANNELS:
        return _winograd(x, _transformed(weight), bias)
    return functional.conv2d(x, weight, bias, padding=(0, 1))


def _transformed(weight: Tensor) -> Tensor:
    """The kernels, K×C×3×3 → 36×K×C, once for each tensor of weights."""
    if weight not in _TRANSFORMED:
        flat = KERNELS @ weight.double().flatten(2).permute(2, 0, 1).flatten(1)
        _TRANSFORMED[weight] = flat.float().view(36, *weight.shape[:2])
    kernels: Tensor = _TRANSFORMED[weight]
    return kernels


def _winograd(x: Tensor, kernels: Tensor, bias: Tensor) -> Tensor:
    channels, height, width = x.shape[1], x.shape[2] - 2, x.shape[3]
    tiles_down, tiles_across = -(-height // 4), -(-width // 4)
    down = min(max(CHUNK_ELEMENTS // (36 * channels * tiles_across), 1), tiles_down)
    room = x.new_zeros(channels, 4 * down + 2, 4 * tiles_across + 2)
    out = x.new_empty(x.shape[0], kernels.shape[1], height, width)
    for image, result in zip(x, out, strict=True):
        for top in range(0, height, 4 * down):
            part = image[:, top : top + 4 * down + 2]
            room[:, : part.shape[1], 1 : width + 1] = part
            y = _filtered(room, kernels)[:, : part.shape[1] - 2, :width]
            torch.add(y, bias[:, None, None], out=result[:, top : top + 4 * down])
    return out


def _filtered(room: Tensor, kernels: Tensor) -> Tensor:
    """All 4×4 tiles with their margin of 1: C×(4H+2)×(4W+2) → K×4H×4W."""
    channels, down, across = room.shape[0], room.shape[1] // 4, room.shape[2] // 4
    plane, row, _ = room.stride()
    tiles = room.as_strided((6, 6, channels, down, across), (row, 1, plane, 4 * row, 4))
    inputs = INPUTS @ tiles.reshape(36, -1)
    products = torch.bmm(kernels, inputs.view(36, channels, -1))
    outputs = (OUTPUTS @ products.view(36, -1)).view(4, 4, -1, down, across)
    return outputs.permute(2, 3, 0, 4, 1).reshape(-1, 4 * down, 4 * across)

"""A 3×3 convolution at float32 accuracy with a quarter of the multiplications.

On the CPU, deep convolutions go by Winograd's minimal filtering F(4×4, 3×3) (Lavin & Gray 2016,
section 4.3): tiles of 4×4 outputs are transformed, multiplied with the transformed kernels, and
transformed back, all three as matrix products. benchmarks/README.md has the figures.
"""

from __future__ import annotations

import math
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.weak import WeakTensorKeyDictionary

from percept_cli.network.workers import piece, scratch, share

FEWEST_CHANNELS = 64
"""Input and output channels from which the transforms pay."""

FEWEST_POSITIONS = 32 * 32
"""Rows times columns from which they pay; below lie the deepest layers, where errors add up."""

TILES = 160
"""Tiles that go through together, about: the kernels are read once for all of them, and workers
find parts enough to share."""

POINTS = (0.0, 11 / 16, -11 / 16, 3 / 2, -3 / 2)
"""Where the polynomials are evaluated, besides at infinity; the usual 0, ±1, ±2 err 2.4 times as
much in float32 (Barabasz et al. 2020 on the choice of points)."""


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """Of flat kernels, 36×9, of one axis of inputs, 6×6, and of flat outputs, 16×36."""
    kernel, inputs, output = np.zeros((6, 3)), np.zeros((6, 6)), np.zeros((4, 6))
    for place, p in enumerate(POINTS):
        others = [q for q in POINTS if q != p]
        kernel[place] = p ** np.arange(3) / math.prod(p - q for q in others)
        inputs[place, :5] = np.poly(others)[::-1]
        output[:, place] = p ** np.arange(4)
    inputs[5] = np.poly(POINTS)[::-1]
    kernel[5, 2] = output[3, 5] = 1
    kernels, outputs = (torch.from_numpy(np.kron(x, x)) for x in (kernel, output))
    return kernels, torch.from_numpy(inputs).float(), outputs.float()


KERNELS, INPUT, OUTPUTS = _transforms()
INPUTS = INPUT.repeat(6, 1, 1)
"""The second axis, of each place in the first."""

_TRANSFORMED = WeakTensorKeyDictionary()


def convolve(x: Tensor, weight: Tensor, bias: Tensor, direct: bool = False) -> Tensor:
    """3×3 convolution that pads columns but not rows: N×C×(H+2)×W → N×K×H×W."""
    if not direct and _pays(x, weight):
        return _winograd(x, _transformed(weight), bias, 0)
    if weight.shape[1] < FEWEST_CHANNELS and _is_plain(x, weight):
        return _by_rows(x, weight, bias)
    return functional.conv2d(x, weight, bias, padding=(0, 1))


def convolve_padded(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """3×3 convolution that keeps the size, differentiable in its input: N×C×H×W → N×K×H×W."""
    plain = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu")
    if not plain and _pays(x, weight):
        filtered: Tensor = _Filtered.apply(x, weight, bias, False)  # type: ignore[no-untyped-call]
        return filtered
    return functional.conv2d(x, weight, bias, padding=1)


def _pays(x: Tensor, weight: Tensor) -> bool:
    return (
        _is_plain(x, weight)
        and min(weight.shape[:2]) >= FEWEST_CHANNELS
        and x.shape[2] * x.shape[3] >= FEWEST_POSITIONS
    )


def _is_plain(x: Tensor, weight: Tensor) -> bool:
    return x.dtype == torch.float32 and x.device.type == "cpu" and weight.is_contiguous()


def _by_rows(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The convolution in parts that workers may share: few kernels are soon read again."""
    height = x.shape[2] - 2
    out = x.new_empty(x.shape[0], weight.shape[0], height, x.shape[3])
    rows = piece(out, height)

    def convolve_rows(top: int) -> None:
        part = x[:, :, top : top + rows + 2]
        out[:, :, top : top + rows] = functional.conv2d(part, weight, bias, padding=(0, 1))

    share([partial(convolve_rows, top) for top in range(0, height, rows)])
    return out


class _Filtered(torch.autograd.Function):
    """A convolution with fixed weights, or with the same weights turned, which is its gradient."""

    @staticmethod
    def forward(x: Tensor, weight: Tensor, bias: Tensor, turned: bool) -> Tensor:
        # A backward pass may run under autocast where the forward pass did not.
        with torch.autocast("cpu", enabled=False):
            return _winograd(x, _transformed(weight, turned), bias, 1)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], _: Tensor) -> None:
        _, weight, _, ctx.turned = inputs
        ctx.save_for_backward(weight)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        (weight,), (gradient,) = ctx.saved_tensors, gradients
        no_bias = weight.new_zeros(weight.shape[0 if ctx.turned else 1])
        found = _Filtered.apply(gradient, weight, no_bias, not ctx.turned)  # type: ignore[no-untyped-call]
        return found, None, None, None


def _transformed(weight: Tensor, turned: bool = False) -> Tensor:
    """The kernels, K×C×3×3 → 36×K×C; turned, 36×C×K, and not kept: they are as large again."""
    if turned:
        flat = KERNELS.float() @ weight.flatten(2).permute(2, 1, 0).flatten(1).flip(0)
        return flat.view(36, weight.shape[1], weight.shape[0])
    if weight not in _TRANSFORMED:
        flat = KERNELS @ weight.double().flatten(2).permute(2, 0, 1).flatten(1)
        _TRANSFORMED[weight] = flat.float().view(36, *weight.shape[:2])
    found: Tensor = _TRANSFORMED[weight]
    return found


def _winograd(x: Tensor, kernels: Tensor, bias: Tensor, padding: int) -> Tensor:
    """The convolution, with so many rows of padding above and below."""
    channels, height, width = x.shape[1], x.shape[2] - 2 + 2 * padding, x.shape[3]
    tiles_down, tiles_across = -(-height // 4), -(-width // 4)
    # An even number of parts of nearly the same size, so that two workers have the same to do.
    parts = min(max(2 * round(tiles_down * tiles_across / TILES / 2), 1), tiles_down)
    ends = [4 * (part * tiles_down // parts) for part in range(parts + 1)]
    out = x.new_empty(x.shape[0], kernels.shape[1], height, width)

    def filter_rows(image: Tensor, result: Tensor, top: int, end_of_part: int) -> None:
        # Every fourth column by itself: so those at one place of all tiles are neighbours.
        down = (end_of_part - top) // 4
        room = scratch("room", x, 4, channels, 4 * down + 2, tiles_across + 1)
        above = padding if top == 0 else 0
        part = image[:, max(top - padding, 0) : top - padding + 4 * down + 2]
        end = above + part.shape[1]
        room[:, :, :above] = room[:, :, end:] = 0
        for phase in range(4):
            first, columns = (phase - 1) % 4, room[phase, :, above:end]
            start, count = int(phase == 0), len(range(first, width, 4))
            columns[..., :start] = columns[..., start + count :] = 0
            columns[..., start : start + count] = part[..., first::4]
        _add_bias(_filtered(room, kernels), bias, result[:, top : top + 4 * down])

    pairs, places = zip(x, out, strict=True), list(pairwise(ends))
    share([partial(filter_rows, *pair, *place) for pair in pairs for place in places])
    return out


def _filtered(room: Tensor, kernels: Tensor) -> Tensor:
    """All 4×4 tiles with their margin of 1: 4×C×(4H+2)×(W+1) → K×H×4×W×4."""
    channels, down, across = room.shape[1], room.shape[2] // 4, room.shape[3] - 1
    phase, plane, row, _ = room.stride()
    count, made = down * across, kernels.shape[1]
    flat = scratch("one", room, 36, channels * count)
    tiles = flat.view(6, 6, channels, down, across)
    strides = row, phase, plane, 4 * row, 1
    for columns, offset in ((slice(0, 4), 0), (slice(4, 6), 1)):
        part = tiles[:, columns]
        part.copy_(room.as_strided(part.shape, strides, offset))
    # Of inputs one axis after the other takes less time than both at once, of outputs hardly.
    half = torch.mm(INPUT, flat.view(6, -1), out=scratch("other", room, 6, 6 * channels * count))
    inputs = scratch("one", room, 6, 6, channels * count)
    torch.bmm(INPUTS, half.view(inputs.shape), out=inputs)
    products = scratch("other", room, 36, made, count)
    torch.bmm(kernels, inputs.view(36, channels, count), out=products)
    outputs = scratch("one", room, 16, made * count)
    torch.mm(OUTPUTS, products.view(36, -1), out=outputs)
    return outputs.view(4, 4, made, down, across).permute(2, 3, 0, 4, 1)


def _add_bias(tiles: Tensor, bias: Tensor, out: Tensor) -> None:
    """Tiles, K×H×4×W×4, of which the first rows and columns are wanted, plus bias, into `out`."""
    _, height, width = out.shape
    if height % 4 or width % 4:
        whole = tiles.flatten(3).flatten(1, 2)
        torch.add(whole[:, :height, :width], bias[:, None, None], out=out)
    else:
        places = out.view(-1, height // 4, 4, width // 4, 4)
        torch.add(tiles, bias[:, None, None, None, None], out=places)

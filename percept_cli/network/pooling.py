"""2×2 maxima that keep little for the backward pass.

On the CPU the library's maxima take as long as a convolution, and keep their input and an index of
64 bits per maximum; slices are several times as fast, and which of four is largest fits a byte.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

PLACES = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column in a square of 2×2, in the order in which the first of equals is the maximum."""


def pool(x: Tensor) -> Tensor:
    """Maxima of squares of 2×2, without an odd last row or column: N×C×H×W → N×C×H/2×W/2."""
    if x.device.type != "cpu" or torch.compiler.is_compiling():
        return functional.max_pool2d(x, 2)
    pooled: Tensor = _Pool.apply(x)  # type: ignore[no-untyped-call]
    return pooled


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        largest, *others = (_slice(x, place) for place in PLACES)
        if not ctx.needs_input_grad[0]:
            for other in others:
                largest = largest.maximum(other)
            return largest
        place = torch.zeros(largest.shape, dtype=torch.uint8, device=x.device)
        for number, other in enumerate(others, start=1):
            place.masked_fill_(other > largest, number)
            largest = largest.maximum(other)
        ctx.save_for_backward(place)
        ctx.shape = x.shape
        return largest

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (place,) = ctx.saved_tensors
        whole = gradients[0].new_zeros(ctx.shape)
        for number, where in enumerate(PLACES):
            _slice(whole, where).copy_(gradients[0] * (place == number))
        return whole


def _slice(x: Tensor, place: tuple[int, int]) -> Tensor:
    """What lies at this place in each square."""
    height, width = (length // 2 * 2 for length in x.shape[2:])
    return x[:, :, place[0] : height : 2, place[1] : width : 2]

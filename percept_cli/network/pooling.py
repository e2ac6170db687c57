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
    if x.requires_grad:
        pooled: Tensor = _Pool.apply(x)[0]  # type: ignore[no-untyped-call]
        return pooled
    largest, *others = (_slice(x, place) for place in PLACES)
    for other in others:
        largest = largest.maximum(other)
    return largest


class _Pool(torch.autograd.Function):
    """Maxima, and which of PLACES each of them was in."""

    @staticmethod
    def forward(x: Tensor) -> tuple[Tensor, Tensor]:
        largest, *others = (_slice(x, place) for place in PLACES)
        place = torch.zeros(largest.shape, dtype=torch.uint8, device=x.device)
        for number, other in enumerate(others, start=1):
            place.masked_fill_(other > largest, number)
            largest = largest.maximum(other)
        return largest, place

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor], output: tuple[Tensor, Tensor]) -> None:
        ctx.shape = inputs[0].shape
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(output[1])

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

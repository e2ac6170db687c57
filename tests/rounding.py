"""How far rounding takes two computations of one thing apart: derived, for every processor.

A sum of n terms is off by about √n roundings, in whatever order and by whatever instructions it is
added up: single errors are as often up as down (Higham & Mary 2019, "A new approach to
probabilistic rounding error analysis"). Each rounding is half an eps, and both sums are off.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from percept_cli.network.convolution import INPUT, KERNELS, OUTPUTS
from percept_cli.network.layers import FULLY_CONNECTED, LAYERS, ORDER


def rounding(terms: int, dtype: torch.dtype = torch.float32) -> float:
    """How far two sums of so many terms, or means or norms of such sums, are apart: a share."""
    return math.sqrt(terms) * torch.finfo(dtype).eps


def worst(terms: int, dtype: torch.dtype = torch.float32) -> float:
    """How far two sums of so many terms of one sign are apart at most: all round the same way."""
    return terms * torch.finfo(dtype).eps


def through(layer: str, dtype: torch.dtype = torch.float32) -> float:
    """How far two computations of a layer's features are apart, as a share of their norm."""
    growth = winograd_growth() if dtype == torch.float32 else 1
    return growth * rounding(terms_through(layer), dtype)


def near(expected: Any, layer: str = "conv4_1", dtype: torch.dtype = torch.float32) -> Any:
    """What a distance of features up to this layer may come to: it has their error, or twice it.

    Twice where they are squared; as a share, or where little differs of their scale, which is 1.
    """
    return pytest.approx(expected, rel=2 * through(layer, dtype), abs=2 * through(layer, dtype))


def apart(found: Tensor, expected: Tensor) -> float:
    """‖found − expected‖ over ‖expected‖."""
    expected = expected.double()
    return float((found.double() - expected).norm() / expected.norm())


def terms_through(layer: str) -> int:
    """Terms of all sums that a feature of this layer came through: errors are handed on."""
    inputs, terms = 3, 0
    fully_connected = {name: length for name, length, _ in FULLY_CONNECTED}
    for name in ORDER[: ORDER.index(layer) + 1]:
        if LAYERS[name].kind == "conv":
            terms += 9 * inputs + 1
            inputs = LAYERS[name].channels
        terms += fully_connected.get(name, 0)
    return terms


def winograd_growth() -> float:
    """How much more Winograd's convolution rounds than a sum of products, for random values.

    The root mean square of what its transformed products weigh in an outcome, over that of the 9
    plain ones.
    """
    kernels, inputs, outputs = (x.double().square() for x in (KERNELS, INPUT, OUTPUTS))
    rows = inputs.sum(1)  # Of one axis; both together weigh their products.
    return float((outputs @ (kernels.sum(1) * torch.kron(rows, rows)) / 9).mean().sqrt())

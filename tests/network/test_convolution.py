"""percept's convolution against the library's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from percept_cli.network import convolution
from percept_cli.network.convolution import convolve, convolve_padded

ERROR = 2e-5
"""Of Winograd's F(4×4, 3×3) in float32, as a share of the outcome's norm: 3e-6 is usual."""


def tensors(batch: int, inputs: int, outputs: int, height: int, width: int) -> list[Tensor]:
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs, 3, 3) / 24
    return [torch.randn(batch, inputs, height, width), weight, torch.randn(outputs)]


def assert_near(found: Tensor, expected: Tensor) -> None:
    assert found.shape == expected.shape
    assert (found - expected).norm() < ERROR * expected.norm()


@pytest.mark.parametrize("chunk", [1, 20_000, convolution.CHUNK_ELEMENTS])
@pytest.mark.parametrize("size", [(1, 1), (4, 8), (9, 6), (30, 17), (33, 50)])
@pytest.mark.parametrize("channels", [(64, 64), (64, 128), (128, 64)])
def test_it_is_the_librarys_convolution(
    channels: tuple[int, int],
    size: tuple[int, int],
    chunk: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(convolution, "CHUNK_ELEMENTS", chunk)
    monkeypatch.setattr(convolution, "FEWEST_POSITIONS", 1)
    x, weight, bias = tensors(2, *channels, *size)
    assert_near(convolve_padded(x, weight, bias), functional.conv2d(x, weight, bias, padding=1))
    taller = functional.pad(x, (0, 0, 1, 1), value=0.5)
    expected = functional.conv2d(taller, weight, bias, padding=(0, 1))
    assert_near(convolve(taller, weight, bias), expected)


def test_its_gradient_is_the_librarys_and_may_be_differentiated_again() -> None:
    x, weight, bias = tensors(2, 64, 128, 33, 38)
    gradients = []
    for convolved in (
        convolve_padded,
        lambda *tensors: functional.conv2d(*tensors, padding=1),
    ):
        start = x.clone().requires_grad_()
        value = convolved(start, weight, bias).pow(3).sum()
        (first,) = torch.autograd.grad(value, start, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), start)
        gradients.append((first.detach(), second))
    for found, expected in zip(*gradients, strict=True):
        assert_near(found, expected)


@pytest.mark.parametrize(
    "case", ["double", "channels-last", "few channels", "few positions", "autocast"]
)
def test_elsewhere_the_librarys_own_is_used(case: str) -> None:
    size = (9, 9) if case == "few positions" else (36, 36)
    x, weight, bias = tensors(1, 64, 32 if case == "few channels" else 64, *size)
    if case == "double":
        x, weight, bias = x.double(), weight.double(), bias.double()
    if case == "channels-last":
        weight = weight.contiguous(memory_format=torch.channels_last)
    with torch.autocast("cpu", torch.bfloat16, enabled=case == "autocast"):
        found = convolve_padded(x, weight, bias)
        expected = functional.conv2d(x, weight, bias, padding=1)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)

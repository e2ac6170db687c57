"""percept's convolution against the library's, in float64."""

from __future__ import annotations

import pytest
import torch
from rounding import apart, rounding, winograd_growth
from torch import Tensor
from torch.nn import functional

from percept_cli.network import convolution
from percept_cli.network.convolution import convolve, convolve_padded
from percept_cli.network.workers import piece

pytestmark = pytest.mark.numeric


def tensors(batch: int, inputs: int, outputs: int, height: int, width: int) -> list[Tensor]:
    torch.manual_seed(0)
    weight = torch.randn(outputs, inputs, 3, 3) / 24
    return [torch.randn(batch, inputs, height, width), weight, torch.randn(outputs)]


def check_near(found: Tensor, exact: Tensor, channels: int, convolutions: int = 1) -> None:
    """It is as near as sums of 9 products a channel are by Winograd's filters."""
    assert found.dtype == torch.float32 and found.shape == exact.shape
    room = convolutions * winograd_growth() * rounding(9 * channels + 1)
    assert apart(found, exact) < room


@pytest.mark.parametrize("tiles", [1, 20, convolution.TILES])
@pytest.mark.parametrize("size", [(1, 1), (4, 8), (9, 6), (30, 17), (33, 50)])
@pytest.mark.parametrize("channels", [(64, 64), (64, 128), (128, 64)])
def test_it_is_the_librarys_convolution(
    channels: tuple[int, int],
    size: tuple[int, int],
    tiles: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(convolution, "TILES", tiles)
    monkeypatch.setattr(convolution, "FEWEST_POSITIONS", 1)
    x, weight, bias = tensors(2, *channels, *size)
    taller = functional.pad(x, (0, 0, 1, 1), value=0.5)
    kernels = weight.double(), bias.double()
    exact = functional.conv2d(x.double(), *kernels, padding=1)
    check_near(convolve_padded(x, weight, bias), exact, channels[0])
    exact = functional.conv2d(taller.double(), *kernels, padding=(0, 1))
    check_near(convolve(taller, weight, bias), exact, channels[0])


def test_its_gradient_is_the_librarys_and_may_be_differentiated_again() -> None:
    single = tensors(2, 64, 128, 33, 38)
    gradients = []
    for x, weight, bias in (single, [x.double() for x in single]):
        start = x.clone().requires_grad_()
        # In float64 this is the library's.
        value = convolve_padded(start, weight, bias).pow(3).sum()
        (first,) = torch.autograd.grad(value, start, create_graph=True)
        (second,) = torch.autograd.grad(first.square().sum(), start)
        gradients.append((first.detach(), second))
    # The first is the turned convolution of a square; the second that of a product of an outcome
    # and a convolution of the first.
    for found, exact, convolutions in zip(*gradients, (3, 6), strict=True):
        check_near(found, exact, 128, convolutions)


def test_the_first_convolution_is_made_in_parts() -> None:
    x, weight, bias = tensors(2, 3, 64, 70, 50)
    taller = functional.pad(x, (0, 0, 1, 1))
    assert piece(functional.conv2d(x, weight, padding=1), 70) < 70
    exact = functional.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    assert apart(convolve(taller, weight, bias), exact) < rounding(9 * 3 + 1)


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

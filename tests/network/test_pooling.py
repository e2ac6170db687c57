"""percept's maxima against the library's."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from percept_cli.network.pooling import pool

pytestmark = pytest.mark.numeric


def image(height: int, width: int) -> Tensor:
    torch.manual_seed(0)
    # Few different values, many of them the largest of their square together.
    return torch.randint(-2, 2, (2, 3, height, width)).double()


@pytest.mark.parametrize("size", [(2, 2), (6, 8), (7, 8), (6, 9), (11, 13)])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_maxima_and_gradients_are_the_librarys(
    size: tuple[int, int], layout: torch.memory_format
) -> None:
    x = image(*size).contiguous(memory_format=layout)
    outcomes = []
    for pooling in (pool, lambda x: functional.max_pool2d(x, 2)):
        start = x.clone().requires_grad_()
        pooled = pooling(start)
        (pooled * torch.arange(pooled.numel()).view_as(pooled)).sum().backward()
        outcomes.append((pooled.detach(), start.grad))
        assert torch.equal(pooling(x), pooled)
    for ours, theirs in zip(*outcomes, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_gradients_may_be_differentiated_again() -> None:
    x = torch.rand(1, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: pool(x).pow(3), x)


def test_little_is_kept_for_the_backward_pass() -> None:
    kept: list[int] = []

    def pack(x: Tensor) -> Tensor:
        kept.append(x.nbytes)
        return x

    x = torch.rand(1, 4, 8, 8, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        pool(x)
    assert sum(kept) == x.numel() // 4

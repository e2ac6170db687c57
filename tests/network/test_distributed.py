"""Two processes that share a batch learn what one process learns from all of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from rounding import apart, near, through
from torch import Tensor, distributed, multiprocessing, nn
from torch.nn.parallel import DistributedDataParallel

from percept_cli import PerceptualLoss

LAYERS = ("conv1_1", "conv2_1")


class Judged(nn.Module):
    """A model of one convolution; with `inside` its loss is part of it."""

    def __init__(self, inside: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.model = nn.Conv2d(3, 3, 3, padding=1)
        self.loss = PerceptualLoss(LAYERS, check_range=False) if inside else None

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        output: Tensor = self.model(images)
        return self.loss(output, target) if self.loss else output


def batch() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    images, target = torch.rand(2, 4, 3, 40, 40, dtype=torch.float64)
    return images, target


def learn(judged: nn.Module, inside: bool, images: Tensor, target: Tensor) -> Tensor:
    """The loss, after its backward pass."""
    found: Tensor = judged(images, target)
    if not inside:
        found = PerceptualLoss(LAYERS, check_range=False).double()(found, target)
    found.backward()
    return found.detach()


def run(rank: int, inside: bool, folder: Path) -> None:
    torch.set_num_threads(1)
    distributed.init_process_group(
        "gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2
    )
    judged = DistributedDataParallel(Judged(inside).double())
    half = slice(2 * rank, 2 * rank + 2)
    value = learn(judged, inside, *(images[half] for images in batch()))
    gradients = [parameter.grad for parameter in judged.parameters()]
    torch.save((value, gradients), folder / f"{rank}.pt")
    del judged, gradients  # Its threads end before the group does.
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "inside"])
def test_two_processes_learn_what_one_does(
    inside: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    multiprocessing.spawn(run, (inside, tmp_path), nprocs=2)
    values, gradients = zip(*(torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1)), strict=True)
    alone = Judged(inside).double()
    value = learn(alone, inside, *batch())
    assert torch.stack(values).mean().item() == near(value.item(), "conv2_1", torch.float64)
    expected = torch.cat([p.grad.flatten() for p in alone.parameters() if p.grad is not None])
    for parts in gradients:
        # Both images' features have their error, and the way back has its own.
        found = torch.cat([part.flatten() for part in parts])
        assert apart(found, expected) < 3 * through("conv2_1", torch.float64)

"""Sums over bands against sums over the whole image."""

from __future__ import annotations

import pytest
import torch
from rounding import apart, near, through
from torch import Tensor

from percept_cli import PerceptualLoss, StyleLoss
from percept_cli.network import bands
from percept_cli.network.bands import sums_over
from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load

THROUGH_POOL5 = ORDER[: ORDER.index("pool5") + 1]


@pytest.mark.parametrize("deepest", ["conv1_1", "conv2_2", "conv4_1", "pool5"])
@pytest.mark.parametrize("height", [32, 33, 47, 160, 321])
def test_bands_count_every_row_of_every_layer_once(deepest: str, height: int) -> None:
    for name in THROUGH_POOL5[: THROUGH_POOL5.index(deepest) + 1]:
        rows = [band.rows(LAYERS[name]) for band in bands.bands(LAYERS[deepest], height, 8192)]
        counted = [row for one in rows for row in range(one.start, one.stop)]
        assert counted == list(range(height // LAYERS[name].stride))


def test_a_band_sees_what_its_positions_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "BAND_PIXELS", 75 * 32)
    network = VGG19(load("bundled"), "pool5").double()
    images = torch.rand(2, 3, 149, 75, dtype=torch.float64)

    def summed(_: str, __: slice, f: Tensor) -> Tensor:
        return f.square().sum((1, 2, 3))

    assert len(list(bands.bands(LAYERS["pool5"], 149, 75))) > 3
    whole, banded = (
        sums_over(network, THROUGH_POOL5, (images,), summed, chosen) for chosen in (False, True)
    )
    for name in THROUGH_POOL5:
        assert banded[name].tolist() == near(whole[name].tolist(), name, torch.float64)


def gradient(loss: torch.nn.Module, image: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    image = image.clone().requires_grad_()
    value = loss(image, target)
    value.backward()
    assert image.grad is not None
    return value.detach(), image.grad


@pytest.mark.parametrize("distance", ["l2", "unit", "gram", "style"])
def test_checkpointing_changes_neither_loss_nor_gradient(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "BAND_PIXELS", 51 * 16)
    image, target = torch.rand(2, 2, 3, 70, 51, dtype=torch.float64)

    def loss(checkpointing: bool) -> torch.nn.Module:
        if distance == "style":
            return StyleLoss(checkpointing=checkpointing).double()
        return PerceptualLoss(distance=distance, checkpointing=checkpointing).double()

    kept, again = (gradient(loss(chosen), image, target) for chosen in (False, True))
    deepest = "relu5_1" if distance == "style" else "conv4_1"
    assert again[0].item() == near(kept[0].item(), deepest, torch.float64)
    # Both images' features have their error, and the way back has its own.
    assert apart(again[1], kept[1]) < 3 * through(deepest, torch.float64)


def test_checkpointing_keeps_less_for_the_backward_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bands, "BAND_PIXELS", 64 * 32)

    def kept(checkpointing: bool) -> int:
        storages: dict[int, torch.UntypedStorage] = {}

        def pack(x: Tensor) -> Tensor:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage()
            return x

        loss = PerceptualLoss(checkpointing=checkpointing)
        image, target = torch.rand(2, 1, 3, 256, 64)
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            loss(image.requires_grad_(), target)
        return sum(storage.nbytes() for storage in storages.values())

    assert kept(True) < kept(False) / 50

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from conftest import REFERENCES, SAMPLES
from PIL import Image
from torch import Tensor, nn

import percept_cli
from percept_cli import PerceptError, PerceptualLoss
from percept_cli.network.distances import DISTANCES

PAIRS = [(path, SAMPLES / f"jpeg-3/{path.stem}.jpg") for path in REFERENCES if "a" in path.stem]
COFFEE = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-3/coffee.jpg"


def tensor(path: object) -> Tensor:
    with Image.open(path) as image:  # type: ignore[arg-type]
        return torch.from_numpy(np.asarray(image) / np.float32(255)).permute(2, 0, 1)[None]


@pytest.mark.parametrize("distance", DISTANCES)
def test_the_loss_is_what_the_command_reports(distance: str) -> None:
    options = {"distance": distance, "layer_weights": {"conv3_1": 2.0}}
    loss = PerceptualLoss(**options)
    reported = percept_cli.compare(*COFFEE, **options)
    reference, candidate = map(tensor, COFFEE)
    # The command sums in another order: float32 rounding.
    assert loss(candidate, reference).item() == pytest.approx(reported.total, rel=1e-5)
    per_layer = loss.layer_distances(candidate, reference)
    assert {name: d.item() for name, d in per_layer.items()} == pytest.approx(
        dict(reported.layers), rel=1e-5
    )


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_batch_gives_what_single_pairs_give(distance: str) -> None:
    loss = PerceptualLoss(("conv1_1", "conv2_1"), distance=distance)
    pairs = [(tensor(a)[..., :64, :64], tensor(b)[..., :64, :64]) for a, b in [COFFEE, *PAIRS]]
    batch = loss(torch.cat([b for _, b in pairs]), torch.cat([a for a, _ in pairs]))
    singles = [loss(b, a).item() for a, b in pairs]
    assert batch.item() == pytest.approx(np.mean(singles), rel=1e-5)


@pytest.mark.parametrize("distance", DISTANCES)
def test_identical_images_are_zero_with_a_zero_gradient(distance: str) -> None:
    image = tensor(COFFEE[0])[..., :32, :32].requires_grad_()
    value = PerceptualLoss(distance=distance)(image, image.detach())
    value.backward()
    assert value.item() == 0
    assert image.grad is not None and not image.grad.any()


def test_a_gradient_step_lowers_the_loss() -> None:
    loss = PerceptualLoss(("conv1_1", "conv2_1"))
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    image = image.clone().requires_grad_()
    before = loss(image, target)
    before.backward()
    assert image.grad is not None and image.grad.isfinite().all()
    with torch.no_grad():
        image -= 0.01 * image.grad / image.grad.abs().max()
    assert loss(image.clamp(0, 1), target) < before


def test_nothing_lands_in_checkpoint_or_optimiser() -> None:
    loss = PerceptualLoss(("conv1_1",))
    model = nn.Sequential(nn.Conv2d(3, 3, 1), loss)
    assert list(loss.state_dict()) == [] and list(loss.parameters()) == []
    assert list(model.state_dict()) == ["0.weight", "0.bias"]


def test_training_mode_changes_nothing() -> None:
    loss = PerceptualLoss()
    reference, candidate = (tensor(path)[..., :64, :64] for path in COFFEE)
    assert loss.train()(candidate, reference) == loss.eval()(candidate, reference)


def test_the_whole_loss_follows_to() -> None:
    loss = PerceptualLoss(("conv1_1",))
    double = copy.deepcopy(loss).double()
    meta = copy.deepcopy(loss).to("meta")
    assert {b.dtype for b in double.buffers()} == {torch.float64}
    assert {b.device.type for b in meta.buffers()} == {"meta"}
    assert {b.dtype for b in loss.buffers()} == {torch.float32}
    images = torch.rand(2, 1, 3, 8, 8, dtype=torch.float64)
    assert double(*images).item() == pytest.approx(loss(*images.float()).item(), rel=1e-5)


@pytest.mark.parametrize(
    ("input", "target", "message"),
    [
        (torch.rand(1, 3, 16, 16) * 255, torch.rand(1, 3, 16, 16), r"input has values .* \[0, 1\]"),
        (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16) - 1, r"target has values .* \[0, 1\]"),
        (torch.full((1, 3, 16, 16), torch.nan), torch.rand(1, 3, 16, 16), "input has values"),
        (torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16), "give N×3×H×W"),
        (torch.rand(3, 16, 16), torch.rand(3, 16, 16), "give N×3×H×W"),
        (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 17), "give equal shapes"),
        (torch.rand(1, 3, 7, 16), torch.rand(1, 3, 7, 16), "give 8×8 pixels or more"),
        (
            torch.rand(1, 3, 16, 16),
            torch.rand(1, 3, 16, 16, device="meta"),
            "target is on meta, the loss on cpu",
        ),
    ],
)
def test_wrong_tensors_are_refused(input: Tensor, target: Tensor, message: str) -> None:
    with pytest.raises(PerceptError, match=message):
        PerceptualLoss()(input, target)


def test_overshooting_outputs_may_be_allowed() -> None:
    target, over = torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16) * 1.4 - 0.2
    assert PerceptualLoss(("conv1_1",), check_range=False)(over, target).isfinite()
    with pytest.raises(PerceptError, match="switch check_range off"):
        PerceptualLoss(("conv1_1",))(over, target)

from __future__ import annotations

import copy
import math
import shutil
from typing import Any

import numpy as np
import pytest
import torch
import training
from conftest import REFERENCES, SAMPLES
from PIL import Image
from rounding import apart, near, rounding, through, winograd_growth
from torch import Tensor, nn
from torchvision_weights import random_weights

import percept_cli
from percept_cli import PerceptError, PerceptualLoss, StyleLoss, total_variation
from percept_cli.inputs.images import Picture
from percept_cli.network import bands, vgg
from percept_cli.network import loss as loss_module
from percept_cli.network.distances import BY_DEPTH, DISTANCES
from percept_cli.network.layers import LAYERS
from percept_cli.network.loss import STYLE_LAYERS

PAIRS = [(path, SAMPLES / f"jpeg-3/{path.stem}.jpg") for path in REFERENCES if "a" in path.stem]
EPS = torch.finfo(torch.float32).eps
SPATIAL = tuple(name for name, layer in LAYERS.items() if layer.kind != "fc")
COFFEE = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-3/coffee.jpg"


def tensor(path: object) -> Tensor:
    with Image.open(path) as image:
        return torch.from_numpy(np.asarray(image) / np.float32(255)).permute(2, 0, 1)[None]


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_the_loss_is_what_the_command_reports(distance: str) -> None:
    options = {"distance": distance, "layer_weights": {"conv3_1": 2.0}}
    loss = PerceptualLoss(**options)
    reported = percept_cli.compare(*COFFEE, **options)
    reference, candidate = map(tensor, COFFEE)
    assert loss(candidate, reference).item() == near(reported.total)
    per_layer = loss.layer_distances(candidate, reference)
    assert {name: d.item() for name, d in per_layer.items()} == near(dict(reported.layers))


@pytest.mark.numeric
def test_the_recipe_of_docs_training_is_that_of_the_preset() -> None:
    loss = PerceptualLoss(["relu2_2", "relu3_4"], distance="appearance")
    reference, candidate = map(tensor, COFFEE)
    reported = percept_cli.compare(*COFFEE, preset="quality", shrink=0)
    assert loss(candidate, reference).item() == near(reported.total)


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_a_batch_gives_what_single_pairs_give(distance: str) -> None:
    loss = PerceptualLoss(("conv1_1", "conv2_1"), distance=distance).double()
    pairs = [[tensor(path)[..., :64, :64].double() for path in pair] for pair in [COFFEE, *PAIRS]]
    batch = loss(torch.cat([b for _, b in pairs]), torch.cat([a for a, _ in pairs]))
    singles = [loss(b, a).item() for a, b in pairs]
    assert batch.item() == near(np.mean(singles), "conv2_1", torch.float64)


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
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


@pytest.mark.numeric
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
    assert double(*images).item() == near(loss(*images.float()).item(), "conv1_1")


@pytest.mark.parametrize(
    ("input", "target", "message"),
    [
        (torch.rand(1, 3, 16, 16) * 255, torch.rand(1, 3, 16, 16), r"input has values .* \[0, 1\]"),
        (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 16) - 1, r"target has values .* \[0, 1\]"),
        (torch.full((1, 3, 16, 16), torch.nan), torch.rand(1, 3, 16, 16), "input has values"),
        (torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16), "give N×3×H×W"),
        (torch.rand(3, 16, 16), torch.rand(3, 16, 16), "give N×3×H×W"),
        (torch.rand(1, 3, 16, 0), torch.rand(1, 3, 16, 0), "it is empty"),
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


@pytest.mark.parametrize("kind", [*DISTANCES, *BY_DEPTH, "style"])
def test_gradcheck_in_double(kind: str) -> None:
    torch.manual_seed(0)
    layers = ("conv1_1", "relu1_2", "pool2" if kind in BY_DEPTH else "pool1")
    loss = StyleLoss(layers) if kind == "style" else PerceptualLoss(layers, distance=kind)
    loss = loss.double()
    image, target = torch.rand(2, 1, 3, 6, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(loss, (image.requires_grad_(), target))


@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_gradcheck_of_bands_against_a_prepared_target_in_a_mask(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(bands, "BAND_PIXELS", 4 * 5)
    loss = PerceptualLoss(("conv1_1", "pool2"), distance=distance, checkpointing=True).double()
    image, target = torch.rand(2, 2, 3, 8, 5, dtype=torch.float64)
    mask = torch.rand(2, 1, 8, 5, dtype=torch.float64)
    mask[0, :, :5, 2:] = 0
    arguments = image.requires_grad_(), loss.prepare(target), mask
    assert torch.autograd.gradcheck(loss, arguments)


def test_both_sides_may_take_gradients_and_may_be_differentiated_twice() -> None:
    torch.manual_seed(0)
    loss = PerceptualLoss(("relu1_1", "pool1"), distance="mse").double()
    images = [torch.rand(1, 3, 4, 4, dtype=torch.float64).requires_grad_() for _ in range(2)]
    assert torch.autograd.gradgradcheck(loss, images)


@pytest.mark.numeric
def test_reductions_are_of_the_values_per_image() -> None:
    images = torch.rand(2, 3, 3, 16, 16, dtype=torch.float64)
    losses = [PerceptualLoss(reduction=kind).double() for kind in ("none", "mean", "sum")]
    each, mean, total = (loss(*images) for loss in losses)
    assert each.shape == (3,)
    assert mean == each.mean() and total == each.sum()
    singles = [losses[1](a[None], b[None]).item() for a, b in zip(*images, strict=True)]
    assert each.tolist() == near(singles, dtype=torch.float64)


@pytest.mark.numeric
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_a_prepared_target_gives_the_same_loss_and_gradient(distance: str) -> None:
    loss = PerceptualLoss(distance=distance)
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    prepared = loss.prepare(target)
    for _ in range(2):
        once, again = (image.clone().requires_grad_() for _ in range(2))
        values = loss(once, target), loss(again, prepared)
        torch.autograd.backward(values)
        torch.testing.assert_close(*values, rtol=0, atol=0)
        torch.testing.assert_close(once.grad, again.grad, rtol=0, atol=0)


def test_one_prepared_target_serves_many_images() -> None:
    torch.manual_seed(0)
    images, mask = torch.rand(3, 4, 32, 32, dtype=torch.float64).split((3, 1), 1)
    target = torch.rand(1, 3, 32, 32, dtype=torch.float64)
    loss = PerceptualLoss(reduction="none", distance="unit").double()
    with torch.inference_mode():
        goal = loss.prepare(target)
    many = target.repeat(3, 1, 1, 1)
    for masks in ((), (mask,)):
        expected = loss(images, many, *masks).tolist()
        assert loss(images, goal, *masks).tolist() == near(expected, dtype=torch.float64)
    with pytest.raises(PerceptError, match="give equal shapes"):
        loss(images, loss.prepare(many[:2]))


@pytest.mark.numeric
def test_a_functional_gradient_is_the_usual_one() -> None:
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    loss = PerceptualLoss()
    start = image.clone().requires_grad_()
    loss(start, target).backward()
    torch.testing.assert_close(torch.func.grad(loss)(image, target), start.grad, rtol=0, atol=0)


@pytest.mark.parametrize("input_range", [(-1, 1), (0, 255)])
def test_the_input_range_is_declared_once(input_range: tuple[float, float]) -> None:
    low, high = input_range
    target, image = (tensor(path)[..., :32, :32].double() for path in COFFEE)
    moved = [low + (high - low) * x for x in (image, target)]
    loss = PerceptualLoss(input_range=input_range).double()
    expected = PerceptualLoss().double()(image, target).item()
    assert loss(*moved).item() == near(expected, dtype=torch.float64)
    with pytest.raises(PerceptError, match=rf"input has values .* \[{low:g}, {high:g}\]"):
        loss(moved[0] * 2 + 1, moved[1])


@pytest.mark.numeric
def test_resizing_is_that_of_the_command() -> None:
    """But for whole levels, to which the command rounds along rows and again along columns."""
    loss, room = PerceptualLoss(resize=(80, 96), check_range=False), 0.0
    for path in COFFEE:
        with Image.open(path) as image:
            pixels = Picture(np.asarray(image)).resized((96, 80)).pixels
        theirs = torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1)[None]
        ours = loss._sized(tensor(path), "input")
        assert (255 * (ours.clamp(0, 1) - theirs)).square().mean() < 1
        room += PerceptualLoss(check_range=False)(ours, theirs).item()
    reported = percept_cli.compare(*COFFEE, resize="96x80").total
    # The triangle inequality.
    found = loss(*map(tensor, COFFEE[::-1])).item()
    assert found == pytest.approx(reported, abs=room)


@pytest.mark.numeric
def test_what_overshoots_at_edges_is_cut_as_by_the_command() -> None:
    page = np.zeros((64, 64, 3), np.float32)
    page[:, ::8] = page[:, 1::8] = page[20:24] = 1
    other = np.roll(page, 1, axis=1)
    one, two = (torch.from_numpy(x.copy()).permute(2, 0, 1)[None] for x in (other, page))
    reported = percept_cli.compare(page, other, resize="100").total
    assert PerceptualLoss(resize=100)(one, two).item() == pytest.approx(reported, rel=1e-3)
    # Each image by itself, whatever is beside it in the batch.
    loss = PerceptualLoss(resize=100, check_range=False, reduction="none")
    beside = torch.full_like(one, math.nan)
    values = loss(torch.cat([one, one * 3, beside]), torch.cat([two] * 3))
    assert values[0].item() == pytest.approx(loss(one, two).item()) and values[2].isnan()
    # What a model itself overshoots by is still to be unlearned.
    beyond = (one * 3 - 1).requires_grad_()
    PerceptualLoss(resize=100, check_range=False)(beyond, two).backward()
    assert beyond.grad is not None
    for outside in (beyond > 1, beyond < 0):
        assert beyond.grad[outside].any()


@pytest.mark.numeric
def test_nothing_outside_a_mask_counts() -> None:
    torch.manual_seed(0)
    loss = PerceptualLoss(reduction="none")
    image, other, target = torch.rand(3, 2, 3, 48, 48)
    mask = torch.zeros(2, 1, 48, 48)
    mask[0, :, 8:30, 10:40] = 1
    image.requires_grad_()
    value = loss(image, target, mask)
    value.sum().backward()
    assert image.grad is not None
    inside = mask.expand_as(image) > 0
    assert image.grad[inside].all() and not image.grad[~inside].any()
    assert value[1] == 0
    changed = torch.where(inside, image.detach(), other)
    assert torch.equal(loss(changed, target, mask), value)


def test_a_mask_of_everything_changes_nothing_and_a_mean_is_over_its_area() -> None:
    image, target = torch.rand(2, 1, 3, 64, 64, dtype=torch.float64)
    loss = PerceptualLoss(("conv1_1",), distance="mse").double()
    mask = torch.ones(1, 1, 64, 64)
    for area in (1.0, 0.5):
        mask[..., int(64 * area) :] = 0
        merged = torch.where(mask > 0, image, target)
        expected = loss(merged, target).item() / area
        assert loss(image, target, mask).item() == near(expected, "conv1_1", torch.float64)


@pytest.mark.numeric
def test_no_gradient_leaves_a_mask_where_images_are_resized() -> None:
    torch.manual_seed(0)
    image, target = torch.rand(2, 1, 3, 64, 64)
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 17:46] = 1
    loss = PerceptualLoss(resize=32)
    image.requires_grad_()
    found = loss(image, target, mask)
    found.backward()
    assert image.grad is not None
    inside = mask.expand_as(image) > 0
    assert image.grad[inside].any() and not image.grad[~inside].any()
    assert torch.equal(loss(image, loss.prepare(target), mask), found)


def test_a_target_prepared_in_another_precision_is_refused() -> None:
    loss, image = PerceptualLoss(("conv1_1", "conv2_1")), torch.rand(1, 3, 32, 32)
    goal = loss.prepare(image)
    with torch.autocast("cpu", torch.bfloat16):
        assert loss(image, loss.prepare(image)) == 0
        with pytest.raises(PerceptError, match="prepare it under the same autocast"):
            loss(image, goal)


@pytest.mark.parametrize("case", ["large", "prepared and banded", "layouts"])
def test_identical_images_are_zero_however_they_come(
    case: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bands, "BAND_PIXELS", 64 * 64)
    image = tensor(COFFEE[0])
    loss = PerceptualLoss(checkpointing=case == "prepared and banded")
    target: Any = image
    if case == "layouts":
        image = image.contiguous(memory_format=torch.channels_last)
    if case == "prepared and banded":
        target = loss.prepare(image)
    image = image.clone().requires_grad_()
    value = loss(image, target)
    value.backward()
    assert value.item() == 0
    assert image.grad is not None and not image.grad.any()


@pytest.mark.numeric
def test_half_images_may_be_resized() -> None:
    images = torch.rand(2, 1, 3, 32, 32).half()
    found = PerceptualLoss(("conv1_1",), resize=16)(*images)
    exact = PerceptualLoss(("conv1_1",), resize=16)(*images.float())
    assert torch.equal(found, exact)


@pytest.mark.numeric
def test_a_loss_in_half_precision_keeps_its_mean_and_std() -> None:
    loss = PerceptualLoss(("conv1_1",)).to(torch.bfloat16)
    exact = PerceptualLoss(("conv1_1",))
    assert torch.equal(loss.network.mean, exact.network.mean)
    assert torch.equal(loss.network.std, exact.network.std)
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    # Images, weights and features are rounded, those of two images.
    room = 2 * rounding(3, torch.bfloat16)
    assert loss(image, target).item() == pytest.approx(exact(image, target).item(), abs=room)


@pytest.mark.numeric
def test_a_prepared_target_is_a_copy_without_a_graph() -> None:
    torch.manual_seed(0)
    loss, mask = PerceptualLoss(("conv1_1",)), torch.rand(1, 1, 16, 16)
    made, image = (torch.rand(1, 3, 16, 16).requires_grad_() for _ in range(2))
    goal = loss.prepare(made)
    before = loss(image, goal, mask)
    before.backward(retain_graph=True)
    with torch.no_grad():
        made.zero_()
    assert torch.equal(loss(image, goal, mask), before)
    assert not goal.images.requires_grad


def test_what_another_loss_prepared_is_refused() -> None:
    image = torch.rand(1, 3, 16, 16)
    goal = PerceptualLoss(("conv1_1",)).prepare(image)
    for other, what in (
        (PerceptualLoss(("conv1_1",), resize=16), "resize"),
        (PerceptualLoss(("conv1_1",), check_range=False).to("meta"), "device"),
    ):
        with pytest.raises(PerceptError, match=f"prepared by a loss of other {what}: prepare it"):
            other(image.to(other.network.mean.device), goal)
    with pytest.raises(PerceptError, match="target was prepared by a loss of other layers"):
        PerceptualLoss(("conv1_2",))(image, PerceptualLoss(("conv1_1",)).prepare(image))
    with pytest.raises(PerceptError, match="style was prepared by a loss of other layers"):
        StyleLoss(("conv1_2",))(image, StyleLoss(("conv1_1",)).prepare(image))


def test_a_mask_outside_0_to_1_is_refused() -> None:
    images, mask = torch.rand(2, 1, 3, 16, 16), torch.full((1, 1, 16, 16), 255, dtype=torch.uint8)
    with pytest.raises(PerceptError, match="mask has values from 255 to 255"):
        PerceptualLoss(("conv1_1",), check_range=False)(*images, mask)
    with pytest.raises(PerceptError, match="mask is a ndarray: give a tensor"):
        PerceptualLoss(("conv1_1",))(*images, np.ones((1, 1, 16, 16)))
    assert PerceptualLoss(("conv1_1",))(*images, mask.bool()) > 0


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 3, 1, 8), (0, 3, 8, 8)])
def test_total_variation_of_what_has_no_neighbours_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PerceptError, match="give N×C×H×W, 2×2 or more"):
        total_variation(torch.rand(shape))


def test_total_variation_of_an_array_is_refused() -> None:
    with pytest.raises(PerceptError, match="images are a ndarray: give a tensor"):
        total_variation(np.ones((1, 3, 8, 8)))


def test_total_variation_of_integers_is_refused() -> None:
    with pytest.raises(PerceptError, match=r"images hold .*int64: give floating point"):
        total_variation(torch.ones(1, 3, 8, 8, dtype=torch.int64))


def test_the_range_of_a_loss_on_an_accelerator_is_checked_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[str] = []
    monkeypatch.setattr(loss_module, "_check_range", lambda _, role, *__: looked.append(role))
    loss = PerceptualLoss(("conv1_1",)).to("meta")
    for _ in range(3):
        loss.prepare(torch.rand(1, 3, 8, 8, device="meta"))
    assert looked == ["target"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": "median"}, "unknown reduction 'median': choose one of mean, sum, none"),
        ({"input_range": (1, 0)}, "input_range .*: give the least value and the largest"),
        ({"input_range": (0, float("inf"))}, "input_range .*: give the least value and"),
        ({"input_range": 255}, "input_range 255: give two numbers"),
        ({"resize": (224,)}, "resize .*: give two numbers"),
        ({"resize": ("a", "b")}, "resize .*: give two numbers"),
        ({"resize": 4}, "resize .*: give a height and a width, whole, of 8 or more"),
        ({"resize": (22.5, 22)}, "resize .*: give a height and a width, whole, of 8 or more"),
        ({"layers": ("fc7",)}, "bundled end at pool5, before fc7"),
    ],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(PerceptError, match=message):
        PerceptualLoss(**options)


@pytest.mark.parametrize("shape", [(1, 1, 16, 15), (2, 1, 16, 16), (16, 16)])
def test_a_mask_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(PerceptError, match=r"mask has shape .* give \(1, 1, 16, 16\)"):
        PerceptualLoss(("conv1_1",))(*torch.rand(2, 1, 3, 16, 16), torch.ones(shape))


@pytest.mark.numeric
def test_style_is_the_gram_distance_where_sizes_are_equal() -> None:
    images = torch.rand(2, 2, 3, 40, 56, dtype=torch.float64)
    style = StyleLoss().double()
    gram = PerceptualLoss(STYLE_LAYERS, distance="gram").double()
    assert style(*images).item() == near(gram(*images).item(), "relu5_1", torch.float64)


@pytest.mark.numeric
def test_style_may_have_any_size_and_serve_many_images() -> None:
    loss = StyleLoss(reduction="none")
    tile = tensor(COFFEE[0])[..., :64, :64]
    tiled = tile.repeat(1, 1, 2, 3)
    images = torch.cat([tile, tensor(PAIRS[0][0])[..., :64, :64]])
    found = loss(images, loss.prepare(tiled))
    assert torch.equal(found, loss(images, tiled))
    # But for their borders, repeated tiles have the style of one.
    assert found[0] < found[1] / 4
    with pytest.raises(
        PerceptError, match="3 styles for 2 images: give one for all or one for each"
    ):
        loss(images, torch.rand(3, 3, 32, 32))


@pytest.mark.numeric
def test_total_variation_is_its_formula() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 4, 5) / 8
    assert total_variation(ramp) == 1 / 8
    noise = torch.rand(2, 3, 6, 7)
    rows, columns = (np.abs(np.diff(noise.numpy(), axis=axis)).mean((1, 2, 3)) for axis in (2, 3))
    each = total_variation(noise, reduction="none")
    # Sums of positive terms: at worst, all round the same way.
    np.testing.assert_allclose(each, rows + columns, rtol=noise[0].numel() * EPS)


@pytest.mark.numeric
def test_channels_last_gives_the_same_loss_and_gradient() -> None:
    torch.manual_seed(0)
    target, image = torch.rand(2, 1, 3, 64, 64, dtype=torch.float64)
    layout = torch.channels_last
    usual, last = PerceptualLoss().double(), PerceptualLoss().double().to(memory_format=layout)
    once = image.clone().requires_grad_()
    again = image.to(memory_format=layout).clone().requires_grad_()
    values = usual(once, target), last(again, target.to(memory_format=layout))
    check_same(values, (once, again), "conv4_1")


def check_same(values: tuple[Tensor, Tensor], images: tuple[Tensor, Tensor], layer: str) -> None:
    """Two losses and their gradients are equal but for rounding, in float64.

    There nothing but equal numbers is so near that rounding decides which of them is the maximum.
    """
    torch.autograd.backward(values)
    assert values[0].item() == near(values[1].item(), layer, torch.float64)
    once, again = (image.grad for image in images)
    assert once is not None and again is not None
    # Both images' features have their error, and the way back has its own.
    assert apart(once, again) < 3 * through(layer, torch.float64)


class Rounded(torch.autograd.Function):
    """Values, and on the way back their gradients, with the few bits that another type has."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> Tensor:
        ctx.dtype = dtype
        return x.to(dtype).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.to(ctx.dtype).to(gradient.dtype), None


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_autocast_costs_its_own_precision_and_no_more(
    distance: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Against float64, where what convolutions take and give is rounded as autocast rounds it."""

    def convolve_rounded(x: Tensor, *kernels: Tensor) -> Tensor:
        x, *kernels = (Rounded.apply(one, dtype) for one in (x, *kernels))
        return Rounded.apply(nn.functional.conv2d(x, *kernels, padding=1), dtype)

    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    loss, values, gradients = PerceptualLoss(distance=distance), [], []
    scale = 2**16  # As torch.amp.GradScaler does: fp16 has no small numbers.
    image.requires_grad_()
    with torch.autocast("cpu", dtype=dtype):
        value = loss(image, target)
    assert value.dtype == torch.float32
    (found,) = torch.autograd.grad(scale * value, image)
    for rounds in (False, True):
        if rounds:
            monkeypatch.setattr(vgg, "convolve_padded", convolve_rounded)
        start = image.detach().double().requires_grad_()
        values.append(loss.double()(start, target.double()))
        gradients += torch.autograd.grad(scale * values[-1], start)
    exact, rounded = gradients
    # Each convolution rounds what it takes, its weights and what it gives; gram and mse double it.
    room = rounding(3 * 9, dtype) * (2 if distance in ("gram", "mse") else 1)
    assert value.item() == pytest.approx(values[0].item(), rel=room)
    # What it rounds otherwise, between a sum and its bias say, it rounds no oftener.
    assert apart(found, exact) < 2 * apart(rounded, exact)


def test_features_of_photographs_stay_within_half_precision() -> None:
    network = PerceptualLoss(("pool5",)).network
    with torch.inference_mode():
        images = (tensor(path) for path in REFERENCES)
        features = (f for image in images for _, f in network.features(image, SPATIAL))
        largest = max(f.abs().max().item() for f in features)
    assert largest < torch.finfo(torch.float16).max / 2


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")  # torch's own.
@pytest.mark.parametrize("backend", ["aot_eager", "inductor"])
def test_a_compiled_loss_is_the_eager_one(backend: str) -> None:
    if backend == "inductor" and not shutil.which("g++"):
        pytest.skip("inductor needs a C++ compiler")
    loss = PerceptualLoss(("conv1_1", "conv2_1")).double()
    torch.manual_seed(0)
    # Without areas of one colour: which of equal features is the maximum is left to rounding.
    target, image = torch.rand(2, 1, 3, 32, 32, dtype=torch.float64)
    compiled = torch.compile(loss, backend=backend, fullgraph=True, dynamic=True)
    once, again = (image.clone().requires_grad_() for _ in range(2))
    values = loss(once, target), compiled(again, target)
    check_same(values, (once, again), "conv2_1")


def test_pixels_that_follow_the_loss_from_noise_become_the_target() -> None:
    torch.manual_seed(0)
    loss = PerceptualLoss(check_range=False)
    target = tensor(COFFEE[0])[..., 96:144, 96:144]
    start = torch.rand_like(target)
    goal, image = loss.prepare(target), start.clone().requires_grad_()
    optimiser = torch.optim.Adam([image], 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 300)
    totals = []
    for _ in range(300):
        optimiser.zero_grad()
        total = loss(image, goal)
        total.backward()
        optimiser.step()
        schedule.step()
        totals.append(total.item())
    assert totals[-1] < totals[0] / 20
    start, end = (start - target).square().mean(), (image.detach() - target).square().mean()
    assert end < start / 4


@pytest.mark.parametrize("checkpointing", [False, True])
def test_fully_connected_layers_have_their_distance(
    checkpointing: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = random_weights()
    monkeypatch.setattr(loss_module, "load", lambda _: weights)
    layers = ("conv2_1", "fc6", "fc8")
    loss = PerceptualLoss(layers, distance="mse", raw=True, checkpointing=checkpointing).double()
    image, target = torch.rand(2, 2, 3, 40, 48, dtype=torch.float64)
    found = loss.layer_distances(image.requires_grad_(), target)
    with torch.no_grad():
        f, g = (dict(loss.network.features(x, layers)) for x in (image, target))
    for name in layers:
        expected = (f[name] - g[name]).square().mean((1, 2, 3))
        assert found[name].tolist() == near(expected.tolist(), name, torch.float64)
    found["fc8"].sum().backward()
    assert image.grad is not None and image.grad.isfinite().all()
    mask = torch.zeros(2, 1, 40, 48)
    mask[..., :20] = 1
    merged = torch.where(mask > 0, image.detach(), target)
    masked = loss.layer_distances(image.detach(), target, mask)
    whole = loss.layer_distances(merged, target)
    # It sees the whole image: no share.
    assert masked["fc8"].tolist() == near(whole["fc8"].tolist(), "fc8", torch.float64)


@pytest.mark.parametrize("distance", [*DISTANCES, *BY_DEPTH])
def test_not_a_number_stays_one(distance: str) -> None:
    image, target = torch.rand(2, 2, 3, 16, 16)
    image[1, 0, 3, 3] = torch.nan
    loss = PerceptualLoss(("pool2",), distance=distance, reduction="none", check_range=False)
    found = loss(image, target)
    assert found[0].isfinite() and found[1].isnan()
    mask = torch.ones(2, 1, 16, 16)
    mask[..., :8, :] = 0
    assert loss(image, target, mask).isfinite().all()


@pytest.mark.numeric
def test_a_large_mask_counts_in_half_precision() -> None:
    image, target = torch.rand(2, 1, 3, 300, 300)
    loss, mask = PerceptualLoss(("conv1_1",)), torch.ones(1, 1, 300, 300)
    found = loss(image.half(), target.half(), mask)
    # Two images are rounded, and where they differ and what is inside the mask.
    room = 2 * 3 * torch.finfo(torch.float16).eps
    assert found.item() == pytest.approx(loss(image, target, mask).item(), rel=room)


@pytest.mark.parametrize("case", ["mask", "prepared", "checkpointing", "style", "unit"])
def test_every_use_compiles(case: str) -> None:
    torch.manual_seed(0)
    images, layers = torch.rand(2, 1, 3, 32, 32, dtype=torch.float64), ("conv1_1", "conv2_1")
    loss: Any = PerceptualLoss(layers, checkpointing=case == "checkpointing")
    if case in ("style", "unit"):
        loss = StyleLoss(layers) if case == "style" else PerceptualLoss(layers, distance="unit")
    loss, arguments = loss.double(), tuple(images)
    if case == "mask":
        arguments += (torch.rand(1, 1, 32, 32, dtype=torch.float64),)
    if case == "prepared":
        arguments = images[0], loss.prepare(images[1])
    compiled = torch.compile(loss, backend="aot_eager")
    expected = loss(*arguments).item()
    assert compiled(*arguments).item() == near(expected, "conv2_1", torch.float64)


@pytest.mark.numeric
def test_a_gradient_is_exact_although_it_is_taken_under_autocast() -> None:
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    loss, gradients = PerceptualLoss(), []
    for halved in (False, True):
        start = image.clone().requires_grad_()
        value = loss(start, target)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=halved):
            value.backward()
        gradients.append(start.grad)
    exact, found = gradients
    assert exact is not None and found is not None
    assert torch.equal(found, exact)


def test_a_compiled_loss_serves_many_sizes() -> None:
    compiled = torch.compile(PerceptualLoss(("conv1_1",)), backend="aot_eager", fullgraph=True)
    counter = torch._dynamo.utils.counters
    counter.clear()
    for side in range(16, 40, 2):
        compiled(*torch.rand(2, 1, 3, side, side + 3))
    assert 1 <= counter["stats"]["unique_graphs"] <= 3


def convolved(modules: nn.Sequential, x: Tensor) -> list[Tensor]:
    """What each convolution of torchvision's network gives."""
    outcomes = []
    with torch.no_grad():
        for module in modules:
            x = module(x)
            if isinstance(module, nn.Conv2d):
                outcomes.append(x.clone())
    return outcomes


def chosen_features(modules: nn.Sequential, x: Tensor, convolved: list[Tensor]) -> list[Tensor]:
    """Features where ReLUs and maxima choose what they choose of other, convolved, features."""
    choices, features = iter(convolved), []
    for place, module in enumerate(modules):
        if isinstance(module, nn.Conv2d):
            x, choice = module(x), next(choices)
        elif isinstance(module, nn.ReLU):
            x = x * (choice > 0)
        else:
            _, largest = nn.functional.max_pool2d(choice.relu(), 2, return_indices=True)
            x = x.flatten(2).gather(2, largest.flatten(2)).view(largest.shape)
        if place in training.PLACES.values():
            features.append(x)
    return features


@pytest.mark.numeric
def test_loss_and_gradient_are_those_of_plain_torchvision() -> None:
    """Against float64 passes in which what rounding decides between is decided the same way."""
    target, image = (tensor(path)[..., :96, :96] for path in COFFEE)
    ours, plain = training.percept_loss(), training.network()[: training.PLACES["relu4_1"] + 1]
    mean, std = ours.network.mean, ours.network.std
    layers = [name for name in LAYERS if LAYERS[name].kind == "conv"][:9]
    with torch.no_grad():
        features = [f.clone() for _, f in ours.network.features(image, layers)]
    passes = {ours: features, training.plain_loss(): convolved(plain, (image - mean) / std)}
    exact, errors = copy.deepcopy(plain).double(), []
    seen = [(x.double() - mean) / std for x in (image, target)]
    goals = chosen_features(exact, seen[1], convolved(exact, seen[1]))
    for loss, choices in passes.items():
        start, precise = image.clone().requires_grad_(), seen[0].clone().requires_grad_()
        value = loss(start, target)
        pairs = zip(chosen_features(exact, precise, choices), goals, strict=True)
        right = torch.stack([nn.functional.mse_loss(f, g) for f, g in pairs]).mean()
        torch.autograd.backward((value, right))
        assert value.item() == near(right.item())
        assert start.grad is not None and precise.grad is not None
        errors.append(apart(start.grad, precise.grad / std))
    # Sums of as many products, which Winograd's filters enlarge the rounding of.
    assert errors[0] < winograd_growth() * errors[1] < through("conv4_1")


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
def test_a_value_may_leave_its_range_by_a_thousandth_of_it(bounds: tuple[float, float]) -> None:
    low, high = bounds
    loss = PerceptualLoss(("conv1_1",), input_range=bounds)
    target = torch.full((1, 3, 8, 8), (low + high) / 2)
    for outside, refused in ((0.0009, False), (0.0011, True)):
        image = torch.full_like(target, high + outside * (high - low))
        if refused:
            with pytest.raises(PerceptError, match="outside"):
                loss(image, target)
        else:
            assert loss(image, target).isfinite()

from __future__ import annotations

import copy
import shutil
from typing import Any

import numpy as np
import pytest
import torch
import training
from conftest import REFERENCES, SAMPLES
from PIL import Image
from torch import Tensor, nn
from torchvision_weights import random_weights

import percept_cli
from percept_cli import PerceptError, PerceptualLoss, StyleLoss, total_variation
from percept_cli.network import bands
from percept_cli.network import loss as loss_module
from percept_cli.network.distances import DISTANCES
from percept_cli.network.layers import LAYERS
from percept_cli.network.loss import STYLE_LAYERS

PAIRS = [(path, SAMPLES / f"jpeg-3/{path.stem}.jpg") for path in REFERENCES if "a" in path.stem]
SPATIAL = tuple(name for name, layer in LAYERS.items() if layer.kind != "fc")
COFFEE = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-3/coffee.jpg"


def tensor(path: object) -> Tensor:
    with Image.open(path) as image:
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


@pytest.mark.parametrize("kind", [*DISTANCES, "style"])
def test_gradcheck_in_double(kind: str) -> None:
    torch.manual_seed(0)
    layers = ("conv1_1", "relu1_2", "pool1")
    loss = StyleLoss(layers) if kind == "style" else PerceptualLoss(layers, distance=kind)
    loss = loss.double()
    image, target = torch.rand(2, 1, 3, 6, 5, dtype=torch.float64)
    assert torch.autograd.gradcheck(loss, (image.requires_grad_(), target))


@pytest.mark.parametrize("distance", DISTANCES)
def test_gradcheck_of_bands_against_a_prepared_target_in_a_mask(
    distance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(bands, "BAND_PIXELS", 4 * 5)
    loss = PerceptualLoss(("conv1_1", "pool1"), distance=distance, checkpointing=True).double()
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


def test_reductions_are_of_the_values_per_image() -> None:
    images = torch.rand(2, 3, 3, 16, 16)
    each, mean, total = (
        PerceptualLoss(reduction=reduction)(*images) for reduction in ("none", "mean", "sum")
    )
    assert each.shape == (3,)
    torch.testing.assert_close(mean, each.mean())
    torch.testing.assert_close(total, each.sum())
    singles = [PerceptualLoss()(a[None], b[None]) for a, b in zip(*images, strict=True)]
    torch.testing.assert_close(each, torch.stack(singles))


@pytest.mark.parametrize("distance", DISTANCES)
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
    images, target = torch.rand(3, 3, 32, 32), torch.rand(1, 3, 32, 32)
    loss, mask = PerceptualLoss(reduction="none", distance="unit"), torch.rand(3, 1, 32, 32)
    with torch.inference_mode():
        goal = loss.prepare(target)
    many = target.repeat(3, 1, 1, 1)
    torch.testing.assert_close(loss(images, goal), loss(images, many))
    torch.testing.assert_close(loss(images, goal, mask), loss(images, many, mask))
    with pytest.raises(PerceptError, match="give equal shapes"):
        loss(images, loss.prepare(many[:2]))


def test_a_functional_gradient_is_the_usual_one() -> None:
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    loss = PerceptualLoss()
    start = image.clone().requires_grad_()
    loss(start, target).backward()
    torch.testing.assert_close(torch.func.grad(loss)(image, target), start.grad, rtol=0, atol=0)


@pytest.mark.parametrize("input_range", [(-1, 1), (0, 255)])
def test_the_input_range_is_declared_once(input_range: tuple[float, float]) -> None:
    low, high = input_range
    target, image = (tensor(path)[..., :32, :32] for path in COFFEE)
    moved = [low + (high - low) * x for x in (image, target)]
    loss = PerceptualLoss(input_range=input_range)
    assert loss(*moved).item() == pytest.approx(PerceptualLoss()(image, target).item(), rel=1e-5)
    with pytest.raises(PerceptError, match=rf"input has values .* \[{low:g}, {high:g}\]"):
        loss(moved[0] * 2 + 1, moved[1])


def test_resizing_is_that_of_the_command() -> None:
    reference, candidate = map(tensor, COFFEE)
    reported = percept_cli.compare(*COFFEE, resize="96x80").total
    # The command rounds resized pixels to whole levels.
    found = PerceptualLoss(resize=(80, 96), check_range=False)(candidate, reference)
    assert found.item() == pytest.approx(reported, rel=0.01)


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
    torch.testing.assert_close(loss(changed, target, mask), value.detach())


def test_a_mask_of_everything_changes_nothing_and_a_mean_is_over_its_area() -> None:
    image, target = torch.rand(2, 1, 3, 64, 64)
    loss = PerceptualLoss(("conv1_1",), distance="mse")
    whole = loss(image, target)
    torch.testing.assert_close(loss(image, target, torch.ones(1, 1, 64, 64)), whole)
    half = torch.zeros(1, 1, 64, 64)
    half[..., :32] = 1
    # Random noise differs as much everywhere: the mean over half of it is the mean over all.
    assert loss(image, target, half).item() == pytest.approx(whole.item(), rel=0.1)


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
    torch.testing.assert_close(loss(image, loss.prepare(target), mask), found)


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


def test_half_images_may_be_resized() -> None:
    images = torch.rand(2, 1, 3, 32, 32).half()
    found = PerceptualLoss(("conv1_1",), resize=16)(*images)
    exact = PerceptualLoss(("conv1_1",), resize=16)(*images.float())
    torch.testing.assert_close(found, exact)


def test_a_loss_in_half_precision_keeps_its_mean_and_std() -> None:
    loss = PerceptualLoss(("conv1_1",)).to(torch.bfloat16)
    exact = PerceptualLoss(("conv1_1",))
    assert torch.equal(loss.network.mean, exact.network.mean)
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    # The weights are rounded to 8 bits, each its own way: on the whole little is left of it.
    assert loss(image, target).item() == pytest.approx(exact(image, target).item(), rel=0.003)


def test_a_prepared_target_is_a_copy_without_a_graph() -> None:
    torch.manual_seed(0)
    loss, mask = PerceptualLoss(("conv1_1",)), torch.rand(1, 1, 16, 16)
    made, image = (torch.rand(1, 3, 16, 16).requires_grad_() for _ in range(2))
    goal = loss.prepare(made)
    before = loss(image, goal, mask)
    before.backward(retain_graph=True)
    with torch.no_grad():
        made.zero_()
    torch.testing.assert_close(loss(image, goal, mask), before)
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


def test_style_is_the_gram_distance_where_sizes_are_equal() -> None:
    images = torch.rand(2, 2, 3, 40, 56)
    style, gram = StyleLoss(), PerceptualLoss(STYLE_LAYERS, distance="gram")
    assert style(*images).item() == pytest.approx(gram(*images).item(), rel=1e-4)


def test_style_may_have_any_size_and_serve_many_images() -> None:
    loss = StyleLoss(reduction="none")
    tile = tensor(COFFEE[0])[..., :64, :64]
    tiled = tile.repeat(1, 1, 2, 3)
    images = torch.cat([tile, tensor(PAIRS[0][0])[..., :64, :64]])
    found = loss(images, loss.prepare(tiled))
    torch.testing.assert_close(found, loss(images, tiled))
    # But for their borders, repeated tiles have the style of one.
    assert found[0] < found[1] / 4
    with pytest.raises(
        PerceptError, match="3 styles for 2 images: give one for all or one for each"
    ):
        loss(images, torch.rand(3, 3, 32, 32))


def test_total_variation_is_its_formula() -> None:
    ramp = torch.arange(5.0).expand(1, 3, 4, 5) / 10
    assert total_variation(ramp).item() == pytest.approx(0.1)
    noise = torch.rand(2, 3, 6, 7)
    rows, columns = (np.abs(np.diff(noise.numpy(), axis=axis)).mean((1, 2, 3)) for axis in (2, 3))
    each = total_variation(noise, reduction="none")
    np.testing.assert_allclose(each, rows + columns, rtol=1e-6)


def test_channels_last_gives_the_same_loss_and_gradient() -> None:
    torch.manual_seed(0)
    target, image = torch.rand(2, 1, 3, 64, 64)
    usual, last = PerceptualLoss(), PerceptualLoss().to(memory_format=torch.channels_last)
    once = image.clone().requires_grad_()
    again = image.to(memory_format=torch.channels_last).clone().requires_grad_()
    values = usual(once, target), last(again, target.to(memory_format=torch.channels_last))
    torch.autograd.backward(values)
    torch.testing.assert_close(*values, rtol=1e-5, atol=0)
    assert once.grad is not None and again.grad is not None
    assert (once.grad - again.grad).norm() < 1e-4 * once.grad.norm()


# bf16 keeps 8 bits, 0.4 % a rounding, fp16 11; gram and mse double it.
@pytest.mark.parametrize(("dtype", "error"), [(torch.bfloat16, 0.03), (torch.float16, 0.004)])
@pytest.mark.parametrize("distance", DISTANCES)
def test_autocast_costs_its_own_precision_and_no_more(
    distance: str, dtype: torch.dtype, error: float
) -> None:
    loss = PerceptualLoss(distance=distance)
    target, image = (tensor(path)[..., :64, :64] for path in COFFEE)
    image = image.clone().requires_grad_()
    exact = loss(image, target)
    (gradient,) = torch.autograd.grad(exact, image)
    with torch.autocast("cpu", dtype=dtype):
        value = loss(image, target)
    assert value.dtype == torch.float32
    (2**16 * value).backward()  # As torch.amp.GradScaler does: fp16 has no small numbers.
    assert image.grad is not None
    cosine = torch.cosine_similarity(image.grad.flatten(), gradient.flatten(), 0)
    assert cosine > 0.98
    assert value.item() == pytest.approx(exact.item(), rel=error)


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
    loss = PerceptualLoss(("conv1_1", "conv2_1"))
    torch.manual_seed(0)
    # Without areas of one colour: which of equal features is the maximum is left to rounding.
    target, image = torch.rand(2, 1, 3, 32, 32)
    compiled = torch.compile(loss, backend=backend, fullgraph=True, dynamic=True)
    once, again = (image.clone().requires_grad_() for _ in range(2))
    values = loss(once, target), compiled(again, target)
    torch.autograd.backward(values)
    torch.testing.assert_close(*values, rtol=1e-5, atol=0)
    assert once.grad is not None and again.grad is not None
    assert (once.grad - again.grad).norm() < 1e-4 * once.grad.norm()


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
    loss = PerceptualLoss(layers, distance="mse", raw=True, checkpointing=checkpointing)
    image, target = torch.rand(2, 2, 3, 40, 48)
    found = loss.layer_distances(image.requires_grad_(), target)
    with torch.no_grad():
        f, g = (dict(loss.network.features(x, layers)) for x in (image, target))
    for name in layers:
        expected = (f[name] - g[name]).square().mean((1, 2, 3))
        torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=0)
    found["fc8"].sum().backward()
    assert image.grad is not None and image.grad.isfinite().all()
    mask = torch.zeros(2, 1, 40, 48)
    mask[..., :20] = 1
    merged = torch.where(mask > 0, image.detach(), target)
    masked = loss.layer_distances(image.detach(), target, mask)
    whole = loss.layer_distances(merged, target)
    torch.testing.assert_close(masked["fc8"], whole["fc8"])  # It sees the whole image: no share.


@pytest.mark.parametrize("distance", DISTANCES)
def test_not_a_number_stays_one(distance: str) -> None:
    image, target = torch.rand(2, 2, 3, 16, 16)
    image[1, 0, 3, 3] = torch.nan
    loss = PerceptualLoss(("conv1_1",), distance=distance, reduction="none", check_range=False)
    found = loss(image, target)
    assert found[0].isfinite() and found[1].isnan()
    mask = torch.ones(2, 1, 16, 16)
    mask[..., :8, :] = 0
    assert loss(image, target, mask).isfinite().all()


def test_a_large_mask_counts_in_half_precision() -> None:
    image, target = torch.rand(2, 1, 3, 300, 300)
    loss, mask = PerceptualLoss(("conv1_1",)), torch.ones(1, 1, 300, 300)
    found = loss(image.half(), target.half(), mask)
    assert found.item() == pytest.approx(loss(image, target, mask).item(), rel=0.01)


@pytest.mark.parametrize("case", ["mask", "prepared", "checkpointing", "style", "unit"])
def test_every_use_compiles(case: str) -> None:
    torch.manual_seed(0)
    images, layers = torch.rand(2, 1, 3, 32, 32), ("conv1_1", "conv2_1")
    loss: Any = PerceptualLoss(layers, checkpointing=case == "checkpointing")
    if case in ("style", "unit"):
        loss = StyleLoss(layers) if case == "style" else PerceptualLoss(layers, distance="unit")
    arguments: tuple[Any, ...] = tuple(images)
    if case == "mask":
        arguments += (torch.rand(1, 1, 32, 32),)
    if case == "prepared":
        arguments = images[0], loss.prepare(images[1])
    compiled = torch.compile(loss, backend="aot_eager")
    torch.testing.assert_close(compiled(*arguments), loss(*arguments), rtol=1e-5, atol=0)


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
    assert (found - exact).norm() < 1e-5 * exact.norm()


def test_a_compiled_loss_serves_many_sizes() -> None:
    compiled = torch.compile(PerceptualLoss(("conv1_1",)), backend="aot_eager", fullgraph=True)
    counter = torch._dynamo.utils.counters
    counter.clear()
    for side in range(16, 40, 2):
        compiled(*torch.rand(2, 1, 3, side, side + 3))
    assert 1 <= counter["stats"]["unique_graphs"] <= 3


def test_loss_and_gradient_are_those_of_plain_torchvision() -> None:
    target, image = (tensor(path)[..., :96, :96] for path in COFFEE)
    torch.manual_seed(0)
    image = image + 0.01 * torch.randn_like(image)  # No flat areas, where maxima are ties.
    gradients = []
    for loss in (training.percept_loss(), training.plain_loss()):
        start = image.clamp(0, 1).requires_grad_()
        value = loss(start, target)
        value.backward()
        assert start.grad is not None
        gradients.append((value.item(), start.grad))
    (ours, our_gradient), (theirs, their_gradient) = gradients
    assert ours == pytest.approx(theirs, rel=1e-5)
    assert (our_gradient - their_gradient).norm() < 1e-4 * their_gradient.norm()

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rounding import through

from percept_cli.network import differences
from percept_cli.network.differences import tap_differences
from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load
from percept_cli.scoring.meter import _window
from percept_cli.scoring.regions import (
    Crop,
    Rectangle,
    _widest_gap,
    affected_cells,
    changed_cells,
    crops,
    with_changed,
)

SPATIAL = [layer for layer in LAYERS.values() if layer.kind != "fc"]
HUGE = (1 << 20, 1 << 20)


def flags(crops_: list[Crop], size: tuple[int, int]) -> np.ndarray:
    """How often each pixel is owned."""
    counts = np.zeros(size[::-1], int)
    for crop in crops_:
        counts[crop.own.top : crop.own.bottom, crop.own.left : crop.own.right] += 1
    return counts


def random_change(rng: np.random.Generator, size: tuple[int, int], count: int) -> np.ndarray:
    changed = np.zeros(size[::-1], bool)
    for _ in range(count):
        left, top = (int(rng.integers(0, length)) for length in size)
        width, height = rng.integers(1, 40, 2)
        changed[top : top + height, left : left + width] = True
    return changed


@pytest.mark.parametrize("layer", SPATIAL, ids=lambda layer: layer.name)
def test_receptive_fields_reach_as_far_as_they_say(layer: object) -> None:
    """Measured: which pixels have a gradient for one position of a network of ones."""
    assert isinstance(layer, type(SPATIAL[0]))
    side = 2 * (layer.receptive_field or 0) // layer.stride * layer.stride + 2 * layer.stride
    image = torch.zeros(1, 1, side, side, dtype=torch.float64, requires_grad=True)
    x = image
    for step in SPATIAL[: ORDER.index(layer.name) + 1]:
        if step.kind == "conv":
            x = torch.nn.functional.avg_pool2d(x, 3, stride=1, padding=1)
        elif step.kind == "pool":
            x = torch.nn.functional.avg_pool2d(x, 2)
    place = x.shape[2] // 2
    x[0, 0, place, place].backward()
    assert image.grad is not None
    seen = image.grad[0, 0].any(0).nonzero().flatten() - place * layer.stride
    assert (int(seen.min()), int(seen.max())) == (-layer.reach_before, layer.reach_after)


@pytest.mark.parametrize("name", ["conv1_1", "relu2_2", "conv4_1", "pool5"])
def test_crops_own_everything_affected_once_and_see_all_it_needs(name: str) -> None:
    layer, rng = LAYERS[name], np.random.default_rng(0)
    for _ in range(30):
        size = int(rng.integers(33, 700)), int(rng.integers(33, 700))
        changed = random_change(rng, size, int(rng.integers(1, 5)))
        cells = changed_cells(changed[..., None], np.zeros_like(changed)[..., None], layer.stride)
        tile = (int(rng.integers(64, 300)), int(rng.integers(64, 300)))
        for parts in (crops(cells, layer, size, HUGE), crops(cells, layer, size, tile)):
            counts = flags(parts, size)
            assert counts.max() == 1
            affected = affected_cells(cells, layer).repeat(layer.stride, 0).repeat(layer.stride, 1)
            assert counts[affected[: size[1], : size[0]]].all()
            for crop in parts:
                sides = (crop.seen.left, crop.seen.top, crop.own.left, crop.own.top)
                assert not any(side % layer.stride for side in sides)
                assert crop.seen.left <= max(0, crop.own.left - layer.reach_before)
                assert crop.seen.top <= max(0, crop.own.top - layer.reach_before)
                last = crop.own.right - layer.stride + layer.reach_after + 1
                assert crop.seen.right >= min(size[0], last)
                last = crop.own.bottom - layer.stride + layer.reach_after + 1
                assert crop.seen.bottom >= min(size[1], last)


def multiplications(parts: list[Crop], image: torch.Tensor, other: torch.Tensor) -> int:
    """What the network multiplies for these parts, counted as it runs: in all its convolutions."""
    network, count = VGG19(load("bundled"), "conv2_1"), 0
    convolve = differences.convolve

    def counted(x: torch.Tensor, weight: torch.Tensor, *more: Any) -> torch.Tensor:
        nonlocal count
        outcome = convolve(x, weight, *more)
        count += outcome.numel() * weight[0].numel()
        return outcome

    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(differences, "convolve", counted)
        for crop in parts:
            seen = crop.seen
            rows, columns = slice(seen.top, seen.bottom), slice(seen.left, seen.right)
            cut = [x[..., rows, columns] for x in (image, other)]
            changed = _window([crop], 0)
            tap_differences(network, *cut, ("conv2_1",), lambda *_: None, changed=changed)
    return count


def test_crops_never_cost_more_than_the_whole_image() -> None:
    """Fewer multiplications, as counted, unless the whole image is taken."""
    layer, rng = LAYERS["conv2_1"], np.random.default_rng(1)
    cropped = 0
    for _ in range(60):
        size = int(rng.integers(8, 400)), int(rng.integers(8, 400))
        changed = random_change(rng, size, int(rng.integers(1, 8)))
        cells = changed_cells(changed[..., None], np.zeros_like(changed)[..., None], layer.stride)
        everything = Rectangle(0, 0, *size)
        parts = crops(cells, layer, size, HUGE)
        if [part.seen for part in parts] == [everything]:
            continue
        cropped += 1
        image = torch.rand(1, 3, size[1], size[0])
        other = torch.where(torch.from_numpy(changed), 1 - image, image)
        (around,) = crops(
            cells, replace(layer, reach_before=10**6, receptive_field=2 * 10**6), size, HUGE
        )
        assert around.seen == everything
        assert multiplications(parts, image, other) < multiplications([around], image, other)
    assert cropped > 20


def test_many_scattered_changes_are_covered_in_no_time() -> None:
    """A diagonal of dots: every row and every column between two of them is a place to cut."""
    changed = np.zeros((1500, 1500), bool)
    for place in range(0, 1500, 15):
        changed[place, place] = True
    parts = crops(changed, LAYERS["conv2_1"], (3000, 3000), HUGE)
    assert 20 < len(parts) < 100  # Neighbours share one: a run of the network costs as well.


def test_a_grid_of_dots_is_one_crop_in_no_time() -> None:
    """Between any two of thousands of dots is a place to cut, and none of them is worth it."""
    layer, size = LAYERS["conv1_1"], (4096, 16)
    changed = np.zeros((16, 4096), bool)
    changed[:, ::4] = True
    (whole,) = crops(changed, layer, size, HUGE)
    assert whole.seen == Rectangle(0, 0, *size)


def test_tiles_in_which_nothing_can_differ_are_left_out() -> None:
    layer, size = LAYERS["conv4_1"], (1024, 1024)
    changed = np.eye(128, dtype=bool)
    parts = crops(changed, layer, size, (256, 256))
    assert 4 <= len(parts) <= 10
    counts = flags(parts, size)
    affected = affected_cells(changed, layer).repeat(8, 0).repeat(8, 1)
    assert counts.max() == 1 and counts[affected].all()


def test_far_changes_make_several_crops_and_near_ones_share_one() -> None:
    layer, size = LAYERS["conv4_1"], (1920, 1080)
    far, near = np.zeros((2, 1080, 1920, 1), bool)
    far[100, 100] = far[900, 1700] = True
    near[500, 500] = near[500, 540] = True
    none = np.zeros_like(far)
    assert len(crops(changed_cells(far, none, 8), layer, size, HUGE)) == 2
    assert len(crops(changed_cells(near, none, 8), layer, size, HUGE)) == 1
    assert crops(changed_cells(none, none, 8), layer, size, HUGE) == []


def test_what_is_spread_is_cut_in_the_middle_of_its_most_central_widest_gap() -> None:
    cells = np.zeros((1, 9), bool)
    cells[0, [0, 3, 6, 8]] = True
    assert _widest_gap(cells) == (1, 5)
    assert _widest_gap(np.ones((2, 2), bool)) is None


def test_a_crop_knows_exactly_the_flagged_cells_that_it_sees() -> None:
    seen = Rectangle(8, 0, 30, 32)
    cells = np.zeros((5, 5), bool)
    cells[1, 2] = cells[2, 3] = cells[4, 0] = True
    crop = with_changed(Crop(seen, seen), cells, 8)
    assert crop.changed == Rectangle(16, 8, 30, 24)


@pytest.mark.numeric
def test_a_network_sees_no_change_outside_the_affected_cells() -> None:
    network, layer = VGG19(load("bundled"), "conv3_1"), LAYERS["conv3_1"]
    torch.manual_seed(0)
    image = torch.rand(1, 3, 96, 96)
    edited = image.clone()
    edited[..., 40:44, 50:60] = 0
    with torch.inference_mode():
        features = [next(network.features(x, ("conv3_1",)))[1].clone() for x in (image, edited)]
    largest = through("conv3_1") * features[0].abs().max()
    differs = (features[0] - features[1]).abs().amax((0, 1)) > largest
    pixels = ((image - edited)[0].permute(1, 2, 0) != 0).numpy()
    affected = affected_cells(changed_cells(pixels, np.zeros_like(pixels), 4), layer)
    assert differs.any() and not (differs.numpy() & ~affected).any()

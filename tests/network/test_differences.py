"""Differences that travel by themselves, against two plain forward passes in float64."""

from __future__ import annotations

import copy

import pytest
import torch
from rounding import apart, through
from test_vgg import photograph
from torch import Tensor, nn
from torchvision_weights import random_weights

from percept_cli.network import convolution
from percept_cli.network.differences import Memory, Window, tap_differences
from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load

pytestmark = pytest.mark.numeric

SPATIAL = tuple(name for name in ORDER if LAYERS[name].kind != "fc")


def tapped(
    network: VGG19,
    base: Tensor,
    other: Tensor,
    layers: tuple[str, ...],
    rows: int | None = None,
    **choices: bool,
) -> dict[str, tuple[Tensor, Tensor]]:
    found: dict[str, list[tuple[Tensor, Tensor]]] = {name: [] for name in layers}

    def tap(name: str, top: int, f: Tensor, d: Tensor) -> None:
        assert top == sum(part.shape[2] for part, _ in found[name])
        found[name].append((f.clone(), d.clone()))

    with torch.inference_mode():
        tap_differences(network, base, other, layers, tap, rows, **choices)
    return {
        name: (torch.cat([f for f, _ in parts], 2), torch.cat([d for _, d in parts], 2))
        for name, parts in found.items()
    }


def noisy(strength: float) -> Tensor:
    torch.manual_seed(0)
    base = photograph()
    return (base + strength * torch.randn(base.shape)).clamp(0, 1)


@pytest.mark.parametrize("strength", [0.3, 1e-2, 1e-4])
def test_differences_are_as_exact_as_their_size_allows(strength: float) -> None:
    """They carry a feature's error only where another one passes a ReLU, or is the maximum.

    The difference of two plain passes carries it everywhere.
    """
    network = VGG19(load("bundled"), "pool5")
    double = copy.deepcopy(network).double()
    base, other = photograph(), noisy(strength)
    ours = tapped(network, base, other, SPATIAL, rows=12)
    plain = [copied(network, x) for x in (base, other)]
    before, after = (copied(double, x.double()) for x in (base, other))
    turned, last = 0.0, SPATIAL[0]
    for name in SPATIAL:
        f, d = ours[name]
        assert apart(f, before[name]) < through(name), name
        if LAYERS[name].kind != "conv":
            others = chosen(before, last) != chosen(after, last)
            turned += float(others.sum() / (before[name] > 0).sum())
        last, exact = name, after[name] - before[name]
        size = float(exact.norm() / before[name].norm())
        theirs = apart(plain[1][name] - plain[0][name], exact)
        # Twice that, since the errors of two plain passes may cancel in part.
        assert apart(d, exact) < 2 * (turned + size**2) ** 0.5 * theirs, name
        # What is reported: the size of the difference, a mean over all positions.
        assert d.double().norm().item() == pytest.approx(float(exact.norm()), rel=through(name))


def copied(network: VGG19, images: Tensor) -> dict[str, Tensor]:
    with torch.inference_mode():
        return {name: feature.clone() for name, feature in network.features(images, SPATIAL)}


def chosen(features: dict[str, Tensor], name: str) -> Tensor:
    """What passes the ReLU that follows a layer, or which is the maximum where a pool follows."""
    if LAYERS[name].kind == "conv":
        return features[name] > 0
    return nn.functional.max_pool2d(features[name], 2, return_indices=True)[1]


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 16, 60])
def test_it_does_not_matter_where_strips_end(rows: int) -> None:
    network = VGG19(load("bundled"), "conv4_1").double()
    layers = ("conv1_1", "relu1_2", "pool1", "conv2_1", "relu2_2", "pool3", "conv4_1")
    base, other = (x[..., :99, :].double() for x in (photograph(), noisy(0.1)))
    whole, stripped = (tapped(network, base, other, layers, r) for r in (None, rows))
    for name in layers:
        for ours, theirs in zip(stripped[name], whole[name], strict=True):
            assert ours.shape == theirs.shape
            assert apart(ours, theirs) < through(name, torch.float64), name


def test_equal_pixels_give_exactly_zero() -> None:
    network = VGG19(load("bundled"), "pool5")
    base = photograph()
    for name, (_, d) in tapped(network, base, base.clone(), SPATIAL, 12).items():
        assert not d.any(), name


def test_fully_connected_layers_differ_as_in_torchvisions_order() -> None:
    weights = random_weights()
    network = VGG19(weights, "fc8").double()
    layers = ("conv5_4", "fc6", "fc7", "fc8")
    base, other = photograph().double(), noisy(0.1).double()
    ours = tapped(network, base, other, layers)
    with torch.inference_mode():
        before = {n: f.clone() for n, f in network.features(base, layers)}
        after = {n: f.clone() for n, f in network.features(other, layers)}
    for name in layers:
        f, d = ours[name]
        assert f.shape == d.shape == before[name].shape
        assert apart(f, before[name]) < through(name, torch.float64), name
        assert apart(f + d, after[name]) < through(name, torch.float64), name


def test_a_batch_gives_what_single_images_give() -> None:
    network = VGG19(load("bundled"), "conv3_1").double().to(memory_format=torch.channels_last)
    base, other = (x[..., :64, :64].double() for x in (photograph(), noisy(0.1)))
    pair = torch.cat((base, base.flip(3))), torch.cat((other, other.flip(3)))
    pair = tuple(x.contiguous(memory_format=torch.channels_last) for x in pair)
    _, together = tapped(network, *pair, ("conv3_1",))["conv3_1"]
    for place, x in enumerate((other, other.flip(3))):
        _, alone = tapped(network, pair[0][place : place + 1], x, ("conv3_1",))["conv3_1"]
        assert apart(together[place], alone[0]) < through("conv3_1", torch.float64)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("rows", [None, 7])
def test_a_window_around_the_change_gives_what_the_whole_gives(
    layout: torch.memory_format, rows: int | None
) -> None:
    names = tuple(name for name, layer in LAYERS.items() if layer.stride <= 4)
    network = VGG19(load("bundled"), names[-1]).double().to(memory_format=layout)
    base = photograph()[..., :51, :53].double()
    other = base.clone()
    other[..., 26:29, 31:34] = 1 - other[..., 26:29, 31:34]

    def found(layers: tuple[str, ...], window: Window | None) -> dict[str, Tensor]:
        strips: dict[str, list[Tensor]] = {name: [] for name in layers}
        with torch.inference_mode():
            tap_differences(
                network, base, other, layers,
                lambda name, _, __, d: strips[name].append(d.clone()), rows, None, window,
            )  # fmt: skip
        return {name: torch.cat(parts, 2) for name, parts in strips.items()}

    # Where a ReLU is not asked for it comes after the pooling that follows.
    for layers in (names, names[-1:]):
        whole, part = found(layers, None), found(layers, Window(31, 26, 34, 29))
        for name in layers:
            room = through(name, torch.float64) * float(whole[name].abs().max())
            assert whole[name].any() and (whole[name] - part[name]).abs().max() <= room, name


@pytest.mark.parametrize(("deepest", "filtered"), [("relu5_2", True), ("conv5_3", False)])
def test_for_deep_layers_nothing_rounds_as_winograds_filters_do(
    deepest: str, filtered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls, winograd = [], convolution._winograd
    monkeypatch.setattr(convolution, "_winograd", lambda *args: calls.append(1) or winograd(*args))
    tapped(VGG19(load("bundled"), deepest), photograph(), noisy(0.1), ("conv1_1", deepest))
    assert bool(calls) is filtered


def test_a_remembered_base_is_not_computed_again(monkeypatch: pytest.MonkeyPatch) -> None:
    from percept_cli.network import differences

    network, memory = VGG19(load("bundled"), "conv2_1"), Memory()
    base, calls, convolve = photograph(), [], differences.convolve
    monkeypatch.setattr(differences, "convolve", lambda *args: calls.append(1) or convolve(*args))
    taken = []
    for _ in range(2):
        with torch.inference_mode():
            tap_differences(
                network, base, noisy(0.1), ("conv2_1",),
                lambda _, __, ___, d: taken.append(d.clone()), None, memory,
            )  # fmt: skip
    assert len(calls) == 2 * 3 + 3
    assert torch.equal(*taken)


@pytest.mark.parametrize(("deepest", "saved"), [("conv2_2", True), ("relu2_2", False)])
def test_the_deepest_feature_is_not_computed_where_only_its_change_is_asked_for(
    deepest: str, saved: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from percept_cli.network import differences

    network, layers = VGG19(load("bundled"), deepest), ("conv2_1", deepest)
    images = photograph(), noisy(0.1)
    whole = tapped(network, *images, layers)
    calls, convolve = [], differences.convolve
    monkeypatch.setattr(differences, "convolve", lambda *args: calls.append(1) or convolve(*args))
    found = tapped(network, *images, layers, only_changes=True)
    assert len(calls) == 2 * 4 - saved
    for name in layers:
        assert torch.equal(found[name][1], whole[name][1])
    assert torch.equal(found["conv2_1"][0], whole["conv2_1"][0])
    assert (
        found[deepest][0].isnan().all()
        if saved
        else torch.equal(*(w[deepest][0] for w in (found, whole)))
    )


def test_bytes_and_fractions_are_the_same_image() -> None:
    network = VGG19(load("bundled"), "conv2_1").double()
    pair = photograph(), noisy(0.1)
    bytes_ = [(x * 255).round().to(torch.uint8) for x in pair]
    fractions = [x.double() / 255 for x in bytes_]
    _, expected = tapped(network, *fractions, ("conv2_1",))["conv2_1"]
    _, found = tapped(network, *bytes_, ("conv2_1",))["conv2_1"]
    assert apart(found, expected) < 2 * through("conv2_1", torch.float64)


def test_several_images_beside_one_base_give_what_each_gives_alone() -> None:
    network = VGG19(load("bundled"), "conv3_1")
    base, others = photograph(), [noisy(0.3), noisy(1e-2)]
    f, d = tapped(network, base, torch.cat(others), ("conv2_1", "pool2", "conv3_1"), 12)["conv3_1"]
    for index, other in enumerate(others):
        alone = tapped(network, base, other, ("conv3_1",), 12)["conv3_1"]
        assert torch.equal(f, alone[0])
        assert apart(d[index : index + 1], alone[1]) < through("conv3_1")

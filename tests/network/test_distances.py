"""Each distance against its formula, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounding import rounding
from torch import Tensor

from percept_cli.errors import PerceptError
from percept_cli.network.distances import (
    BY_DEPTH,
    DISTANCES,
    NEAR,
    SATURATION,
    STEADY,
    Distance,
    distance_named,
    distances_in,
)

pytestmark = pytest.mark.numeric

RNG = np.random.default_rng(0)
F, G = RNG.normal(size=(2, 1, 5, 6, 7))
SIGMA = 1.7
ROUNDING = rounding(F.size, torch.float64)


def layer_distance(distance: Distance, f: Tensor, d: Tensor, scale: float) -> Tensor:
    return distance.finished(distance.sums(f, d, scale), f[0, 0].numel(), scale)


def closed_form(name: str) -> float:
    f, g = F[0], G[0]
    channels, height, width = f.shape
    if name == "l2":
        return float(np.sqrt(np.mean((f - g) ** 2)) / SIGMA)
    if name == "l1":
        return float(np.mean(np.abs(f - g)) / SIGMA)
    if name == "mse":
        return float(np.mean((f - g) ** 2) / SIGMA**2)
    if name == "unit":
        difference = f / np.linalg.norm(f, axis=0) - g / np.linalg.norm(g, axis=0)
        return float(np.sqrt(np.mean(np.sum(difference**2, axis=0))))
    if name == "divisive":
        contrast = (np.mean(f**2, axis=0) + np.mean(g**2, axis=0)) / 2
        divided = np.mean((f - g) ** 2, axis=0) / (contrast + SATURATION * SIGMA**2)
        return float(np.sqrt(np.mean(divided)))
    f, g = (x.reshape(channels, -1) for x in (f, g))
    if name == "structure":
        steady = STEADY * SIGMA**2
        texture = (2 * f.mean(1) * g.mean(1) + steady) / (f.mean(1) ** 2 + g.mean(1) ** 2 + steady)
        covariance = np.diag(np.cov(f, g, bias=True)[:channels, channels:])
        structure = (2 * covariance + steady) / (f.var(1) + g.var(1) + steady)
        return float(1 - np.mean(texture + structure) / 2)
    if name == "correlation":
        centred = []
        for x in (f / SIGMA, g / SIGMA):
            squares = np.mean((x[:, None] - x[None]) ** 2, axis=2)
            apart = np.sqrt(squares + NEAR)
            rows, columns = apart.mean(0, keepdims=True), apart.mean(1, keepdims=True)
            centred.append((apart - rows - columns + apart.mean()).ravel())
        return float(1 - np.corrcoef(*centred)[0, 1])
    grams = [x @ x.T / (channels * height * width) for x in (f, g)]
    return float(np.linalg.norm(grams[0] - grams[1]) / SIGMA**2)


@pytest.mark.parametrize("name", DISTANCES)
def test_distance_equals_its_formula(name: str) -> None:
    f, g = torch.from_numpy(F), torch.from_numpy(G)
    distance = layer_distance(DISTANCES[name], f, g - f, SIGMA)
    assert distance.item() == pytest.approx(closed_form(name), rel=ROUNDING)


def test_appearance_is_divisive_in_two_blocks_and_then_the_root_of_correlation() -> None:
    f, g = torch.from_numpy(F), torch.from_numpy(G)
    layers = ("conv1_1", "relu2_2", "pool2", "conv5_4", "fc6")
    for layer, distance in distances_in(layers, "appearance").items():
        shallow = layer in ("conv1_1", "relu2_2")
        expected = closed_form("divisive") if shallow else closed_form("correlation") ** 0.5
        found = layer_distance(distance, f, g - f, SIGMA).item()
        assert found == pytest.approx(expected, rel=ROUNDING), layer
        change = torch.zeros_like(f).requires_grad_()
        layer_distance(distance, f, change, SIGMA).sum().backward()
        assert change.grad is not None and not change.grad.any()


@pytest.mark.parametrize("distance", [*DISTANCES.values(), BY_DEPTH["appearance"].deep])
@pytest.mark.parametrize("content", ["equal", "zero", "one zero", "tiny"])
def test_gradient_is_finite(distance: Distance, content: str) -> None:
    f = torch.from_numpy(F).float() * {"zero": 0, "one zero": 0, "tiny": 1e-25}.get(content, 1)
    g = torch.from_numpy(G).float() * (content == "one zero")
    f.requires_grad_()
    other = f.detach() if content == "equal" else g
    found = layer_distance(distance, other, f - other, SIGMA)
    found.sum().backward()
    assert f.grad is not None and f.grad.isfinite().all()
    if content in ("equal", "zero"):
        assert found.item() == 0 and not f.grad.any()


def test_half_precision_features_are_summed_in_float32() -> None:
    f = torch.full((1, 64, 256, 256), 1.0, dtype=torch.bfloat16)
    distance = layer_distance(DISTANCES["l1"], f, -f, 1.0)
    assert distance.dtype == torch.float32
    assert distance.item() == 1


def test_an_unknown_distance_is_refused() -> None:
    with pytest.raises(PerceptError, match="unknown distance 'l3': choose one of l2, l1, mse"):
        distance_named("l3")


def test_no_direction_is_as_far_from_any_as_its_length() -> None:
    """‖F/‖F‖ − 0‖ is 1 wherever one of two features is 0, and 0 where both are."""
    f = torch.from_numpy(F)
    nothing = torch.zeros_like(f)
    unit = distance_named("unit")
    for first, change in ((f, -f), (nothing, f)):
        found = layer_distance(unit, first, change, SIGMA)
        assert found.item() == pytest.approx(1, rel=ROUNDING)
    assert layer_distance(unit, nothing, nothing, SIGMA).item() == 0

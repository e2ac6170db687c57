"""What must hold for every distance, on real photographs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from conftest import SAMPLES
from PIL import Image

from percept_cli.inputs.images import Pixels
from percept_cli.network.distances import DISTANCES
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.meter import Measurement, Meter, frozen_network
from percept_cli.scoring.options import Options

ALL = tuple(name for name, layer in LAYERS.items() if layer.kind != "fc")


def pixels(name: str, folder: str = "references") -> Pixels:
    with Image.open(SAMPLES / folder / name) as image:
        return np.asarray(image.convert("RGB"))


REFERENCE = pixels("coffee.png")[40:171, 30:193]
CANDIDATE = pixels("coffee.jpg", "jpeg-2")[40:171, 30:193]


def measure(reference: Pixels, candidate: Pixels, **options: Any) -> Measurement:
    return Meter(Options(**options)).measure([(reference, candidate)])[0]


@pytest.mark.parametrize("distance", DISTANCES)
def test_an_image_against_itself_is_exactly_zero(distance: str) -> None:
    measured = measure(REFERENCE, REFERENCE.copy(), distance=distance)
    assert measured.total == 0 and set(measured.layers.values()) == {0}
    assert measured.map is None or not measured.map.any()


@pytest.mark.parametrize("distance", DISTANCES)
def test_swapping_the_images_changes_nothing(distance: str) -> None:
    one = measure(REFERENCE, CANDIDATE, distance=distance)
    other = measure(CANDIDATE, REFERENCE, distance=distance)
    assert (one.total, one.layers) == (other.total, other.layers)
    assert np.array_equal(one.map, other.map) if one.map is not None else other.map is None


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_difference_is_seen_in_every_layer(distance: str) -> None:
    measured = measure(REFERENCE, CANDIDATE, distance=distance, layers=ALL)
    assert tuple(measured.layers) == ALL
    assert all(value > 0 for value in measured.layers.values())
    assert measured.total == pytest.approx(np.mean(list(measured.layers.values())))


@pytest.mark.parametrize("distance", ["l2", "l1", "mse", "unit"])
def test_the_map_is_where_the_difference_is(distance: str) -> None:
    edited = REFERENCE.copy()
    edited[96:104, 48:56] = 255 - edited[96:104, 48:56]
    measured = measure(REFERENCE, edited, distance=distance)
    assert measured.map is not None and measured.map.shape == (131 // 8, 163 // 8)
    row, column = np.unravel_index(measured.map.argmax(), measured.map.shape)
    assert abs(row - 12) <= 1 and abs(column - 6) <= 1
    assert measured.map[:4].max() == 0
    assert measured.map.max() > 5 * measured.total


def test_map_of_one_layer_pools_to_its_distance() -> None:
    for distance in ("l2", "l1", "mse", "unit"):
        measured = measure(REFERENCE, CANDIDATE, distance=distance, layers=("conv4_1",))
        root = DISTANCES[distance].root
        assert measured.map is not None
        pooled = np.sqrt(np.mean(measured.map**2)) if root else np.mean(measured.map)
        assert measured.total == pytest.approx(pooled, rel=1e-6)


def test_layer_weights_make_the_total() -> None:
    measured = measure(REFERENCE, CANDIDATE, layer_weights={"conv1_1": 0.0, "conv4_1": 3.0})
    by_hand = (
        measured.layers["conv2_1"] + measured.layers["conv3_1"] + 3 * measured.layers["conv4_1"]
    )
    assert measured.total == pytest.approx(by_hand / 5)


def test_raw_distances_are_unscaled() -> None:
    scaled, raw = measure(REFERENCE, CANDIDATE), measure(REFERENCE, CANDIDATE, raw=True)
    scale = Meter(Options()).scale
    for name, value in scaled.layers.items():
        assert raw.layers[name] == pytest.approx(value * scale[name], rel=1e-6)


def test_bfloat16_is_near_float32() -> None:
    exact = measure(REFERENCE, CANDIDATE)
    near = measure(REFERENCE, CANDIDATE, precision="bf16")
    assert near.total == pytest.approx(exact.total, rel=0.05)
    assert near.total != exact.total


def test_deeper_images_compare_with_eight_bit_ones() -> None:
    deep = measure(REFERENCE, CANDIDATE / np.float32(255))
    assert deep.total == pytest.approx(measure(REFERENCE, CANDIDATE).total, rel=1e-6)


def test_a_process_has_one_network_of_a_kind() -> None:
    Meter(Options(distance="l1")), Meter(Options(distance="unit", layers=("conv1_1", "conv4_1")))
    cpu = torch.device("cpu")
    assert frozen_network("bundled", "conv4_1", cpu, "fp32") is Meter(Options())._network

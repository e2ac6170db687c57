from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES, Run

import percept_cli
from percept_cli.errors import PerceptError, ShapesDiffer
from percept_cli.network.blur import blur_radius
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.options import Options


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"layers": ("conv6_1",)}, "unknown layer"),
        ({"layers": ("fc6",)}, "bundled weights end before fc6: use --weights torchvision"),
        ({"distance": "L2"}, "unknown distance 'L2'"),
        ({"layer_weights": {"pool1": 1}}, "not among the chosen"),
        ({"weights": "vgg.pth"}, "vgg.pth: no such weights"),
        ({"resize": "0"}, "unknown resize '0'"),
        ({"resize": "12x"}, "unknown resize '12x'"),
        ({"background": "whit"}, "unknown background 'whit'"),
        ({"precision": "fp16"}, "unknown precision 'fp16': choose one of fp32, tf32, bf16"),
        ({"device": "GPU 1"}, "unknown device 'GPU 1'"),
        ({"max_pixels": 0}, "--max-pixels 0"),
    ],
)
def test_choices_that_mean_nothing_are_refused(choice: dict[str, Any], message: str) -> None:
    with pytest.raises(PerceptError, match=message):
        Options(**choice)


def test_evaluated_sizes() -> None:
    assert Options().evaluated_size((4, 5), (6, 7)) == (4, 5)
    assert Options(resize="8").evaluated_size((4, 5), (6, 7)) == (8, 8)
    assert Options(resize="8x9").evaluated_size((4, 5), (6, 7)) == (8, 9)
    assert Options(resize="none").evaluated_size((4, 5), (4, 5)) == (4, 5)
    with pytest.raises(PerceptError, match="sizes differ: reference 4x5, candidate 6x7"):
        Options(resize="none").evaluated_size((4, 5), (6, 7))


def test_the_map_has_the_cells_of_the_deepest_layer_with_positions() -> None:
    options = Options(layers=("pool2", "conv1_1"))
    assert options.cell_layer is not None and options.cell_layer.name == "pool2"
    assert options.has_map and not Options(distance="gram").has_map
    assert Options(distance="appearance").has_map
    assert not Options(distance="appearance", layers=("conv3_1",)).has_map
    with pytest.raises(PerceptError, match="no positions in conv3_1: leave it at 0"):
        Options(distance="appearance", layers=("conv1_1", "conv3_1"), tolerance=1)


@pytest.mark.parametrize("layer", ["conv1_1", "conv3_1", "pool5"])
def test_blur_lets_a_layer_see_further_on_both_sides(layer: str) -> None:
    plain, further = LAYERS[layer], blur_radius(1.5)
    assert Options(layers=(layer,)).deepest_reach == plain
    reach = Options(layers=(layer,), blur=1.5).deepest_reach
    assert reach.reach_before == plain.reach_before + further
    assert reach.reach_after == plain.reach_after + further


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((640, 480), (299, 224)),
        ((480, 640), (224, 299)),
        ((298, 224), (298, 224)),
        ((1920, 1080), (345, 194)),
        ((1080, 1920), (194, 345)),
        ((100_000, 1), (81_793, 1)),
        ((99, 50), (99, 50)),
    ],
)
def test_larger_images_are_shrunk_in_proportion(
    size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert Options.of("quality").evaluated_size(size, (7, 7)) == expected
    assert Options.of("quality", shrink=0).evaluated_size(size, (7, 7)) == size
    assert Options(resize="800", shrink=100).evaluated_size(size, size) == (100, 100)


def test_shrinking_forgives_no_difference_in_size() -> None:
    with pytest.raises(ShapesDiffer, match="sizes differ"):
        Options.of("quality", resize="none").evaluated_size((640, 480), (641, 480))


@pytest.mark.parametrize("pixels", [-1, 2.5])
def test_a_shrink_that_means_nothing_is_refused(pixels: float) -> None:
    with pytest.raises(PerceptError, match="--shrink"):
        Options(shrink=pixels)


def test_shrinking_is_the_same_by_flag_and_by_file(percept: Run, tmp_path: Path) -> None:
    pair = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-2/coffee.jpg"
    by_flag = percept("compare", *pair, "--shrink=100", "--format=json")
    (tmp_path / "percept.toml").write_text("shrink = 100\npeak-threshold = 9\n")
    percept("check", *pair, "--preset=photo", "--json=found.json")
    found = [json.loads(by_flag.stdout), json.loads((tmp_path / "found.json").read_text())]
    (one,), (other,) = (document["pairs"] for document in found)
    assert one["total"] == other["total"] and min(one["width"], one["height"]) == 100
    assert found[0]["settings"]["shrink"] == found[1]["settings"]["shrink"] == 100


def test_what_is_ignored_does_not_count_in_a_shrunk_picture() -> None:
    rng = np.random.default_rng(0)
    reference = rng.integers(0, 256, (300, 300, 3), np.uint8)
    candidate = reference.copy()
    candidate[:90, :90] = 0
    # In pixels of the picture that is compared: 90 of 300 are 30 of 100, and 2 more see them.
    seen = percept_cli.compare(reference, candidate, shrink=100, ignore=("0,0,32,32",))
    assert seen.total == 0
    assert (
        percept_cli.compare(reference, candidate, shrink=100, ignore=("0,0,9,9",)).total or 0
    ) > 0


@pytest.mark.parametrize("distance", ["l2", "unit", "gram", "structure", "appearance"])
def test_tolerance_needs_places_in_all_layers_and_colour_in_one(distance: str) -> None:
    rendering, other = Options.of("rendering"), Options.of("rendering", distance=distance)
    everywhere, somewhere = distance in ("l2", "unit"), distance == "appearance"
    assert other.tolerance == (rendering.tolerance if everywhere else 0)
    assert other.colour == (rendering.colour if everywhere or somewhere else 0)

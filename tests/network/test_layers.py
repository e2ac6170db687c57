from __future__ import annotations

from typing import Any

import pytest

from percept_cli.errors import PerceptError
from percept_cli.network import layers


def test_receptive_fields_are_those_of_vgg19() -> None:
    # Published by Araujo et al. 2019, "Computing receptive fields", for VGG.
    fields = {name: layers.LAYERS[name].receptive_field for name in layers.ORDER}
    assert fields["conv1_1"] == 3
    assert fields["pool1"] == 6
    assert fields["conv2_2"] == 14
    assert fields["pool2"] == 16
    assert fields["conv3_1"] == 24
    assert fields["pool3"] == 52 and fields["conv4_1"] == 68
    assert fields["pool5"] == 268
    assert fields["fc6"] is None


def test_whole_network_takes_the_published_number_of_multiplications() -> None:
    # 19.6 billion multiply-adds for 224×224 (He et al. 2016, section 3.3), to three digits.
    assert layers.LAYERS["fc8"].multiplications == pytest.approx(19.6e9, abs=0.05e9)


def test_cost_is_relative_to_conv4_1() -> None:
    assert layers.relative_cost(layers.LAYERS["conv4_1"]) == 1


def test_chosen_layers_come_in_network_order() -> None:
    assert layers.chosen(["relu3_1", "conv1_1"]) == ("conv1_1", "relu3_1")


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["conv9_1"], "unknown layer 'conv9_1': did you mean conv"),
        (["conv1_1", "conv1_1"], "conv1_1 is named twice"),
        ([], "no layer chosen"),
        ([3], "unknown layer 3"),
        ([["conv1_1"]], "unknown layer "),
        (3, "layers 3: give a list"),
    ],
)
def test_wrong_layer_choices_are_refused(names: Any, message: str) -> None:
    with pytest.raises(PerceptError, match=message):
        layers.chosen(names)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"conv2_1": 1}, "not among the chosen"),
        ({"conv1_1": -1}, "from 0 to 1e6"),
        ({"conv1_1": float("nan")}, "from 0 to 1e6"),
        ({"conv1_1": 0}, "all layer weights are 0"),
        ({"conv1_1": "2"}, "weight conv1_1='2': give a number"),
        ([2.0], "give a mapping"),
    ],
)
def test_wrong_layer_weights_are_refused(weights: Any, message: str) -> None:
    with pytest.raises(PerceptError, match=message):
        layers.weighted(["conv1_1"], weights)

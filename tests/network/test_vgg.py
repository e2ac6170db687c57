"""Features against torchvision's own network carrying the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from anyvision import models
from conftest import REFERENCES
from PIL import Image
from rounding import apart, through
from torch import Tensor, nn
from torchvision_weights import random_weights

from percept_cli.errors import PerceptError
from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import (
    Weights,
    bundled_path,
    load,
)

pytestmark = pytest.mark.numeric


def photograph() -> Tensor:
    with Image.open(REFERENCES[1]) as image:
        pixels = np.asarray(image)[:100, :130] / np.float32(255)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def their_features(theirs: nn.Module, x: Tensor) -> Iterator[Tensor]:
    for module in theirs.features:
        x = module(x)
        yield x
    x = theirs.avgpool(x).flatten(1)
    for module in theirs.classifier:
        x = module(x)
        if isinstance(module, nn.Linear):
            yield x[:, :, None, None]


def test_every_bundled_feature_equals_torchvisions() -> None:
    """The package's file, decoded here once more, and its images as Caffe and Keras take them."""
    file = torch.load(bundled_path(), weights_only=True)
    theirs = models.vgg19()
    convolutions = [module for module in theirs.features if isinstance(module, nn.Conv2d)]
    names = [name for name in ORDER if name.startswith("conv")]
    with torch.no_grad():
        for name, module in zip(names, convolutions, strict=True):
            key = f"block{name[4]}_conv{name[6]}"
            codes = file[f"{key}_W_q"].flatten().long()
            table = file[f"{key}_W_table"]
            module.weight.copy_(table[codes].view(module.weight.shape))
            module.bias.copy_(file[f"{key}_b"])
    blue_first = photograph().flip(1) * 255 - torch.tensor([103.939, 116.779, 123.68]).view(
        1, 3, 1, 1
    )
    check_features(load("bundled"), theirs, blue_first)


def test_every_feature_of_a_full_state_dict_equals_torchvisions() -> None:
    weights = random_weights()
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (photograph() - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    assert weights.layers == ORDER
    torch.manual_seed(0)
    check_features(weights, models.vgg19(), normalised)


def check_features(weights: Weights, theirs: nn.Module, normalised: Tensor) -> None:
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    seen = []
    with torch.inference_mode():
        expected = their_features(theirs.eval(), normalised)
        ours = VGG19(weights, weights.layers[-1]).features(photograph(), weights.layers)
        for (name, feature), right in zip(ours, expected, strict=False):
            seen.append(name)
            assert feature.shape[1] == LAYERS[name].channels
            assert feature.shape == right.shape and apart(feature, right) < through(name), name
    assert tuple(seen) == weights.layers


def test_bundled_weights_end_before_the_fully_connected_layers() -> None:
    assert load("bundled").layers == ORDER[: ORDER.index("fc6")]
    with pytest.raises(PerceptError, match="end at pool5, before fc6"):
        VGG19(load("bundled"), "fc6")


def test_convolutions_are_taken_before_the_relu() -> None:
    with torch.inference_mode():
        features = VGG19(load("bundled"), "relu1_1").features(photograph(), ("conv1_1", "relu1_1"))
        assert next(features)[1].min() < 0
        assert next(features)[1].min() == 0


def test_only_needed_layers_are_built() -> None:
    names = [name for name, _ in VGG19(load("bundled"), "conv1_2").named_buffers()]
    assert names == ["mean", "std", *(f"conv1_{k}_{p}" for k in (1, 2) for p in ("weight", "bias"))]


def test_features_with_a_gradient_are_not_overwritten() -> None:
    images = photograph().requires_grad_()
    features = dict(VGG19(load("bundled"), "pool1").features(images, ORDER))
    assert features["conv1_1"].min() < 0
    features["pool1"].sum().backward()
    assert images.grad is not None and images.grad.isfinite().all()

"""Features against torchvision's own network carrying the same weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from anyvision import models
from conftest import REFERENCES
from PIL import Image
from torch import Tensor, nn

from percept_cli.errors import PerceptError
from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import TORCHVISION_MEAN, TORCHVISION_STD, Weights, load


def photograph() -> Tensor:
    with Image.open(REFERENCES[1]) as image:
        pixels = np.asarray(image)[:100, :130] / np.float32(255)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def carrying(weights: Weights) -> nn.Module:
    """torchvision's vgg19 with these weights, its ReLUs not in place."""
    theirs = models.vgg19()
    named = list(weights.tensors.items())
    targets = list(theirs.state_dict().values())
    with torch.no_grad():
        for (_, tensor), target in zip(named, targets, strict=False):
            target.copy_(tensor)
    for module in theirs.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    return theirs.eval()


def their_features(theirs: nn.Module, x: Tensor) -> Iterator[Tensor]:
    for module in theirs.features:
        x = module(x)
        yield x
    x = theirs.avgpool(x).flatten(1)
    for module in theirs.classifier:
        x = module(x)
        if isinstance(module, nn.Linear):
            yield x[:, :, None, None]


def random_weights() -> Weights:
    torch.manual_seed(0)
    theirs = models.vgg19()
    names = [name for name in ORDER if LAYERS[name].kind in ("conv", "fc")]
    keys = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    tensors = dict(zip(keys, theirs.state_dict().values(), strict=True))
    return Weights("random", "", tensors, TORCHVISION_MEAN, TORCHVISION_STD)


@pytest.mark.parametrize("weights", [load("bundled"), random_weights()], ids=lambda w: w.name)
def test_every_feature_equals_torchvisions(weights: Weights) -> None:
    images = photograph()
    mean, std = torch.tensor(weights.mean), torch.tensor(weights.std)
    normalised = (images - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1)
    seen = []
    with torch.inference_mode():
        theirs = their_features(carrying(weights), normalised)
        ours = VGG19(weights, weights.layers[-1]).features(images, weights.layers)
        for (name, feature), expected in zip(ours, theirs, strict=weights.name == "random"):
            seen.append(name)
            assert feature.shape[1] == LAYERS[name].channels
            # Both sum the same float32 products, perhaps in another order.
            error = (feature - expected).abs().max() / expected.abs().max()
            assert error < 2e-5, name
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

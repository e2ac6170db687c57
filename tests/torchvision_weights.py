"""Weights of the whole network, fully connected layers included, without a download."""

from __future__ import annotations

import torch
from anyvision import models

from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.network.weights import TORCHVISION_MEAN, TORCHVISION_STD, Weights


def random_weights() -> Weights:
    """As torchvision's network starts out before training."""
    torch.manual_seed(0)
    theirs = models.vgg19()
    names = [name for name in ORDER if LAYERS[name].kind in ("conv", "fc")]
    keys = [f"{name}.{part}" for name in names for part in ("weight", "bias")]
    tensors = dict(zip(keys, theirs.state_dict().values(), strict=True))
    return Weights("random", "", tensors, TORCHVISION_MEAN, TORCHVISION_STD)

"""Loss and gradient of a batch of 4×3×256×256 against piq and against plain torchvision.

All carry percept's weights. piq (`pip install piq`) runs torchvision's network to its end, whatever
the layers; `cut` gives it the network up to the deepest layer. Its features of conv layers are
those after the ReLU, which runs in place, so relu layers are what all compute alike.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from anyvision import models
from measuring import machine, medians, table
from photographs import SOURCES
from PIL import Image
from torch import Tensor, nn

from percept_cli import PerceptualLoss
from percept_cli.network.layers import LAYERS
from percept_cli.network.weights import load

PLACES = {"relu1_1": 1, "relu2_1": 6, "relu3_1": 11, "relu4_1": 20}
"""The layers in which piq can be compared, as numbers of torchvision's modules."""

Loss = Callable[[Tensor, Tensor], Tensor]


def network() -> nn.Sequential:
    """torchvision's modules with percept's weights, frozen."""
    modules: nn.Sequential = models.vgg19().features
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    names = [name for name, layer in LAYERS.items() if layer.kind == "conv"]
    tensors = load("bundled").tensors
    for name, module in zip(names, convolutions, strict=True):
        module.weight.data = tensors[f"{name}.weight"].clone()
        module.bias.data = tensors[f"{name}.bias"].clone()
    return modules.eval().requires_grad_(False)


def percept_loss(checkpointing: bool = False) -> Loss:
    """percept's mean square of raw features."""
    return PerceptualLoss(tuple(PLACES), distance="mse", raw=True, checkpointing=checkpointing)


def piq_loss(cut: bool) -> Loss:
    """piq's content loss, which sums over channels and layers what percept takes the mean of."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from piq import ContentLoss

    weights = load("bundled")
    loss: Loss = ContentLoss(
        feature_extractor=network()[: PLACES["relu4_1"] + 1] if cut else network(),
        layers=[str(place) for place in PLACES.values()],
        weights=[1 / LAYERS[name].channels / len(PLACES) for name in PLACES],
        mean=weights.mean,
        std=weights.std,
    )
    return loss


def plain_loss() -> Loss:
    """The common module written by hand, with its mistakes left out."""
    modules, weights = network()[: PLACES["relu4_1"] + 1], load("bundled")
    mean, std = (torch.tensor(x).view(1, 3, 1, 1) for x in (weights.mean, weights.std))

    def features(x: Tensor) -> list[Tensor]:
        x, found = (x - mean) / std, []
        for place, module in enumerate(modules):
            x = module(x)
            if place in PLACES.values():
                found.append(x)
        return found

    def loss(x: Tensor, y: Tensor) -> Tensor:
        pairs = zip(features(x), features(y), strict=True)
        return torch.stack([nn.functional.mse_loss(f, g) for f, g in pairs]).mean()

    return loss


LOSSES: dict[str, Callable[[], Loss]] = {
    "percept": percept_loss,
    "percept, checkpointing": lambda: percept_loss(checkpointing=True),
    "piq.ContentLoss": lambda: piq_loss(cut=False),
    "piq.ContentLoss, cut": lambda: piq_loss(cut=True),
    "plain torchvision, cut": plain_loss,
}


def batch(side: int, count: int) -> tuple[Tensor, Tensor]:
    """Photographs, and the same with noise."""
    torch.manual_seed(0)
    images = []
    for path in SOURCES[:count]:
        with Image.open(path) as image:
            pixels = np.asarray(image.resize((side, side))) / np.float32(255)
        images.append(torch.from_numpy(pixels).permute(2, 0, 1))
    target = torch.stack(images).contiguous()
    return (target + 0.05 * torch.randn_like(target)).clamp(0, 1), target


def step(loss: Loss, image: Tensor, target: Tensor) -> float:
    """Loss and gradient of one batch."""
    image = image.clone().requires_grad_()
    value = loss(image, target)
    value.backward()
    return value.item()


def memory(name: str, side: int, count: int) -> None:
    """Print the mebibytes that a later step adds, and those of the process at its peak."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss, images = LOSSES[name](), batch(side, count)
        step(loss, *images)
    Path("/proc/self/clear_refs").write_text("5")  # The peak starts again from here.
    before = resident("VmRSS")
    step(loss, *images)
    peak = resident("VmHWM")
    print((peak - before) // 1024, peak // 1024)


def resident(which: str) -> int:
    """Kibibytes of memory of this process, as Linux counts them."""
    found = re.search(rf"^{which}:\s+(\d+) kB", Path("/proc/self/status").read_text(), re.M)
    assert found
    return int(found[1])


def memories(name: str, side: int, count: int) -> list[str]:
    """What `memory` prints, each figure the median of three processes."""
    command = [sys.executable, __file__, name, str(side), str(count)]
    printed = [
        subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
        for _ in range(3)
    ]
    return [str(statistics.median(map(int, figures))) for figures in zip(*printed, strict=True)]


def main() -> None:
    losses = {name: make() for name, make in LOSSES.items()}
    images = batch(256, 4)
    values = {name: step(loss, *images) for name, loss in losses.items()}
    if any(abs(value / values["percept"] - 1) > 1e-5 for value in values.values()):
        raise SystemExit(f"the losses do not agree: {values}")
    runs = {name: lambda loss=loss: step(loss, *images) for name, loss in losses.items()}
    seconds = medians(runs, rounds=7)
    print(f"Loss and gradient of 4×3×256×256, memory of that and of 1×3×1536×1536, {machine()}\n")
    rows = [
        (
            name,
            f"{values[name]:.6g}",
            f"{time:.3f}",
            f"{time / seconds['percept']:.2f}",
            *memories(name, 256, 4),
            *memories(name, 1536, 1),
        )
        for name, time in seconds.items()
    ]
    header = (
        "loss",
        "value",
        "seconds",
        "times percept's",
        *2 * ("MiB a step adds", "MiB at most"),
    )
    print(table(header, rows))


if __name__ == "__main__":
    if len(sys.argv) == 4:
        memory(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
    else:
        main()

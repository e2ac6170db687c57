"""One 1920×1080 pair, changed a little or everywhere, and small pairs, against other ways.

`torchvision` is a plain full-frame pass of its network over both images, up to the default layers,
in float32 as it comes.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from anyvision import lpips_of, models
from measuring import machine, medians, table
from photographs import SOURCES
from PIL import Image

from percept_cli.inputs.images import Pixels
from percept_cli.scoring import meter
from percept_cli.scoring.meter import Measurement, Meter
from percept_cli.scoring.options import Options
from percept_cli.scoring.regions import Crop, Rectangle

CONV4_1 = 20
"""torchvision's modules up to and with conv4_1."""


def photograph(width: int, height: int) -> Pixels:
    """A large photograph, made of one in the package."""
    with Image.open(SOURCES[0]) as image:
        return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))


def noisy(image: Pixels) -> Pixels:
    """The image with a little noise everywhere."""
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def edited(image: Pixels) -> Pixels:
    """The image with 200×80 pixels changed."""
    image = image.copy()
    image[500:580, 900:1100] = 255 - image[500:580, 900:1100]
    return image


def full_frame(pair: tuple[Pixels, Pixels], scorer: Meter) -> list[Measurement]:
    """Measure with the whole frame as one crop."""
    choose = meter.crops

    def whole(*arguments: object) -> list[Crop]:
        rectangle = Rectangle(0, 0, *arguments[2])  # type: ignore[misc]
        return [Crop(rectangle, rectangle)]

    meter.crops = whole  # type: ignore[assignment]
    try:
        return scorer.measure([pair])
    finally:
        meter.crops = choose


def tensors(pair: tuple[Pixels, Pixels]) -> list[torch.Tensor]:
    """Both images as 1×3×H×W in [0, 1]."""
    return [
        torch.from_numpy(image / np.float32(255)).permute(2, 0, 1)[None].contiguous()
        for image in pair
    ]


@torch.inference_mode()
def torchvision_pass(network: torch.nn.Module, pair: tuple[Pixels, Pixels]) -> None:
    """Both images through the network."""
    for image in tensors(pair):
        network(image)


@torch.inference_mode()
def lpips_pass(model: torch.nn.Module, pair: tuple[Pixels, Pixels]) -> None:
    """The pair's lpips distance."""
    model(*(2 * image - 1 for image in tensors(pair)))


def compared(
    title: str, runs: dict[str, Callable[[], object]], rounds: int
) -> list[tuple[str, ...]]:
    """Rows of a table: each run's median, and how many times as long as the first it takes."""
    seconds = medians(runs, rounds)
    first = next(iter(seconds.values()))
    return [(title, name, f"{time:.3f}", f"{time / first:.2f}") for name, time in seconds.items()]


def main() -> None:
    model, network = lpips_of("vgg"), models.vgg19().features[:CONV4_1].eval()
    fp32, bf16 = Meter(Options()), Meter(Options(precision="bf16"))
    large, small = photograph(1920, 1080), photograph(256, 256)
    local, everywhere, little = (large, edited(large)), (large, noisy(large)), (small, noisy(small))
    rows = compared(
        "1920×1080, 200×80 changed",
        {
            "percept": lambda: fp32.measure([local]),
            "percept, full frame": lambda: full_frame(local, fp32),
        },
        rounds=3,
    )
    rows += compared(
        "1920×1080, changed everywhere",
        {
            "percept": lambda: fp32.measure([everywhere]),
            "percept, bf16": lambda: bf16.measure([everywhere]),
            "torchvision's network": lambda: torchvision_pass(network, everywhere),
            "lpips (vgg)": lambda: lpips_pass(model, everywhere),
        },
        rounds=3,
    )
    rows += compared(
        "256×256, changed everywhere",
        {
            "percept": lambda: fp32.measure([little]),
            "percept, bf16": lambda: bf16.measure([little]),
            "torchvision's network": lambda: torchvision_pass(network, little),
            "lpips (vgg)": lambda: lpips_pass(model, little),
        },
        rounds=9,
    )
    print(f"Pairs already decoded, {machine()}\n")
    print(table(("pair", "how", "seconds", "times percept's"), rows))


if __name__ == "__main__":
    main()

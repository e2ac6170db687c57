"""Super-resolution: a small network for twice the size, with and without the perceptual term."""

from __future__ import annotations

import experiment
from torch import Tensor, nn
from torch.nn import functional

from percept_cli import PerceptualLoss

FACTOR = 2
WEIGHT = 0.1


class Upscaler(nn.Module):
    """Adds what is missing to a bicubic enlargement."""

    def __init__(self, width: int = 48, depth: int = 4) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU()]
        for _ in range(depth):
            layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, 3 * FACTOR**2, 3, padding=1), nn.PixelShuffle(FACTOR)]
        self.layers = nn.Sequential(*layers)

    def forward(self, small: Tensor) -> Tensor:
        """N×3×H×W → N×3×2H×2W."""
        return enlarged(small) + self.layers(small)


def enlarged(small: Tensor) -> Tensor:
    """Twice the size, bicubic."""
    return functional.interpolate(small, scale_factor=FACTOR, mode="bicubic")


def reduced(images: Tensor) -> Tensor:
    """Half the size, bicubic with antialiasing."""
    return functional.interpolate(images, scale_factor=1 / FACTOR, mode="bicubic", antialias=True)


def main() -> None:
    options = experiment.arguments(__doc__, steps=300)
    perceptual = PerceptualLoss(check_range=False).to(options.device)

    def pixels(output: Tensor, target: Tensor, _: Tensor) -> Tensor:
        return functional.l1_loss(output, target)

    def perceived(output: Tensor, target: Tensor, _: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target)

    experiment.compare(
        Upscaler,
        reduced,
        {"pixels (l1)": pixels, "perceptual": perceived},
        options,
        before=enlarged,
    )


if __name__ == "__main__":
    main()

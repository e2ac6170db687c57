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

    def __init__(self) -> None:
        super().__init__()
        layers = experiment.convolutions(3, 48, 3 * FACTOR**2)
        self.layers = nn.Sequential(*layers, nn.PixelShuffle(FACTOR))

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

    def perceived(output: Tensor, target: Tensor, _: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target)

    terms = {"pixels (l1)": experiment.l1, "perceptual": perceived}
    experiment.compare(Upscaler, reduced, terms, options, before=enlarged)


if __name__ == "__main__":
    main()

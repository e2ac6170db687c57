"""Inpainting: a small network fills scratches, with and without the perceptual term in them."""

from __future__ import annotations

import experiment
import torch
from torch import Tensor, nn
from torch.nn import functional

from percept_cli import PerceptualLoss

CELL, LENGTH, WIDTH, AROUND = 32, 24, 4, 13
"""Pixels: sides of the squares with one scratch each, of scratches, of what is averaged first."""
WEIGHT, RATE = 0.5, 1e-3


class Inpainter(nn.Module):
    """Fills the scratches of N×4×H×W images, whose fourth channel is 1 inside them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = experiment.convolutions(4, 48, 3, dilations=(1, 2, 4, 2, 1))

    def forward(self, given: Tensor) -> Tensor:
        """N×4×H×W → N×3×H×W, as it was outside them."""
        return given[:, :3] + given[:, 3:] * self.layers(given)


def scratched(images: Tensor) -> Tensor:
    """The images with a scratch in every 32×32 pixels, and where the scratches are.

    They have the mean colour around them: the network has to find the rest.
    """
    scratch = torch.zeros_like(images[:, :1])
    for one in scratch[:, 0]:
        for top in range(0, one.shape[0], CELL):
            for left in range(0, one.shape[1], CELL):
                sides = (LENGTH, WIDTH) if torch.rand(()) < 0.5 else (WIDTH, LENGTH)
                y, x = (int(torch.randint(CELL - side, ())) for side in sides)
                one[top + y : top + y + sides[0], left + x : left + x + sides[1]] = 1
    sums = functional.avg_pool2d(
        torch.cat([images * (1 - scratch), 1 - scratch], 1), AROUND, 1, AROUND // 2
    )
    around = sums[:, :3] / sums[:, 3:]
    return torch.cat([images * (1 - scratch) + around * scratch, scratch], 1)


def main() -> None:
    options = experiment.arguments(__doc__, steps=300)
    perceptual = PerceptualLoss(check_range=False).to(options.device)

    def pixels(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return functional.l1_loss(output, target) / given[:, 3:].mean()

    def perceived(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target, mask=given[:, 3:])

    terms = {"pixels (l1)": pixels, "perceptual": perceived}
    experiment.compare(Inpainter, scratched, terms, options, rate=RATE)


if __name__ == "__main__":
    main()

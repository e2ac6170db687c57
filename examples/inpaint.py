"""Inpainting: a small network fills holes, with and without the perceptual term inside them."""

from __future__ import annotations

import experiment
import torch
from torch import Tensor, nn
from torch.nn import functional

from percept_cli import PerceptualLoss

CELL, HOLE, AROUND = 32, 12, 25
"""Pixels of a side: of the squares with one hole each, of a hole, and of what is averaged first."""
WEIGHT = 0.3


class Inpainter(nn.Module):
    """Fills the holes of N×4×H×W images, whose fourth channel is 1 inside them."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(4, width, 3, padding=1), nn.ReLU()]
        for distance in (1, 2, 4, 2, 1):
            layers += [nn.Conv2d(width, width, 3, 1, distance, distance), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, holed: Tensor) -> Tensor:
        """N×4×H×W → N×3×H×W, as it was outside the holes."""
        return holed[:, :3] + holed[:, 3:] * self.layers(holed)


def holed(images: Tensor) -> Tensor:
    """The images with a hole in every 32×32 pixels, and where the holes are.

    The holes have the mean colour around them: the network has to find the rest.
    """
    hole = torch.zeros_like(images[:, :1])
    for one in hole[:, 0]:
        for top in range(0, one.shape[0], CELL):
            for left in range(0, one.shape[1], CELL):
                y, x = (int(torch.randint(2, CELL - HOLE - 2, ())) for _ in range(2))
                one[top + y : top + y + HOLE, left + x : left + x + HOLE] = 1
    sums = functional.avg_pool2d(
        torch.cat([images * (1 - hole), 1 - hole], 1), AROUND, 1, AROUND // 2
    )
    around = sums[:, :3] / sums[:, 3:]
    return torch.cat([images * (1 - hole) + around * hole, hole], 1)


def main() -> None:
    options = experiment.arguments(__doc__, steps=300)
    perceptual = PerceptualLoss(check_range=False).to(options.device)

    def pixels(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return functional.l1_loss(output, target) / given[:, 3:].mean()

    def perceived(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target, mask=given[:, 3:])

    experiment.compare(Inpainter, holed, {"pixels (l1)": pixels, "perceptual": perceived}, options)


if __name__ == "__main__":
    main()

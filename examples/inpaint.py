"""Inpainting: a small network fills in lost pixels, with and without the perceptual term."""

from __future__ import annotations

import experiment
import torch
from torch import Tensor, nn
from torch.nn import functional

from percept_cli import PerceptualLoss

LOST, AROUND = 0.5, 7
"""Share of the pixels that are lost, and the side of what is averaged around each of them first."""
WEIGHT = 0.1


class Inpainter(nn.Module):
    """Fills in N×4×H×W images, whose fourth channel is 1 where a pixel is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = experiment.convolutions(4, 32, 3)

    def forward(self, given: Tensor) -> Tensor:
        """N×4×H×W → N×3×H×W, as it was where nothing is lost."""
        colours, lost = given[:, :3], given[:, 3:]
        return colours + lost * self.layers(torch.cat([4 * colours - 2, lost], 1))


def damaged(images: Tensor) -> Tensor:
    """The images with half of their pixels lost, and which they are.

    Lost pixels have the mean colour around them: the network has to find the rest.
    """
    lost = (torch.rand_like(images[:, :1]) < LOST).float()
    known = torch.cat([images * (1 - lost), 1 - lost], 1)
    sums = functional.avg_pool2d(known, AROUND, 1, AROUND // 2)
    around = sums[:, :3] / sums[:, 3:].clamp_min(1 / AROUND**2)
    return torch.cat([images * (1 - lost) + around * lost, lost], 1)


def main() -> None:
    options = experiment.arguments(__doc__, steps=300)
    perceptual = PerceptualLoss(check_range=False).to(options.device)

    def pixels(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return functional.l1_loss(output, target) / given[:, 3:].mean()

    def perceived(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target, mask=given[:, 3:])

    terms = {"pixels (l1)": pixels, "perceptual": perceived}
    experiment.compare(Inpainter, damaged, terms, options)


if __name__ == "__main__":
    main()

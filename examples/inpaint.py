"""Inpainting: a small network fills holes, with and without the perceptual term inside them."""

from __future__ import annotations

import experiment
import torch
from torch import Tensor, nn
from torch.nn import functional

from percept_cli import PerceptualLoss

HOLES_PER_SIDE = 64
"""Pixels of an image's side for each hole along it."""
WEIGHT = 0.1


class Inpainter(nn.Module):
    """Fills the holes of N×4×H×W images, whose fourth channel is 1 inside them."""

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(4, width, 3, padding=1), nn.ReLU()]
        for dilation in (1, 2, 4, 8, 4, 2, 1):
            layers += [
                nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, holed: Tensor) -> Tensor:
        """N×4×H×W → N×3×H×W, as it was outside the holes."""
        image, hole = holed[:, :3], holed[:, 3:]
        return image + hole * self.layers(holed)


def holed(images: Tensor) -> Tensor:
    """The images with a square hole somewhere in every 64×64 pixels, and where the holes are."""
    hole = torch.zeros_like(images[:, :1])
    for image in hole[:, 0]:
        for top in range(0, image.shape[0], 64):
            for left in range(0, image.shape[1], 64):
                down, right = (int(torch.randint(8, 36, ())) for _ in range(2))
                image[top + down : top + down + 20, left + right : left + right + 20] = 1
    return torch.cat([images * (1 - hole) + 0.5 * hole, hole], 1)


def main() -> None:
    options = experiment.arguments(__doc__, steps=400)
    perceptual = PerceptualLoss(check_range=False).to(options.device)

    def pixels(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return functional.l1_loss(output, target) / given[:, 3:].mean()

    def perceived(output: Tensor, target: Tensor, given: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target, mask=given[:, 3:])

    experiment.compare(Inpainter, holed, {"pixels (l1)": pixels, "perceptual": perceived}, options)


if __name__ == "__main__":
    main()

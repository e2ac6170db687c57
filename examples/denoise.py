"""Denoising: a small network trained on photographs with and without the perceptual term."""

from __future__ import annotations

import experiment
import torch
from torch import Tensor, nn

from percept_cli import PerceptualLoss

NOISE = 40 / 255
WEIGHT = 0.1


class Denoiser(nn.Module):
    """Finds the noise of N×3×H×W images and takes it away."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = experiment.convolutions(3, 32, 3)

    def forward(self, noisy: Tensor) -> Tensor:
        """N×3×H×W → N×3×H×W."""
        return noisy - self.layers(noisy)


def noisy(images: Tensor) -> Tensor:
    """The images with Gaussian noise."""
    return images + NOISE * torch.randn_like(images)


def main() -> None:
    options = experiment.arguments(__doc__, steps=300)
    perceptual = PerceptualLoss(check_range=False).to(options.device)

    def perceived(output: Tensor, target: Tensor, _: Tensor) -> Tensor:
        return WEIGHT * perceptual(output, target)

    experiment.compare(
        Denoiser,
        noisy,
        {"pixels (l1)": experiment.l1, "perceptual": perceived},
        options,
        rate=1e-3,  # At more the pixels alone make it unstable.
    )


if __name__ == "__main__":
    main()

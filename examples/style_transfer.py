"""Style transfer (Gatys et al. 2016): photographs in another's style, with and without content."""

from __future__ import annotations

import experiment
import torch
from experiment import Run
from torch import Tensor
from torch.nn import functional

from percept_cli import PerceptualLoss, StyleLoss, total_variation

STYLE = "china"
CONTENT_LAYERS = ("conv4_1",)
STYLE_WEIGHT, PIXEL_WEIGHT, CONTENT_WEIGHT, SMOOTHNESS = 1.0, 1.0, 0.2, 0.1


def main() -> None:
    options = experiment.arguments(__doc__, steps=200)
    photographs = experiment.photographs(held_out=True, device=options.device)
    painting = experiment.photographs(held_out=False, device=options.device)[STYLE]
    targets = torch.cat(list(photographs.values()))
    style_loss = StyleLoss(check_range=False).to(options.device)
    content_loss = PerceptualLoss(CONTENT_LAYERS, check_range=False).to(options.device)
    style, content = style_loss.prepare(painting), content_loss.prepare(targets)

    def terms(image: Tensor) -> dict[str, Tensor]:
        return {
            "style (gram)": STYLE_WEIGHT * style_loss(image, style),
            "total variation": SMOOTHNESS * total_variation(image),
            "pixels (l1)": PIXEL_WEIGHT * functional.l1_loss(image, targets),
            "perceptual": CONTENT_WEIGHT * content_loss(image, content),
        }

    runs = {}
    for title, chosen in (("pixels only", 3), ("with perceptual term", 4)):
        image = targets.clone().requires_grad_()
        losses = experiment.minimise(
            [image],
            lambda image=image, chosen=chosen: dict(list(terms(image).items())[:chosen]),
            options.steps,
            0.05,
            title,
        )
        runs[title] = Run(losses, dict(zip(photographs, image.detach().split(1), strict=True)))
    before = dict.fromkeys(photographs, painting)
    experiment.report(options.output, photographs, before, runs)


if __name__ == "__main__":
    main()

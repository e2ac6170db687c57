"""Style transfer (Gatys et al. 2016): the content is held by pixels, or by features as well."""

from __future__ import annotations

import experiment
import torch
from experiment import Run
from torch import Tensor
from torch.nn import functional

from percept_cli import PerceptualLoss, StyleLoss, total_variation

STYLE, SIDE = "flower", 160
STYLE_WEIGHT, SMOOTHNESS, PIXEL_WEIGHT, CONTENT_WEIGHT = 1.0, 0.05, 1.0, 0.1


def small(image: Tensor) -> Tensor:
    """The image at a size that is drawn in minutes."""
    return functional.interpolate(image, SIDE, mode="bicubic", antialias=True).clamp(0, 1)


def main() -> None:
    options = experiment.arguments(__doc__, steps=100)
    photographs, others = (
        {
            name: small(image)
            for name, image in experiment.photographs(held_out, options.device).items()
        }
        for held_out in (True, False)
    )
    targets = torch.cat(list(photographs.values()))
    style_loss = StyleLoss(check_range=False).to(options.device)
    content_loss = PerceptualLoss(["conv4_1"], check_range=False).to(options.device)
    style, content = style_loss.prepare(others[STYLE]), content_loss.prepare(targets)
    terms = {
        "style (gram)": lambda image: STYLE_WEIGHT * style_loss(image, style),
        "total variation": lambda image: SMOOTHNESS * total_variation(image),
        "pixels (l1)": lambda image: PIXEL_WEIGHT * functional.l1_loss(image, targets),
        "perceptual": lambda image: CONTENT_WEIGHT * content_loss(image, content),
    }

    def drawn(names: list[str], title: str) -> Run:
        image = targets.clone().requires_grad_()

        def step() -> dict[str, Tensor]:
            return {name: terms[name](image) for name in names}

        losses = experiment.minimise([image], step, options.steps, 0.05, title)
        return Run(losses, dict(zip(photographs, image.detach().split(1), strict=True)))

    runs = {
        "pixels only": drawn([name for name in terms if name != "perceptual"], "pixels only"),
        "with perceptual term": drawn(list(terms), "with perceptual term"),
    }
    given = {"style": dict.fromkeys(photographs, others[STYLE])}
    experiment.report(options.output, photographs, given, runs)


if __name__ == "__main__":
    main()

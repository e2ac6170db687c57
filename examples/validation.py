"""Validation in a training loop: the metric of torchmetrics beside the loss that is trained with.

    python examples/validation.py [--steps 150]

A small denoiser, judged on held-out photographs after each part of its training; what the metric
says at the end is what `percept compare` says of the pictures that it leaves.
"""

from __future__ import annotations

from itertools import pairwise

import experiment
import torch
from denoise import Denoiser, noisy
from PIL import Image

from percept_cli import PerceptualDistance, PerceptualLoss

PARTS = 5


def main() -> None:
    options = experiment.arguments(__doc__, steps=150)
    torch.manual_seed(0)
    model = Denoiser().to(options.device)
    loss = PerceptualLoss(check_range=False).to(options.device)
    metric = PerceptualDistance().to(options.device)
    targets = experiment.photographs(held_out=True, device=options.device)
    given = {name: noisy(image) for name, image in targets.items()}

    def validated() -> float:
        """The mean distance of the held-out photographs, as 8-bit pictures."""
        metric.reset()
        for name, target in targets.items():
            with torch.no_grad():
                output = model(given[name]).clamp(0, 1).mul(255).round().div(255)
            metric.update(output, target)
        return float(metric.compute())

    terms = {
        "pixels (l1)": experiment.l1,
        "perceptual": lambda output, target, _: 0.1 * loss(output, target),
    }
    print(f"step {0:4}  distance {validated():.4f}")
    steps = [options.steps * part // PARTS for part in range(PARTS + 1)]
    for first, last in pairwise(steps):
        if last > first:
            experiment.train(model, noisy, terms, f"to step {last}", last - first, rate=1e-3)
            print(f"step {last:4}  distance {validated():.4f}", flush=True)
    for folder, images in (("targets", targets), ("outputs", given)):
        (options.output / folder).mkdir(parents=True, exist_ok=True)
        for name, image in images.items():
            with torch.no_grad():
                picture = model(image) if folder == "outputs" else image
            Image.fromarray(experiment.pixels(picture)).save(
                options.output / folder / f"{name}.png"
            )
    print(f"percept compare {options.output}/targets {options.output}/outputs")


if __name__ == "__main__":
    main()

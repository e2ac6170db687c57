"""What the examples share: photographs, the training loop, and what they show at the end."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import matplotlib
import numpy as np
import torch
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn import functional

import percept_cli

matplotlib.use("Agg")
from matplotlib import pyplot

PHOTOGRAPHS = Path(percept_cli.__file__).parent / "network/photographs"
RATE = 2e-3
"""Largest step of Adam."""
HELD_OUT = ("astronaut", "grace_hopper", "rocket")

Degraded = Callable[[Tensor], Tensor]
"""Makes of N×3×H×W photographs what a model gets."""

Terms = Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]]
"""What a loss is the sum of: each takes output, target and what the model got."""

Losses = dict[str, list[float]]
"""Each term at every step."""


class Run(NamedTuple):
    """One way to train, and the pictures it leads to."""

    losses: Losses
    outputs: dict[str, Tensor]


def arguments(description: str | None, steps: int) -> argparse.Namespace:
    """Steps, device, and the folder for pictures."""
    parser = argparse.ArgumentParser(description=description)
    name = Path(parser.prog).stem
    parser.add_argument("--steps", type=int, default=steps, help="default: %(default)s")
    parser.add_argument(
        "--output", type=Path, default=Path("training-output") / name, help="folder"
    )
    parser.add_argument("--device", default="cpu", help="cpu, cuda, mps, ...")
    options = parser.parse_args()
    if options.steps < 1:
        parser.error("--steps: give 1 or more")
    return options


def convolutions(inputs: int, width: int, outputs: int) -> nn.Sequential:
    """Seven 3×3 convolutions with ReLUs between them (He et al. 2015); they start out giving 0."""
    widths = (inputs, *[width] * 6, outputs)
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        convolution = nn.Conv2d(before, after, 3, padding=1)
        nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
        nn.init.zeros_(convolution.bias)
        layers += [convolution, nn.ReLU()]
    nn.init.zeros_(convolution.weight)
    return nn.Sequential(*layers[:-1])


def l1(output: Tensor, target: Tensor, _: Tensor) -> Tensor:
    """The mean absolute difference of pixels."""
    return functional.l1_loss(output, target)


def photographs(held_out: bool, device: str | torch.device) -> dict[str, Tensor]:
    """The photographs that are held out, or all others: name → 1×3×256×256 in [0, 1]."""
    images = {}
    for path in sorted(PHOTOGRAPHS.glob("*.jpg")):
        if (path.stem in HELD_OUT) == held_out:
            with Image.open(path) as image:
                pixels = torch.from_numpy(np.asarray(image) / np.float32(255))
            images[path.stem] = pixels.permute(2, 0, 1)[None].to(device)
    return images


def crops(images: Iterable[Tensor], count: int, side: int) -> Tensor:
    """Random parts of random photographs, mirrored and recoloured: count×3×side×side."""
    sources = list(images)
    parts = []
    for _ in range(count):
        source = sources[int(torch.randint(len(sources), ()))]
        top, left = (int(torch.randint(length - side + 1, ())) for length in source.shape[2:])
        part = source[..., top : top + side, left : left + side]
        part = part.flip(3) if torch.rand(()) < 0.5 else part
        parts.append(part[:, torch.randperm(3)])
    return torch.cat(parts)


def minimise(
    parameters: Iterable[Tensor],
    terms: Callable[[], Mapping[str, Tensor]],
    steps: int,
    rate: float,
    title: str,
) -> Losses:
    """Adam on the sum of the terms."""
    optimiser = torch.optim.Adam(parameters, rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps + 1)
    losses: Losses = {}
    for _ in track(range(steps), title, console=Console(stderr=True)):
        optimiser.zero_grad()
        found = terms()
        torch.stack(list(found.values())).sum().backward()
        optimiser.step()
        schedule.step()
        for name, value in found.items():
            losses.setdefault(name, []).append(value.item())
    return losses


def train(
    model: nn.Module, degraded: Degraded, terms: Terms, title: str, steps: int, rate: float = RATE
) -> Losses:
    """Train on random parts of photographs, wherever the model is."""
    device = next(model.parameters()).device
    images = photographs(held_out=False, device=device).values()

    def step() -> dict[str, Tensor]:
        target = crops(images, count=8, side=64)
        given = degraded(target)
        output = model(given)
        return {name: term(output, target, given) for name, term in terms.items()}

    return minimise(model.parameters(), step, steps, rate, title)


def compare(
    make: Callable[[], nn.Module],
    degraded: Degraded,
    terms: Terms,
    options: argparse.Namespace,
    before: Callable[[Tensor], Tensor] = lambda given: given[:, :3],
    rate: float = RATE,
) -> None:
    """Train with the first term and with all, alike but for that; report on held-out photographs.

    `before` makes a picture of what the model gets.
    """
    targets = photographs(held_out=True, device=options.device)
    torch.manual_seed(1)
    given = {name: degraded(image) for name, image in targets.items()}
    first = dict([next(iter(terms.items()))])
    runs = {}
    for title, chosen in (("pixels only", first), ("with perceptual term", terms)):
        torch.manual_seed(0)
        model = make().to(options.device)
        losses = train(model, degraded, chosen, title, options.steps, rate)
        with torch.no_grad():
            outputs = {name: model(image) for name, image in given.items()}
        runs[title] = Run(losses, outputs)
    shown = {name: before(image) for name, image in given.items()}
    report(options.output, targets, {"before": shown}, runs)


def pixels(image: Tensor) -> np.ndarray:
    """1×3×H×W in [0, 1] → H×W×3, uint8."""
    rounded = image[0].detach().clamp(0, 1).mul(255).round().byte()
    return rounded.permute(1, 2, 0).cpu().numpy()


def report(
    folder: Path,
    targets: Mapping[str, Tensor],
    given: Mapping[str, Mapping[str, Tensor]],
    runs: Mapping[str, Run],
) -> None:
    """Write the pictures and the plot of the losses; print how far they are from the targets."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = {**given, **{name: run.outputs for name, run in runs.items()}}
    print("| photographs, mean | total (l2) | total (unit) | PSNR |\n| --- | --- | --- | --- |")
    for column, images in columns.items():
        figures = np.mean([distances(targets[name], images[name]) for name in targets], axis=0)
        print("| {} | {:.3f} | {:.3f} | {:.2f} dB |".format(column, *figures))
    columns["target"] = targets
    _pictures(folder, columns)
    _plot(folder / "loss.png", runs)
    print(f"\nPictures and loss.png are in {folder}/")


def distances(target: Tensor, image: Tensor) -> tuple[float, float, float]:
    """What `percept compare` says with `l2` and with `unit`, and the PSNR, of rounded pixels."""
    reference, candidate = pixels(target), pixels(image)
    totals = [
        percept_cli.compare(reference, candidate, distance=distance).total or 0.0
        for distance in ("l2", "unit")
    ]
    error = np.mean((reference.astype(float) - candidate) ** 2)
    return totals[0], totals[1], 10 * np.log10(255**2 / error)


def _pictures(folder: Path, columns: Mapping[str, Mapping[str, Tensor]]) -> None:
    names = list(columns["target"])
    shape = len(names), len(columns)
    size = (2.6 * shape[1], 2.75 * shape[0])
    figure, axes = pyplot.subplots(*shape, squeeze=False, figsize=size, layout="constrained")
    for name, row in zip(names, axes, strict=True):
        for (column, images), place in zip(columns.items(), row, strict=True):
            image = pixels(images[name])
            Image.fromarray(image).save(folder / f"{name}, {column}.png")
            place.imshow(image, interpolation="nearest")
            place.set_title(column if name == names[0] else "", fontsize=11)
            place.set_axis_off()
    figure.savefig(folder / "pictures.png", dpi=110)
    pyplot.close(figure)


def _plot(path: Path, runs: Mapping[str, Run]) -> None:
    figure, place = pyplot.subplots(figsize=(9, 4), layout="constrained")
    for (name, run), style in zip(runs.items(), ("--", "-"), strict=True):
        for number, (term, values) in enumerate(run.losses.items()):
            window = min(20, max(len(values) // 5, 1))
            shown = np.convolve(values, np.full(window, 1 / window), "valid")
            steps = np.arange(window, len(values) + 1)
            place.plot(steps, shown, style, color=f"C{number}", label=f"{term}, {name}")
    place.set(xlabel="step", ylabel=f"term of the loss, mean of {window} steps", yscale="log")
    place.legend(fontsize=9, loc="center left", bbox_to_anchor=(1.01, 0.5))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)

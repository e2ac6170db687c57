"""Make what docs/training.md shows: its numbers, and its pictures in docs/training."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor, nn

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "examples"), str(ROOT / "benchmarks")]

import denoise  # noqa: E402
import experiment  # noqa: E402
from measuring import machine, medians  # noqa: E402
from training import network  # noqa: E402

from percept_cli import PerceptualLoss  # noqa: E402
from percept_cli.network.layers import DEFAULT_LAYERS  # noqa: E402
from percept_cli.network.scales import scales_of  # noqa: E402
from percept_cli.network.weights import load  # noqa: E402

PICTURES = ROOT / "docs/training"
EXAMPLES = ("super_resolution", "denoise", "inpaint", "style_transfer")
STEPS = 200
CONVOLUTIONS = (0, 5, 10, 19)
"""The default layers, as numbers of torchvision's modules."""
NOISE_STEPS = (0, 20, 100, 500)


def from_noise() -> str:
    """Pixels that start as noise and follow the loss alone; the total at some steps."""
    torch.manual_seed(0)
    target = experiment.photographs(held_out=False, device="cpu")["coffee"][..., 64:192, 64:192]
    loss = PerceptualLoss(check_range=False)
    goal, image = loss.prepare(target), torch.rand_like(target).requires_grad_()
    optimiser = torch.optim.Adam([image], 0.05)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, NOISE_STEPS[-1])
    totals, shown = [], []
    for step in range(NOISE_STEPS[-1] + 1):
        total = loss(image, goal)
        if step in NOISE_STEPS:
            totals.append(total.item())
            shown.append(experiment.pixels(image))
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        schedule.step()
    shown.append(experiment.pixels(target))
    whole = Image.new("RGB", (136 * len(shown) - 8, 128), "white")
    for place, picture in enumerate(shown):
        whole.paste(Image.fromarray(picture), (136 * place, 0))
    whole.save(PICTURES / "from_noise.png", optimize=True)
    steps = " | ".join(map(str, NOISE_STEPS))
    figures = " | ".join(f"{total:.3f}" for total in totals)
    return (
        f"| step | {steps} |\n|{' --- |' * (len(NOISE_STEPS) + 1)}\n| total | {figures} |\n\n"
        f"{totals[0] / totals[-1]:.0f} times less."
    )


def example(name: str) -> str:
    """What an example prints; its pictures go to docs."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, ROOT / f"examples/{name}.py", f"--output={folder}"]
        start = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        minutes = (time.perf_counter() - start) / 60
        for picture in ("pictures", "loss"):
            with Image.open(Path(folder) / f"{picture}.png") as image:
                small = image.convert("RGB").quantize(256)
                small.save(PICTURES / f"{name}_{picture}.png", optimize=True)
    table = "\n".join(line for line in done.stdout.splitlines() if line.startswith("|"))
    without, with_term = (
        [float(cell) for cell in row.split(" | ")[1:3]] for row in table.splitlines()[-2:]
    )
    if not all(after < before for before, after in zip(without, with_term, strict=True)):
        raise AssertionError(f"{name}: the perceptual term does not lower both distances:\n{table}")
    return f"{table}\n\n{minutes:.1f} minutes for both, {machine()}."


class Common(nn.Module):
    """The loss as it is often written, around torchvision's network, and what goes wrong with it.

    `overwritten`: ReLUs run in place, over the features just taken. `scaled`: each layer is divided
    by its scale. As it stands here it is what PerceptualLoss computes.
    """

    def __init__(self, overwritten: bool = False, scaled: bool = True) -> None:
        super().__init__()
        self.network = network()[: CONVOLUTIONS[-1] + 2]  # With the last one's ReLU.
        for module in self.network:
            if isinstance(module, nn.ReLU):
                module.inplace = overwritten
        weights = load("bundled")
        self.mean, self.std = (
            torch.tensor(x).view(1, 3, 1, 1) for x in (weights.mean, weights.std)
        )
        scales = [scales_of(weights)[name] for name in DEFAULT_LAYERS]
        self.scales = scales if scaled else [sum(scales) / len(scales)] * len(scales)

    def features(self, x: Tensor) -> list[Tensor]:
        """The default layers' features."""
        x, found = (x - self.mean) / self.std, []
        for place, module in enumerate(self.network):
            x = module(x)
            if place in CONVOLUTIONS:
                found.append(x)
        return found

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """Two N×3×H×W in [0, 1] → the mean over layers and images of the Euclidean distance."""
        distances = [
            (f - g).square().mean((1, 2, 3)).clamp_min(1e-12).sqrt() / scale
            for f, g, scale in zip(self.features(x), self.features(y), self.scales, strict=True)
        ]
        return torch.stack(distances).mean()


def trained(term: nn.Module, scale: float = 1.0, shift: float = 0.0) -> str:
    """A denoiser's distance on held-out photographs, trained with this term as a part of it.

    The term is given `scale * images + shift`. What it has of parameters to train is trained.
    """

    def perceived(output: Tensor, target: Tensor, _: Tensor) -> Tensor:
        value: Tensor = term(scale * output + shift, scale * target + shift)
        return denoise.WEIGHT * value

    torch.manual_seed(0)
    model = denoise.Denoiser()
    model.add_module("loss", term)
    terms = {"pixels (l1)": experiment.l1, "perceptual": perceived}
    losses = experiment.train(model, denoise.noisy, terms, "a mistake", STEPS)
    torch.manual_seed(1)
    totals = []
    for target in experiment.photographs(held_out=True, device="cpu").values():
        with torch.no_grad():
            output = model(denoise.noisy(target))
        totals.append(experiment.distances(target, output)[0])
    ended = sum(losses["perceptual"][-20:]) / 20 / denoise.WEIGHT
    return f"{sum(totals) / len(totals):.3f} (the term itself fell to {ended:.3g})"


def elsewhere() -> str:
    """What torch says to images on one device and a mean on another."""
    try:
        torch.rand(1, 3, 8, 8, device="meta") - torch.rand(1, 3, 1, 1)
    except RuntimeError as error:
        return f"an error: `{error}`"
    raise AssertionError("torch takes tensors of two devices")


def checkpoint(loss: nn.Module) -> str:
    """Size of the checkpoint of a model that holds this loss."""
    model = denoise.Denoiser()
    model.add_module("loss", loss)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    return f"{file.tell() / 1e6:.1f} MB"


def whole_network() -> str:
    """Seconds of a loss's passes up to conv4_1, and of those to the end."""
    image, target = torch.rand(2, 1, 3, 256, 256)
    modules = network()

    def passes(depth: int) -> None:
        x = image.clone().requires_grad_()
        loss = torch.zeros(())
        for place, (f, g) in enumerate(through(depth, x, target)):
            if place == CONVOLUTIONS[-1]:
                loss = (f - g).square().mean()
        loss.backward()

    def through(depth: int, *images: Tensor) -> Iterator[tuple[Tensor, ...]]:
        for module in modules[:depth]:
            images = tuple(module(x) for x in images)
            yield images

    runs = {"cut": lambda: passes(CONVOLUTIONS[-1] + 1), "whole": lambda: passes(len(modules))}
    seconds = medians(runs, rounds=5)
    return f"{seconds['whole'] / seconds['cut']:.2f} times the time"


def shares(raw: bool) -> str:
    """Each layer's share of the total of a noisy photograph, in network order."""
    torch.manual_seed(0)
    target = experiment.photographs(held_out=False, device="cpu")["coffee"]
    loss = PerceptualLoss(raw=raw, check_range=False)
    distances = loss.layer_distances(denoise.noisy(target), target)
    total = sum(value.item() for value in distances.values())
    return ", ".join(f"{100 * value.item() / total:.0f} %" for value in distances.values())


def mistakes() -> str:
    """What each common mistake does to training, as a Markdown table."""
    right = PerceptualLoss(check_range=False)
    common, (image, target) = Common().requires_grad_(False), torch.rand(2, 1, 3, 64, 64)
    torch.testing.assert_close(common(image, target), right(image, target), rtol=1e-4, atol=0)
    held_out = trained(right)
    rows = [
        ("none: percept", "", held_out),
        (
            "mean and std stay on the CPU, as plain attributes",
            "stops on the first batch on a GPU",
            elsewhere(),
        ),
        (
            "the network is not frozen",
            "the measure learns along with the model, towards finding everything alike",
            trained(Common().requires_grad_(True)),
        ),
        (
            "the network lands in the model's checkpoint",
            "every checkpoint carries VGG19, and older ones no longer load",
            f"{checkpoint(Common())} instead of {checkpoint(right)}",
        ),
        (
            "the network is in training mode",
            "nothing up to pool5; from fc6 on dropout makes equal images differ",
            "not measured: the bundled weights end at pool5",
        ),
        (
            "in-place ReLUs overwrite the conv features",
            "another distance than the one it is called: what is negative is not seen",
            trained(Common(overwritten=True).requires_grad_(False)),
        ),
        (
            "inputs in 0..255 where 0..1 is meant",
            "features 255 times as large: the term outweighs all others by as much",
            trained(PerceptualLoss(check_range=False), 255.0),
        ),
        (
            "inputs in -1..1 where 0..1 is meant",
            "twice the contrast, around black instead of grey: no longer percept's numbers",
            trained(PerceptualLoss(check_range=False), 2.0, -1.0),
        ),
        (
            "layers are averaged as they come (here over the mean of their scales)",
            f"the deepest decide: shares {shares(raw=True)} instead of {shares(raw=False)}",
            trained(Common(scaled=False).requires_grad_(False)),
        ),
        ("the whole network runs for its first half", "slower, no other effect", whole_network()),
    ]
    lines = [("mistake", "what it does", "measured"), ("---",) * 3, *rows]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{table}\n\n{machine()}"


def filled(text: str, names: list[str]) -> str:
    """The tutorial with these of its made parts made again."""
    makers: dict[str, Callable[[], str]] = {"from_noise": from_noise, "mistakes": mistakes}
    makers |= {name: lambda name=name: example(name) for name in EXAMPLES}
    for name in names or makers:
        block = f"<!-- {name}: scripts/training_docs.py -->\n{makers[name]()}\n<!-- end -->"
        pattern = rf"<!-- {name}: .*?<!-- end -->"
        text = re.sub(pattern, lambda _, made=block: made, text, flags=re.S)
    return text


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    file = ROOT / "docs/training.md"
    file.write_text(filled(file.read_text(), sys.argv[1:]))

"""50 pairs of 256×256 photographs: percept against its bare network, and against lpips.

The bare network runs the same layers on tensors that are in memory already, channels-last, at the
batch size that is fastest. lpips reads the same files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from anyvision import lpips_of
from measuring import machine, medians, table
from photographs import write_pairs
from PIL import Image
from torch import Tensor

from percept_cli.inputs.pairs import Pair, pairs_of
from percept_cli.network.layers import DEFAULT_LAYERS
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

COUNT = 50
BATCHES = (1, 2, 4, 8, 16)


def tensor(path: Path | None) -> Tensor:
    """The file as 1×3×H×W in [0, 1], channels-last."""
    assert path is not None
    with Image.open(path) as image:
        return torch.from_numpy(np.asarray(image) / np.float32(255))[None].permute(0, 3, 1, 2)


def bare(images: Tensor, batch: int) -> None:
    """Run the default layers on all images."""
    network = VGG19(load("bundled"), DEFAULT_LAYERS[-1]).to(memory_format=torch.channels_last)
    with torch.inference_mode():
        for part in images.split(batch):
            for _ in network.features(part, DEFAULT_LAYERS):
                pass


def best_batch(images: Tensor) -> int:
    """The batch size at which the bare network is fastest."""
    runs: dict[str, Callable[[], object]] = {
        str(batch): lambda batch=batch: bare(images, batch)  # type: ignore[misc]
        for batch in BATCHES
    }
    seconds = medians(runs, rounds=3)
    return int(min(seconds, key=seconds.__getitem__))


def run_lpips(model: torch.nn.Module, pairs: list[Pair]) -> None:
    """Score all pairs with lpips, one at a time, as its own command does."""
    with torch.inference_mode():
        for pair in pairs:
            model(tensor(pair.reference) * 2 - 1, tensor(pair.candidate) * 2 - 1)


def main() -> None:
    model = lpips_of("vgg")
    with tempfile.TemporaryDirectory() as folder:
        pairs, _ = pairs_of(*write_pairs(Path(folder), COUNT))
        images = torch.cat([tensor(p) for pair in pairs for p in (pair.reference, pair.candidate)])
        images = images.contiguous(memory_format=torch.channels_last)
        batch = best_batch(images[:32])
        scorer = Scorer(Options())
        seconds = medians(
            {
                "percept, from files": lambda: list(scorer.score(pairs)),
                f"bare network, batch {batch}, from memory": lambda: bare(images, batch),
                "lpips (vgg), from files": lambda: run_lpips(model, pairs),
            },
            rounds=3,
        )
    percept = seconds["percept, from files"]
    rows = [
        (name, f"{COUNT / time:.2f}", f"{time / percept:.2f}") for name, time in seconds.items()
    ]
    print(f"{COUNT} pairs of 256×256, {machine()}\n")
    print(table(("what", "pairs per second", "percept's rate over its rate"), rows))


if __name__ == "__main__":
    main()

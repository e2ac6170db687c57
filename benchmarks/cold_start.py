"""One pair from a cold start: `percept compare` against the least a script could do.

The bare script imports torch, reads the same two 512×512 files with Pillow, loads a ready state
dict of the same layers and runs them once.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from measuring import ROOT, machine, medians, table
from PIL import Image

from percept_cli.network.layers import DEFAULT_LAYERS, LAYERS
from percept_cli.network.weights import load

BARE = """
import sys
import numpy as np
import torch
from PIL import Image
from torch import nn
reference, candidate, weights = sys.argv[1:]
pixels = [np.asarray(Image.open(file).convert("RGB")) for file in (reference, candidate)]
steps, channels = [], 3
for width in (64, 64, 0, 128, 128, 0, 256, 256, 256, 256, 0, 512):
    if width:
        steps += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(inplace=True)]
        channels = width
    else:
        steps.append(nn.MaxPool2d(2))
network = nn.Sequential(*steps[:-1])
network.load_state_dict(torch.load(weights, weights_only=True))
with torch.inference_mode():
    network(torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2) / 255)
"""


def bare_state_dict() -> dict[str, torch.Tensor]:
    """The default layers' tensors under the names of the bare script's network."""
    tensors, state = load("bundled").tensors, {}
    for index, (name, layer) in enumerate(LAYERS.items()):
        if layer.kind == "conv":
            for part in ("weight", "bias"):
                state[f"{index}.{part}"] = tensors[f"{name}.{part}"].contiguous()
        if name == DEFAULT_LAYERS[-1]:
            return state
    raise AssertionError("the default layers are layers of the network")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder) / f"{role}.png") for role in ("reference", "candidate")]
        for name, file in zip(("references/coffee.png", "jpeg-3/coffee.jpg"), files, strict=True):
            Image.open(ROOT / "sample_images" / name).resize((512, 512)).save(file)
        weights = str(Path(folder) / "weights.pth")
        torch.save(bare_state_dict(), weights)
        percept = [sys.executable, "-m", "percept_cli", "compare", *files]
        bare = [sys.executable, "-c", BARE, *files, weights]
        seconds = medians(
            {
                "percept compare": lambda: subprocess.run(percept, check=True, capture_output=True),
                "bare script": lambda: subprocess.run(bare, check=True, capture_output=True),
            },
            rounds=7,
        )
    rows = [
        (name, f"{time:.2f}", f"{time / seconds['bare script']:.2f}")
        for name, time in seconds.items()
    ]
    print(f"One pair of 512×512, whole process, {machine()}\n")
    print(table(("command", "seconds", "ratio"), rows))


if __name__ == "__main__":
    main()

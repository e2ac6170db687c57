"""Other tools' scores of pairs of screenshots: the larger, the more different."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

THRESHOLDS = (0.05, 0.1, 0.2, 0.3, 0.5)
PIXELMATCH = Path(__file__).with_name("pixelmatch.mjs")


@dataclass(frozen=True)
class Pair:
    """A reference and a candidate, and what is known about them."""

    reference: Path
    candidate: Path
    group: str
    """The page or project it comes from."""
    kind: str
    changed: bool


def odiff(
    pairs: Sequence[Pair], program: str, threshold: float, *, antialiasing: bool
) -> list[float]:
    """Pixels that odiff counts as different, in its server mode."""
    scores = []
    with (
        tempfile.TemporaryDirectory() as folder,
        subprocess.Popen(
            [program, "--server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as server,
    ):
        assert server.stdin and server.stdout
        server.stdout.readline()
        for number, pair in enumerate(pairs):
            request = {
                "requestId": number,
                "base": str(pair.reference.resolve()),
                "compare": str(pair.candidate.resolve()),
                "output": f"{folder}/diff.png",
                "options": {"threshold": threshold, "antialiasing": antialiasing},
            }
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            answer = json.loads(server.stdout.readline())
            scores.append(0.0 if answer["match"] else float(answer["diffCount"]))
        server.stdin.close()
    return scores


def pixelmatch(
    pairs: Sequence[Pair], folder: str, threshold: float, *, antialiasing: bool
) -> list[float]:
    """Pixels that pixelmatch counts as different; `folder` has it in its node_modules."""
    lines = [
        json.dumps(
            {
                "reference": str(pair.reference.resolve()),
                "candidate": str(pair.candidate.resolve()),
                "threshold": threshold,
                "includeAA": not antialiasing,
            }
        )
        for pair in pairs
    ]
    node = shutil.which("node") or "node"
    done = subprocess.run(
        [node, PIXELMATCH],
        cwd=folder,
        input="\n".join(lines),
        check=True,
        capture_output=True,
        text=True,
    )
    return [float(line) for line in done.stdout.split()]


def blurred_maximum(pairs: Sequence[Pair], radius: float) -> list[float]:
    """Largest difference of a colour after a blur: what can be had without a network."""
    scores = []
    for pair in pairs:
        blurred = []
        for path in (pair.reference, pair.candidate):
            with Image.open(path) as image:
                smooth = image.convert("RGB").filter(ImageFilter.GaussianBlur(radius))
                blurred.append(np.asarray(smooth).astype(int))
        scores.append(float(np.abs(blurred[0] - blurred[1]).max()))
    return scores

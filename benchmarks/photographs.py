"""Folders of distinct photographs for benchmarks, made from those in the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

import percept_cli

SOURCES = sorted((Path(percept_cli.__file__).parent / "network/photographs").glob("*.jpg"))


def write_pairs(folder: Path, count: int) -> tuple[Path, Path]:
    """Write `count` pairs of 256×256 PNG files; the folders of references and of candidates.

    References are turned, mirrored and moved photographs; candidates have a little noise.
    """
    rng = np.random.default_rng(0)
    references, candidates = folder / "references", folder / "candidates"
    references.mkdir()
    candidates.mkdir()
    for number in range(count):
        with Image.open(SOURCES[number % len(SOURCES)]) as image:
            pixels = np.asarray(image)
        pixels = np.rot90(pixels, int(rng.integers(4)))[:: int(rng.choice((-1, 1)))]
        pixels = np.roll(pixels, rng.integers(0, 256, 2), axis=(0, 1))
        noisy = np.clip(pixels + rng.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(np.ascontiguousarray(pixels)).save(references / f"{number:05}.png")
        Image.fromarray(noisy).save(candidates / f"{number:05}.png")
    return references, candidates

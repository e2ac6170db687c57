"""How long the presets for photographs take, pair by pair."""

from __future__ import annotations

from functools import partial

import numpy as np
from measuring import machine, medians, table
from photographs import SOURCES
from PIL import Image

import percept_cli

SIZES = ((224, 224), (256, 256), (320, 320), (512, 512), (768, 512), (1920, 1080))


def main() -> None:
    rng = np.random.default_rng(0)
    rows = []
    cases = [(size, "everywhere") for size in SIZES]
    for size, where in [*cases, (SIZES[-1], "200×80"), (SIZES[-1], "16×16")]:
        with Image.open(SOURCES[0]) as image:
            reference = np.asarray(image.convert("RGB").resize(size))
        noise = rng.integers(-9, 10, reference.shape)
        if where != "everywhere":
            width, height = map(int, where.split("×"))
            noise[height:] = noise[:, width:] = 0
        candidate = np.clip(reference + noise, 0, 255).astype(np.uint8)
        runs = {
            preset: partial(percept_cli.compare, reference, candidate, preset=preset)
            for preset in ("photo", "quality")
        }
        seconds = medians(runs, 3)
        rows += [
            ("{}×{}".format(*size), where, name, f"{value:.3f}", f"{value / seconds['photo']:.2f}")
            for name, value in seconds.items()
        ]
    print(f"Pairs already decoded, {machine()}\n")
    print(table(("pair", "changed", "preset", "seconds", "times photo's"), rows))


if __name__ == "__main__":
    main()

"""Make tests/golden.json again: scores of sample pairs by the slow float64 implementation.

    python scripts/goldens.py

Only a change of the formulas, of the scales or of the sample images may change it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from plain_distance import plain  # noqa: E402

from percept_cli.network.layers import DEFAULT_LAYERS  # noqa: E402

SAMPLES = ROOT / "sample_images"
FOLDERS = ("blur-2", "noise-2", "edit-2", "shift-2")
"""Those of PNG files: what a JPEG file decodes to depends on the decoder."""
IMAGES = ("article", "astronaut", "coffee")
DISTANCES = ("l2", "unit", "divisive", "appearance")


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def main() -> None:
    golden: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
    for distance in DISTANCES:
        for folder in FOLDERS:
            for name in IMAGES:
                pair = (pixels(SAMPLES / place / f"{name}.png") for place in ("references", folder))
                found = plain(*pair, distance, dict.fromkeys(DEFAULT_LAYERS, 1.0))
                scores = {"total": found.total, **found.layers}
                golden.setdefault(distance, {}).setdefault(folder, {})[f"{name}.png"] = scores
    (ROOT / "tests/golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()

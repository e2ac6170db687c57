"""Codecs: photographs as JPEG, WebP and AVIF at several qualities, and what each byte buys.

    python examples/codec_rates.py [FOLDER]

Writes the coded files, a manifest of the pairs, their scores, and a rate–distance plot.
"""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, features

import percept_cli

PHOTOGRAPHS = Path(percept_cli.__file__).parent / "network/photographs"
SHOWN = ("coffee", "rocket")
QUALITIES = {
    "jpeg": (10, 30, 60, 90),
    "webp": (5, 30, 60, 90),
    "avif": (15, 35, 55, 80),
}


def coded(folder: Path) -> Iterator[dict[str, object]]:
    """Write each photograph in each codec and quality; a row of the manifest for each.

    The rate of a codec at a quality is its mean over the photographs, so that each is one point.
    """
    references = {name: folder / f"references/{name}.png" for name in SHOWN}
    images = {}
    for name, reference in references.items():
        reference.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(PHOTOGRAPHS / f"{name}.jpg") as photograph:
            images[name] = photograph.convert("RGB")
        images[name].save(reference)
    for codec, qualities in QUALITIES.items():
        if codec == "avif" and not features.check("avif"):
            print("this Pillow writes no AVIF: it is left out", file=sys.stderr)
            continue
        (folder / codec).mkdir(exist_ok=True)
        for quality in qualities:
            files = {name: folder / codec / f"{name}-{quality}.{codec}" for name in SHOWN}
            for name, file in files.items():
                images[name].save(file, quality=quality)
            size = sum(file.stat().st_size for file in files.values())
            pixels = sum(image.width * image.height for image in images.values())
            for name, file in files.items():
                yield {
                    "reference": references[name].relative_to(folder),
                    "candidate": file.relative_to(folder),
                    "codec": codec,
                    "bits_per_pixel": f"{8 * size / pixels:.4f}",
                }


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "codecs-output")
    rows = list(coded(folder))
    with (folder / "pairs.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    for line in (
        "compare --pairs pairs.csv --preset quality --by codec --output scores.json",
        "plot scores.json --against bits_per_pixel --by codec --output rates.png",
    ):
        print(f"percept {line}", flush=True)
        command = [sys.executable, "-m", "percept_cli", *line.split()]
        if subprocess.run(command, cwd=folder).returncode:
            sys.exit(f"percept {line} failed")
    print(f"the plot is {folder / 'rates.png'}, the scores are {folder / 'scores.json'}")


if __name__ == "__main__":
    main()

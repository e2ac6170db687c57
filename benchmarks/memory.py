"""Peak memory of `percept compare` on one large pair, changed everywhere, from its two files."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from multiprocessing import Process
from pathlib import Path

import numpy as np
from measuring import machine, table
from PIL import Image

SIZES = ((1920, 1080), (3446, 10728), (12000, 12500), (1920, 78125))


def write(folder: Path, width: int, height: int) -> None:
    """Write a picture of coloured squares, and the same with every fourth row inverted."""
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    image = blocks.repeat(8, 0).repeat(8, 1)[:height, :width]
    Image.MAX_IMAGE_PIXELS = None
    Image.fromarray(image).save(folder / "reference.png", compress_level=1)
    image[::4] = 255 - image[::4]
    Image.fromarray(image).save(folder / "candidate.png", compress_level=1)


def peak(folder: Path) -> int:
    """Bytes of the command's process at the most."""
    command = [sys.executable, "-m", "percept_cli", "compare", "reference.png", "candidate.png"]
    command += ["--quiet", "--output", "result.json", f"--max-pixels={2 * 10**8}"]
    with subprocess.Popen(command, cwd=folder) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert not process.returncode
    return usage.ru_maxrss * 1024


def main() -> None:
    rows = []
    for width, height in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            # A process starts with its parent's peak, so the parent must stay small.
            writer = Process(target=write, args=(Path(folder), width, height))
            writer.start()
            writer.join()
            used, images = peak(Path(folder)), 2 * 3 * width * height
        sizes = [f"{size / 2**20:.0f}" for size in (used, images, used - images)]
        rows.append((f"{width}×{height}", *sizes))
    print(f"One pair changed everywhere, whole process, {machine()}\n")
    print(table(("size", "MiB", "two decoded images", "besides them"), rows))


if __name__ == "__main__":
    main()

"""Time per pair and peak memory of `percept compare` for 10 to 10,000 pairs of 256×256.

Every pair has its own photograph, changed in 40×40 pixels, so that the network runs for each, up to
conv2_1 to save time.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import machine, table
from photographs import SOURCES
from PIL import Image

COUNTS = (10, 100, 1000, 10000)
ROUNDS = {10: 5, 100: 5, 1000: 3}
"""How often each is measured, for the median of seconds and of memory; once if not said."""


def write(folder: Path, count: int) -> None:
    """Write that many pairs to the folder's `references` and `candidates`."""
    rng = np.random.default_rng(0)
    for role in ("references", "candidates"):
        (folder / role).mkdir()
    for number in range(count):
        with Image.open(SOURCES[number % len(SOURCES)]) as image:
            pixels = np.roll(np.asarray(image), rng.integers(0, 256, 2), axis=(0, 1))
        Image.fromarray(pixels).save(folder / f"references/{number:05}.png", compress_level=1)
        pixels[100:140, 100:140] //= 2
        Image.fromarray(pixels).save(folder / f"candidates/{number:05}.png", compress_level=1)


def measured(folder: Path) -> tuple[float, float]:
    """Seconds and peak mebibytes of one run of the command."""
    command = [sys.executable, "-m", "percept_cli", "compare", "references", "candidates"]
    command += ["--layers=conv1_1,conv2_1", "--quiet", "--output", "results.csv"]
    start = time.perf_counter()
    process = os.fork()
    if not process:
        os.chdir(folder)
        os.execv(sys.executable, command)
    _, status, usage = os.wait4(process, 0)
    if status:
        raise SystemExit(f"percept failed with status {status}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def main() -> None:
    rows, figures = [], []
    for count in COUNTS:
        with tempfile.TemporaryDirectory() as name:
            write(Path(name), count)
            runs = [measured(Path(name)) for _ in range(ROUNDS.get(count, 1))]
        seconds, memory = (statistics.median(values) for values in zip(*runs, strict=True))
        figures.append((count, seconds, memory))
    start_up = figures[0][1]
    for count, seconds, memory in figures[1:]:
        each = (seconds - start_up) / (count - COUNTS[0])
        rows.append((count, seconds, each, memory))
    base_each, base_memory = rows[0][2], rows[0][3]
    lines = [("10", f"{start_up:.1f}", "", "", f"{figures[0][2]:.0f}", "")]
    lines += [
        (
            str(count),
            f"{seconds:.1f}",
            f"{1000 * each:.1f}",
            f"{each / base_each:.2f}",
            f"{memory:.0f}",
            f"{memory / base_memory:.2f}",
        )
        for count, seconds, each, memory in rows
    ]
    print(f"Pairs of 256×256, whole process, {machine()}\n")
    header = ("pairs", "seconds", "ms per pair beyond the first 10", "ratio", "MiB", "ratio")
    print(table(header, lines))


if __name__ == "__main__":
    main()

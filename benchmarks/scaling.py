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
ROUNDS = 3

REPEATS = {10: 5, 100: 5}
"""How often a count is measured in each round, if more than once: start-up is most of it."""


def write(folder: Path, count: int) -> None:
    """Write that many pairs to `references` and `candidates` of a new folder."""
    rng = np.random.default_rng(0)
    for role in ("references", "candidates"):
        (folder / role).mkdir(parents=True)
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
    runs: dict[int, list[tuple[float, float]]] = {count: [] for count in COUNTS}
    with tempfile.TemporaryDirectory() as name:
        for count in COUNTS:
            write(Path(name, str(count)), count)
        measured(Path(name, "10"))
        for number in range(ROUNDS):
            for count in COUNTS[:: -1 if number % 2 else 1]:
                for _ in range(REPEATS.get(count, 1)):
                    runs[count].append(measured(Path(name, str(count))))
    seconds, memory = (
        {count: statistics.median(run[which] for run in runs[count]) for count in COUNTS}
        for which in (0, 1)
    )
    first, base = COUNTS[:2]
    each = {count: (seconds[count] - seconds[first]) / (count - first) for count in COUNTS[1:]}
    rows = [(f"{first}", f"{seconds[first]:.1f}", "", "", f"{memory[first]:.0f}", "")]
    rows += [
        (
            f"{count}",
            f"{seconds[count]:.1f}",
            f"{1000 * each[count]:.1f}",
            f"{each[count] / each[base]:.2f}",
            f"{memory[count]:.0f}",
            f"{memory[count] / memory[base]:.2f}",
        )
        for count in COUNTS[1:]
    ]
    print(f"Pairs of 256×256, whole process, {machine()}\n")
    header = ("pairs", "seconds", f"ms per pair beyond the first {first}", "ratio", "MiB", "ratio")
    print(table(header, rows))


if __name__ == "__main__":
    main()

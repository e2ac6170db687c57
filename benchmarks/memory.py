"""Peak memory of a process that compares one large pair, changed everywhere, already decoded."""

from __future__ import annotations

import resource
import subprocess
import sys
import time

import numpy as np
from measuring import machine, table

SIZES = ((1920, 1080), (3446, 10728), (12000, 12500))


def peak(width: int, height: int) -> None:
    """Compare one pair; print seconds, and mebibytes of the process without the two images."""
    from percept_cli.scoring.meter import Meter
    from percept_cli.scoring.options import Options

    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 256, (height // 8 + 1, width // 8 + 1, 3), np.uint8)
    reference = blocks.repeat(8, 0).repeat(8, 1)[:height, :width]
    candidate = reference.copy()
    candidate[::4] = 255 - candidate[::4]
    start = time.perf_counter()
    Meter(Options()).measure([(reference, candidate)])
    seconds = time.perf_counter() - start
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(f"{seconds:.1f}", f"{(used - reference.nbytes - candidate.nbytes) / 2**20:.0f}")


def main() -> None:
    rows = []
    for width, height in SIZES:
        command = [sys.executable, __file__, str(width), str(height)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        rows.append((f"{width}×{height}", *done.stdout.split()))
    print(f"One pair changed everywhere, whole process, {machine()}\n")
    print(table(("size", "seconds", "MiB besides the two images"), rows))


if __name__ == "__main__":
    if len(sys.argv) == 3:
        peak(int(sys.argv[1]), int(sys.argv[2]))
    else:
        main()

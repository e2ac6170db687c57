"""What many pairs cost: measured for one, computed for a million and a billion.

Writes its tables to docs/large-runs.md.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import ROOT, machine, table
from PIL import Image

from percept_cli.network.layers import DEFAULT_LAYERS, LAYERS
from percept_cli.network.workers import available

PAGE = ROOT / "docs/large-runs.md"
BEGIN, END = "<!-- cost: benchmarks/cost.py -->", "<!-- end -->"
SIDE, PAIRS, MANY = 512, 24, 2000
PRICE_OF_A_CORE, PRICE_OF_A_GPU = 0.04, 3.0
"""Assumed, in dollars an hour: what clouds ask for a core and for a large GPU, roughly."""
GPU_RATE = 20e12
"""Assumed: floating-point operations a second that a large GPU does of these in float32."""
DAY = 86_400


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        differing, equal, cached, record, kept = measured(folder)
    each = LAYERS[DEFAULT_LAYERS[-1]].multiplications * (SIDE / 224) ** 2
    operations = 2 * 2 * each  # Of two images, a multiplication and an addition.
    one = [
        ("a pair of 512×512 that differs everywhere", f"{differing:.2f} core-seconds"),
        ("the same for a megapixel", f"{differing / SIDE**2 * 1e6:.2f} core-seconds"),
        ("the same, found in the cache", f"{1000 * cached:.2f} core-milliseconds"),
        ("a pair of equal files", f"{1000 * equal:.2f} core-milliseconds"),
        ("its record in CSV", f"{record:.0f} bytes"),
        ("its score in the cache", f"{kept:.0f} bytes"),
    ]
    text = f"Measured, {machine()}, preset `photo`:\n\n{table(('one', 'takes'), one)}\n\n"
    rows = []
    for pairs in (10**6, 10**9):
        core_hours = pairs * differing / 3600
        gpu_hours = pairs * operations / GPU_RATE / 3600
        rows.append(
            (
                f"10{'⁶' if pairs == 10**6 else '⁹'}",
                f"{core_hours:,.0f}",
                f"{pairs * differing / DAY / 64:,.1f}",
                f"${core_hours * PRICE_OF_A_CORE:,.0f}",
                f"{gpu_hours:,.0f}",
                f"${gpu_hours * PRICE_OF_A_GPU:,.0f}",
                f"{pairs * record / 1e9:,.1f} GB",
                f"{pairs * equal / 3600:,.1f}",
            )
        )
    header = (
        *("pairs", "core hours", "machines of 64 cores for a day", "at $0.04 a core hour"),
        *("GPU hours", "at $3 a GPU hour", "records", "core hours if all are equal"),
    )
    text += (
        "Computed from that, for pairs of 512×512 that differ everywhere; cores are taken to add "
        "up, as pairs share nothing. No GPU was measured: its hours are "
        f"{operations / 1e9:.0f} GFLOP a pair at an assumed {GPU_RATE / 1e12:.0f} "
        "TFLOP/s, and decoding may bound it before that. "
        "Prices are assumed, and right to the order of magnitude.\n\n"
        f"{table(header, rows)}"
    )
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    print(text)


def measured(folder: Path) -> tuple[float, float, float, float, float]:
    """Core-seconds a pair that differs, that is equal, and that is cached; bytes of its record and
    of its score."""
    rng = np.random.default_rng(0)
    for name in ("references", "candidates", "before", "after"):
        (folder / name).mkdir()
    for number in range(PAIRS):
        pixels = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        Image.fromarray(pixels).save(folder / f"references/{number}.png", compress_level=1)
        changed = np.clip(pixels.astype(int) + rng.integers(-9, 10, pixels.shape), 0, 255)
        picture = Image.fromarray(changed.astype(np.uint8))
        picture.save(folder / f"candidates/{number}.png", compress_level=1)
    for number in range(MANY):
        for role, many in (("references", "before"), ("candidates", "after")):
            os.link(folder / f"{role}/{number % PAIRS}.png", folder / f"{many}/{number}.png")
    start, _ = seconds(folder, "references/0.png", "references/0.png", "--no-cache")
    few, _ = seconds(folder, "references/0.png", "candidates/0.png", "--no-cache")
    all_of_them, _ = seconds(folder, "references", "candidates", "--cache=kept")
    kept = (folder / "kept/scores.sqlite").stat().st_size / PAIRS
    again, size = seconds(folder, "before", "after", "--cache=kept")
    equal, _ = seconds(folder, "before", "before", "--no-cache")
    cores = min(available(), 2)
    return (
        (all_of_them - few) / (PAIRS - 1) * cores,
        (equal - start) / MANY,
        (again - start) / MANY,
        size / MANY,
        kept,
    )


def seconds(folder: Path, *arguments: str) -> tuple[float, int]:
    """What the command takes, the least of three runs but for caches; and its records' bytes."""
    command = [sys.executable, "-m", "percept_cli", "compare", *arguments]
    command += ["--quiet", "--output=results.csv"]
    environment = {n: v for n, v in os.environ.items() if n != "PERCEPT_NO_CACHE"}
    taken = []
    for _ in range(1 if "--cache=kept" in arguments else 3):
        start = time.perf_counter()
        subprocess.run(command, cwd=folder, env=environment, check=True)
        taken.append(time.perf_counter() - start)
    return min(taken), (folder / "results.csv").stat().st_size


if __name__ == "__main__":
    main()

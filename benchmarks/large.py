"""Runs of many pairs: flat time and memory, the cache, kills, and two processes that share it.

    python benchmarks/large.py [COUNT [ODIFF]]

COUNT pairs (100,000) of small generated images, of which each fifth differs, without a cache,
with an empty one, and with what that kept; then 500 pairs, killed until 30 hit; then two processes
of 1,000 pairs with one cache; then 5,000 pairs on Ray. ODIFF is the program of the npm package
odiff-bin, whose server mode answers for a tenth of the folder, unchanged.
"""

from __future__ import annotations

import csv
import filecmp
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np
from folders import odiff_server
from measuring import machine, medians, table
from PIL import Image

COUNT = 100_000
DIFFERING = 5
"""Each so-manieth pair differs."""
SIDE = 64
IN_A_FOLDER = 1000
KILLS, KILLED_PAIRS = 30, 500
SHARED_PAIRS = 1000
RAY_PAIRS = 5000

CACHED = {name: value for name, value in os.environ.items() if name != "PERCEPT_NO_CACHE"}


def write(folder: Path, count: int, first: int = 0) -> None:
    """Write that many pairs to `references` and `candidates`."""
    rng = np.random.default_rng(first)
    for number in range(first, first + count):
        inside = f"{number // IN_A_FOLDER:04}"
        pixels = rng.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
        for role in ("references", "candidates"):
            path = folder / role / inside
            path.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path / f"{number:06}.png", compress_level=1)
            if number % DIFFERING == 0:
                pixels = pixels.copy()
                pixels[: SIDE // 4, : SIDE // 4] ^= 64


def run(folder: Path, *arguments: str, output: str = "results.csv") -> tuple[float, float]:
    """Seconds and peak mebibytes of one run of the command."""
    command = [sys.executable, "-m", "percept_cli", "compare", "references", "candidates"]
    command += ["--quiet", "--output", output, *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, cwd=folder, env=CACHED)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"percept failed with {process.returncode}")
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def many(folder: Path, count: int, odiff: str | None) -> list[tuple[str, ...]]:
    """Time and memory of a tenth and of all, with and without what a cache kept."""
    rows = []
    write(folder / "tenth", count // 10)
    write(folder / "all", count)
    for name, size in (("tenth", count // 10), ("all", count)):
        first = run(folder / name, "--cache=kept")
        second = run(folder / name, "--cache=kept", output="again.csv")
        written = (folder / name / file for file in ("results.csv", "again.csv"))
        same = filecmp.cmp(*written, shallow=False)
        for what, (seconds, memory) in (("empty", first), ("full", second)):
            rows.append(
                (
                    f"{size} pairs, cache {what}",
                    f"{seconds:.1f} s",
                    f"{1000 * seconds / size:.3f} ms",
                    f"{memory:.0f} MiB",
                    "" if what == "empty" else f"{first[0] / seconds:.1f} times",
                    "" if what == "empty" else "equal" if same else "NOT EQUAL",
                )
            )
    return rows + unchanged(folder / "tenth/references", count // 10, odiff)


def unchanged(images: Path, size: int, odiff: str | None) -> list[tuple[str, ...]]:
    """Time of so many equal pairs, three times in alternation with odiff."""
    folder = images.parent.parent / "unchanged"
    folder.mkdir()
    for role in ("references", "candidates"):
        (folder / role).symlink_to(images.resolve())
    pairs = [
        tuple(f"{role}/{path.relative_to(images)}" for role in ("references", "candidates"))
        for path in sorted(images.rglob("*.png"))
    ]
    memory = 0.0

    def ours() -> None:
        nonlocal memory
        memory = run(folder, "--cache=kept")[1]

    runs: dict[str, Callable[[], object]] = {"": ours}
    runs |= {", odiff": partial(odiff_server, folder, odiff, pairs)} if odiff else {}
    seconds = medians(runs, 3)
    return [
        (
            f"{size} pairs, all equal{name}",
            f"{found:.1f} s",
            f"{1000 * found / size:.3f} ms",
            "" if name else f"{memory:.0f} MiB",
            "",
            "",
        )
        for name, found in seconds.items()
    ]


def kills(folder: Path) -> str:
    """Kill a run at random moments, continue it, and compare what it wrote in the end."""
    write(folder, KILLED_PAIRS)
    seconds, _ = run(folder, "--no-cache", output="whole.json")
    whole, chance = (folder / "whole.json").read_bytes(), random.Random(0)
    hit = equal = tried = 0
    command = [sys.executable, "-m", "percept_cli", "compare", "references", "candidates"]
    command += ["--quiet", "--output=results.json", "--cache=kept"]
    while hit < KILLS:
        tried += 1
        shutil.rmtree(folder / "kept", ignore_errors=True)
        (folder / "results.json").unlink(missing_ok=True)
        process = subprocess.Popen(command, cwd=folder, env=CACHED)
        time.sleep(chance.uniform(0.3, seconds))
        process.send_signal(signal.SIGKILL)
        hit += process.wait() == -signal.SIGKILL
        subprocess.run(command, cwd=folder, env=CACHED, check=True)
        equal += (folder / "results.json").read_bytes() == whole
    return (
        f"{tried} kills of {KILLED_PAIRS} pairs, {hit} before the end, each continued: {equal} "
        "ended with the bytes of a run that nobody disturbed"
    )


def shared(folder: Path) -> str:
    """Two processes at once, with one cache and other pairs in part."""
    for name, first in (("one", 0), ("two", SHARED_PAIRS // 2)):
        write(folder / name, SHARED_PAIRS, first)
        run(folder / name, "--no-cache", output="whole.json")
    command = [sys.executable, "-m", "percept_cli", "compare", "references", "candidates"]
    command += ["--output=results.json", f"--cache={folder / 'kept'}"]
    names = ("one", "two")
    processes = [
        subprocess.Popen(command, cwd=folder / name, env=CACHED, stderr=subprocess.PIPE, text=True)
        for name in names
    ]
    said = [process.communicate()[1] for process in processes]
    wrong = sum(
        (folder / name / "results.json").read_bytes() != (folder / name / "whole.json").read_bytes()
        for name in names
    )
    warned = sum("cache" in text for text in said)
    codes = [process.returncode for process in processes]
    return (
        f"two processes of {SHARED_PAIRS} pairs with one cache: exit codes {codes}, "
        f"{wrong} with a wrong score, {warned} with a warning"
    )


def on_ray(folder: Path) -> list[str]:
    """A local run's records against those of Ray's workers, of which one is killed at last."""
    write(folder, RAY_PAIRS)
    seconds, _ = run(folder, "--no-cache", output="local.csv")
    with (folder / "local.csv").open(newline="") as stream:
        local = _numbers(csv.DictReader(stream))
    told = [f"{RAY_PAIRS} pairs here: {seconds:.0f} s"]
    for workers, kill in ((1, False), (2, False), (2, True)):
        output = f"on-ray-{workers}-{kill}"
        command = [sys.executable, "-m", "percept_cli", "compare", "references", "candidates"]
        command += ["--quiet", "--no-cache", "--engine=ray", f"--workers={workers}"]
        command += ["--format=csv", f"--output={output}"]
        start, killed = time.perf_counter(), False
        process = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        while process.poll() is None:
            if kill and not killed and list((folder / output).glob("*.csv")):
                found = _workers()
                if found:
                    os.kill(found[0], signal.SIGKILL)
                    killed = True
            time.sleep(0.2)
        rows: list[dict[str, object]] = []
        for file in sorted((folder / output).glob("*.csv")):
            with file.open(newline="") as stream:
                rows += _numbers(csv.DictReader(stream))
        same = "equal" if rows == local else "OTHER"
        what = f"{workers} worker{'s' * (workers > 1)}{', one killed' * killed}"
        told.append(f"Ray, {what}: {time.perf_counter() - start:.0f} s, records {same}")
    return told


def _workers() -> list[int]:
    """Processes of Ray that score now."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    lines = [line for line in listed.splitlines() if "ray::" in line and "Worker" in line]
    return [int(line.split()[0]) for line in lines]


def _numbers(rows: Iterable[dict[str, str]]) -> list[dict[str, object]]:
    """The same rows with numbers as numbers: writers differ in how they spell them."""

    def value(text: str) -> object:
        try:
            return float(text)
        except ValueError:
            return text

    return [{name: value(text) for name, text in row.items()} for row in rows]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    odiff = sys.argv[2] if len(sys.argv) > 2 else shutil.which("odiff")
    with tempfile.TemporaryDirectory() as name:
        rows = many(Path(name), count, odiff)
    print(machine(), flush=True)  # It imports torch, whose memory children seem to take.
    header = ("run", "time", "per pair", "peak memory", "faster", "output")
    print(f"\n{table(header, rows)}\n", flush=True)
    with tempfile.TemporaryDirectory() as name:
        print(kills(Path(name)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print(shared(Path(name)), flush=True)
    with tempfile.TemporaryDirectory() as name:
        print("\n".join(on_ray(Path(name))), flush=True)


if __name__ == "__main__":
    main()

"""How percept uses cores: on a busy machine, by several processes, and on more cores than are here.

Times are of scoring pairs from files, in this process, besides starting it. A busy process is one
that does nothing but count.
"""

from __future__ import annotations

import heapq
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
from anyvision import lpips_of
from measuring import machine, medians, table
from photographs import SOURCES
from PIL import Image
from throughput import run_lpips

from percept_cli.inputs.pairs import Pair, pairs_of
from percept_cli.network import convolution, differences
from percept_cli.network.workers import available
from percept_cli.scoring import cells
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

ROUNDS = 2
WORK = ((12, 256, 256), (4, 512, 512), (1, 1920, 1080))
MORE = (4, 8, 16, 64)
QUARTER = 10
"""Pairs of each of four processes."""
SNAPSHOTS = 40

BUSY = "while True: pass"
SCORE = """
import sys
from pathlib import Path
from percept_cli.inputs.pairs import pairs_of
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
pairs = pairs_of(*map(Path, sys.argv[1:3]))[0]
scorer = Scorer(Options())
list(scorer.score(pairs[:1]))
print(flush=True)
sys.stdin.readline()
list(scorer.score(pairs))
"""
# A process begins with the peak of the one that it is forked from: so that one is small.
PEAK = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
TESTS = """
import sys, numpy as np, pytest
@pytest.mark.parametrize("n", range({count}))
def test_picture(percept_snapshot, n):
    picture = np.random.default_rng(n).integers(0, 256, (256, 256, 3), np.uint8)
    percept_snapshot(picture // {darker}, peak_threshold=9)
"""


def write(folder: Path, count: int, width: int, height: int) -> list[Pair]:
    """Pairs of distinct photographs with noise."""
    rng = np.random.default_rng(0)
    for role in ("a", "b"):
        (folder / role).mkdir(parents=True)
    for number in range(count):
        with Image.open(SOURCES[number % len(SOURCES)]) as image:
            pixels = np.asarray(image.convert("RGB").resize((width, height)))
        noisy = np.clip(pixels + rng.integers(-9, 10, pixels.shape), 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"a/{number}.png")
        Image.fromarray(noisy).save(folder / f"b/{number}.png")
    return list(pairs_of(folder / "a", folder / "b")[0])


@contextmanager
def busy() -> Iterator[None]:
    """Another process that needs a core."""
    process = subprocess.Popen([sys.executable, "-c", BUSY])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def beside_others(folder: Path) -> Iterator[tuple[str, ...]]:
    """Seconds, quiet and beside a busy process, of percept and of lpips."""
    models = {f"lpips ({net})": lpips_of(net) for net in ("vgg", "alex")}
    scorers = {f"percept, workers {n}": Scorer(Options(), workers=n) for n in (2, 1)}
    for count, width, height in WORK:
        pairs = write(folder / f"{width}", count, width, height)
        runs: dict[str, Callable[[], object]] = {
            name: partial(_score, scorer, pairs) for name, scorer in scorers.items()
        }
        for name, model in models.items():
            runs[name] = partial(run_lpips, model, pairs)
        quiet = medians(runs, ROUNDS)
        with busy():
            pressed = medians(runs, ROUNDS)
        first = next(iter(runs))
        for name in runs:
            yield (
                f"{count} of {width}×{height}",
                name,
                f"{quiet[name]:.2f}",
                f"{pressed[name]:.2f}",
                f"{pressed[name] / quiet[name]:.2f}",
                f"{quiet[name] / quiet[first]:.2f}",
                f"{pressed[name] / pressed[first]:.2f}",
            )


def _score(scorer: Scorer, pairs: Sequence[Pair]) -> None:
    for _ in scorer.score(pairs):
        pass


def at_once(folder: Path) -> tuple[str, ...]:
    """One process on all pairs, and four at once on a quarter each."""
    quarters = [folder / str(number) for number in range(4)]
    for quarter in (*quarters, folder / "all"):
        write(quarter, QUARTER * (4 if quarter.name == "all" else 1), 256, 256)
    seconds = {
        len(parts): statistics.median(_together(parts) for _ in range(ROUNDS))
        for parts in ([folder / "all"], quarters)
    }
    one, four = seconds[1], seconds[4]
    return f"{one:.2f}", f"{four:.2f}", f"{four / one:.2f}"


def _together(folders: Sequence[Path]) -> float:
    """Seconds from when all are ready until all are done."""
    pipe = subprocess.PIPE
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", SCORE, folder / "a", folder / "b"], stdin=pipe, stdout=pipe
        )
        for folder in folders
    ]
    for process in processes:
        assert process.stdout
        process.stdout.readline()
    start = time.perf_counter()
    for process in processes:
        assert process.stdin
        process.stdin.write(b"\n")
        process.stdin.flush()
    for process in processes:
        process.wait()
        assert not process.returncode
    return time.perf_counter() - start


def snapshots(folder: Path) -> tuple[str, ...]:
    """pytest-xdist with one worker and with two, each snapshot changed."""
    test = folder / "test_snapshots.py"
    found = []
    for darker, options in ((1, ["--percept-update"]), (2, ["-n1"]), (2, ["-n2"])):
        test.write_text(TESTS.format(count=SNAPSHOTS, darker=darker))
        start = time.perf_counter()
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
        subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
        found.append(time.perf_counter() - start)
    return f"{found[1]:.2f}", f"{found[2]:.2f}", f"{found[2] / found[1]:.2f}"


def memory(folder: Path) -> Iterator[tuple[str, ...]]:
    """Peak memory of the whole process for pairs that are changed everywhere."""
    write(folder, 6, 1280, 720)
    for workers in (1, 2, 4):
        command = [sys.executable, "-m", "percept_cli", "compare", folder / "a", folder / "b"]
        command += ["--quiet", f"--workers={workers}", "--output", folder / "results.csv"]
        peak = subprocess.check_output([sys.executable, "-c", PEAK, *command], text=True)
        yield str(workers), f"{int(peak) / 1024:.0f}"


class Recorder:
    """Takes the place of `share`, and keeps how long each part takes by itself."""

    def __init__(self) -> None:
        self.shared: list[list[float]] = []
        self._inside = False

    def share(self, parts: Sequence[Callable[[], object]]) -> None:
        outer, self._inside = not self._inside, True
        if outer:
            self.shared.append([])
        kept = self.shared[-1]
        for part in parts:
            before, start = sum(kept), time.perf_counter()
            part()
            kept.append(time.perf_counter() - start - (sum(kept) - before))
        self._inside = not outer


def on_more(folder: Path) -> Iterator[tuple[str, ...]]:
    """What one pair would take on more cores, from its parts' times on one."""
    modules = (convolution, differences, cells)
    originals = [module.share for module in modules]
    scorer = Scorer(Options(), workers=1)
    for _, width, height in WORK:
        pairs = write(folder / f"more-{width}", 1, width, height)
        _score(scorer, pairs)
        recorder = Recorder()
        for module in modules:
            module.share = recorder.share  # type: ignore[attr-defined]
        start = time.perf_counter()
        _score(scorer, pairs)
        whole = time.perf_counter() - start
        for module, original in zip(modules, originals, strict=True):
            module.share = original  # type: ignore[attr-defined]
        shared = sum(map(sum, recorder.shared))
        largest = max(map(max, recorder.shared))
        for workers in MORE:
            took = whole - shared + sum(_makespan(parts, workers) for parts in recorder.shared)
            yield (
                f"{width}×{height}",
                f"{shared / whole:.0%}",
                f"{1000 * largest:.0f}",
                str(workers),
                f"{whole / took:.1f}",
            )


def _makespan(parts: Sequence[float], workers: int) -> float:
    """How long parts take whose next goes to whoever is free."""
    ends = [0.0] * min(workers, len(parts))
    for part in parts:
        heapq.heapreplace(ends, ends[0] + part)
    return max(ends)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"Median of {ROUNDS}, measured: {machine()}, {available()} workers\n")
        header = ("pairs", "what", "quiet, s", "beside one busy process, s", "ratio")
        header += ("times percept's, quiet", "busy")
        print(table(header, list(beside_others(folder / "beside"))))
        header = (f"{4 * QUARTER} pairs of 256×256, one process", "four, a quarter each", "ratio")
        print(f"\n{table(header, [at_once(folder / 'once')])}")
        (folder / "snapshots").mkdir()
        header = (f"{SNAPSHOTS} changed snapshots, pytest -n 1", "pytest -n 2", "ratio")
        print(f"\n{table(header, [snapshots(folder / 'snapshots')])}\n")
        header = ("workers, 6 pairs of 1280×720", "peak memory of the process, MiB")
        print(f"{table(header, list(memory(folder / 'memory')))}\n")
        print("Computed from the parts of one pair on one core; nothing of it was measured:\n")
        header = ("pair", "in parallel parts", "the largest, ms", "workers", "times one worker")
        print(table(header, list(on_more(folder))))


if __name__ == "__main__":
    os.environ.pop("OMP_NUM_THREADS", None)
    main()

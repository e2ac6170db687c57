"""Faults at random moments: kills, files that cannot grow, full disks, many processes at once.

    python benchmarks/faults.py [KILLS]

Disks that are full need root, to mount them.

Each run is looked at twice: right after the fault no file may be torn, none lost and no exit code
wrong; after the next run, which nothing disturbs, nothing may be left behind. Writes its table to
docs/reliability.md.
"""

from __future__ import annotations

import csv
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from measuring import ROOT, machine, medians, table
from PIL import Image

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- faults: benchmarks/faults.py -->", "<!-- end -->"

PERCEPT = Path(sys.executable).parent / "percept"
PAIRS = 6
KILLS = 500
FULL = 60
"""Runs in which no file may grow beyond a random size."""
TOGETHER = 32
"""Processes that write to one folder at once."""

SIGNALS = {signal.SIGKILL: (-9,), signal.SIGTERM: (143, -15), signal.SIGINT: (130, -2)}
"""Signals, and the exit codes they may end in; the second before percept's first line."""
PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
"""What a file's size is rounded to on the disks that are full."""

FAST = ("--layers=conv1_1", "--distance=l2")
PROBLEMS = ("torn or lost", "left behind", "wrong exit code", "traceback")


def document(path: Path) -> bool:
    """Whether a JSON document is all there."""
    return "summary" in json.loads(path.read_text())


def lines(path: Path) -> bool:
    """Whether JSON Lines end with their summary."""
    return "summary" in json.loads(path.read_text().splitlines()[-1])


def rows(path: Path) -> bool:
    """Whether CSV has a row per pair."""
    with path.open(newline="") as stream:
        return len(list(csv.DictReader(stream))) == PAIRS


def suite(path: Path) -> bool:
    """Whether JUnit XML is all there."""
    return ElementTree.parse(path).getroot().tag == "testsuites"


def page(path: Path) -> bool:
    """Whether a report's page is all there, and every picture that it names.

    That of an interrupted run says so, and may name none.
    """
    text = (path / "index.html").read_text()
    named = set(re.findall(r"pictures/[\w.-]+", text))
    whole = text.rstrip().endswith("</html>")
    return whole and (pictures([path / name for name in named]) or "(interrupted)" in text)


def maps(path: Path) -> bool:
    """Whether there is a heat map of each pair, all there."""
    return pictures([path / name for name in names()])


def pictures(paths: Sequence[Path]) -> bool:
    """Whether there are some, and all decode."""
    for path in paths:
        with Image.open(path) as image:
            image.load()
    return bool(paths)


def baselines(path: Path) -> bool:
    """Whether every baseline is the old one or the new one."""
    kept = [path.parent / "kept", path.parent / "c"]
    return all(
        (path / name).read_bytes() in [(one / name).read_bytes() for one in kept]
        for name in names()
    )


def names() -> Iterable[str]:
    return [f"{number}.png" for number in range(PAIRS)]


OUT = {
    "out.json": document,
    "out.jsonl": lines,
    "out.csv": rows,
    "out.xml": suite,
    "report": page,
    "maps": maps,
    "b": baselines,
}


def intact(folder: Path) -> bool:
    """Whether all that was there before is there and whole: the old or the new."""
    try:
        return all(whole(folder / name) for name, whole in OUT.items())
    except (ValueError, OSError, IndexError, ElementTree.ParseError):
        return False


COMMANDS = {
    "compare, CSV": ("compare", "b", "c", *FAST, "--output=out.csv"),
    "compare, JSON Lines, heat maps": (
        "compare", "b", "c", *FAST, "--output=out.jsonl", "--heatmap=maps",
    ),
    "compare, JSON, report": ("compare", "b", "c", *FAST, "--output=out.json", "--report=report"),
    "check, JSON, JUnit, report": (
        "check", "b", "c", "--json=out.json", "--junit=out.xml", "--report=report",
    ),
    "approve": ("approve", "b", "c", "--all"),
    "merge": ("merge", "shard1.json", "shard2.json", "--json=out.json", "--report=report"),
    "report": ("report", "saved.json", "--output=report"),
}  # fmt: skip


def started(
    arguments: Sequence[str], folder: Path, limit: int | None = None
) -> subprocess.Popen[str]:
    """The command, running in that folder; `limit` is the most bytes of a file it may write."""

    def before() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # A shell's background ignores it.
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    return subprocess.Popen(
        [PERCEPT, *arguments],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=before,
    )


def prepared(root: Path) -> Path:
    """A folder to copy: pairs that differ, saved results, and outputs of an earlier run."""
    folder = root / "template"
    rng = np.random.default_rng(0)
    for side in ("b", "c"):
        (folder / side).mkdir(parents=True)
        for name in names():
            pixels = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / side / name)
    shutil.copytree(folder / "b", folder / "kept")
    before = [
        *COMMANDS.values(),
        ("check", "b", "c", "--json=saved.json"),
        *(("check", "b", "c", f"--shard={n}/2", f"--json=shard{n}.json") for n in (1, 2)),
    ]
    order = sorted(
        before, key=lambda arguments: (arguments[0] in ("merge", "report", "approve"), 0)
    )
    for arguments in order:
        if arguments[0] != "approve":
            done = started(arguments, folder)
            said = done.communicate()[1]
            assert done.returncode in (0, 1), said
    return folder


def left_behind(folder: Path) -> bool:
    """Whether there is a file that no run should leave."""
    found = [path.name for path in folder.rglob("*")]
    return any(name.endswith((".percept-unfinished", ".part")) for name in found)


def trial(
    template: Path,
    arguments: Sequence[str],
    fault: Callable[[Path], tuple[int, str, Sequence[int]]],
    disk: int | None = None,
) -> Counter[str]:
    """What became of one run, on a disk that has so many bytes left until it is over.

    The fault gives its exit code, what it said, and which codes are right.
    """
    found: Counter[str] = Counter(runs=1)
    with tempfile.TemporaryDirectory() as root, mounted(Path(root), disk) as resize:
        folder = Path(root) / "run"
        shutil.copytree(template, folder)
        if disk is not None:
            sizes = (path.lstat().st_size for path in folder.rglob("*"))
            resize(disk + sum(-(-size // PAGE_SIZE) * PAGE_SIZE for size in sizes))
        code, said, right = fault(folder)
        resize(1 << 30)
        found["wrong exit code"] += code not in right
        found["traceback"] += "Traceback" in said
        found["torn or lost"] += not intact(folder)
        again = started(arguments, folder)
        said_again = again.communicate()[1]
        found["traceback"] += "Traceback" in said_again
        found["wrong exit code"] += again.returncode not in (0, 1)
        found["torn or lost"] += not intact(folder)
        found["left behind"] += left_behind(folder)
    if any(found[problem] for problem in PROBLEMS):
        print(arguments, code, said, again.returncode, said_again, file=sys.stderr)
    return found


@contextmanager
def mounted(folder: Path, disk: int | None) -> Iterator[Callable[[int], None]]:
    """A disk of its own in that folder, if one is asked for, and what changes its size."""
    if disk is None:
        yield lambda _: None
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "percept", folder], check=True)
    try:
        yield (
            lambda size: (
                subprocess.run(["mount", "-o", f"remount,size={size}", folder], check=True) and None
            )
        )
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def killed(
    arguments: Sequence[str], after: float, number: signal.Signals
) -> Callable[[Path], tuple[int, str, Sequence[int]]]:
    def fault(folder: Path) -> tuple[int, str, Sequence[int]]:
        process = started(arguments, folder)
        time.sleep(after)
        process.send_signal(number)
        said = process.communicate()[1]
        # A run that was done before is right as well.
        return process.returncode, said, (*SIGNALS[number], 0, 1)

    return fault


def too_small(
    arguments: Sequence[str], limit: int
) -> Callable[[Path], tuple[int, str, Sequence[int]]]:
    def fault(folder: Path) -> tuple[int, str, Sequence[int]]:
        process = started(arguments, folder, limit)
        said = process.communicate()[1]
        return process.returncode, said, (0, 1, 3)

    return fault


def together(template: Path) -> Counter[str]:
    """Many checks that write one report and one file at once."""
    found: Counter[str] = Counter(runs=TOGETHER)
    with tempfile.TemporaryDirectory() as root:
        folder = Path(root) / "run"
        shutil.copytree(template, folder)
        running = [started(COMMANDS["check, JSON, JUnit, report"], folder) for _ in range(TOGETHER)]
        for process in running:
            said = process.communicate()[1]
            found["wrong exit code"] += process.returncode != 1
            found["traceback"] += "Traceback" in said
        found["torn or lost"] += not intact(folder)
        found["left behind"] += left_behind(folder)
    return found


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    rng = random.Random(0)
    outcomes: dict[str, Counter[str]] = {}
    with tempfile.TemporaryDirectory() as root, ThreadPoolExecutor(2) as pool:
        template = prepared(Path(root))
        seconds = {}
        for name, arguments in COMMANDS.items():
            start = time.perf_counter()
            trial(template, arguments, too_small(arguments, 1 << 40))
            seconds[name] = (time.perf_counter() - start) / 2
        jobs = []
        # What happens before belongs to Python.
        first = medians({"python": partial(subprocess.run, [sys.executable, "-c", ""])}, 5)[
            "python"
        ]
        for number in range(kills):
            name = list(COMMANDS)[number % len(COMMANDS)]
            which = rng.choice(list(SIGNALS))
            fault = killed(COMMANDS[name], rng.uniform(2 * first, 1.2 * seconds[name]), which)
            jobs.append((f"{name}: killed", pool.submit(trial, template, COMMANDS[name], fault)))
        for number in range(FULL):
            name = list(COMMANDS)[number % len(COMMANDS)]
            fault = too_small(COMMANDS[name], rng.randrange(1, 40_000))
            where = "files cannot grow, all commands"
            jobs.append((where, pool.submit(trial, template, COMMANDS[name], fault)))
        for name, job in jobs:
            outcomes.setdefault(name, Counter()).update(job.result())
        if os.geteuid() == 0:
            for number in range(FULL):
                name = list(COMMANDS)[number % len(COMMANDS)]
                fault = too_small(COMMANDS[name], 1 << 40)
                room = rng.randrange(0, 12) * PAGE_SIZE
                where = "a disk that is full, all commands"
                outcomes.setdefault(where, Counter()).update(
                    trial(template, COMMANDS[name], fault, room)
                )
        outcomes[f"{TOGETHER} checks at once into one folder"] = together(template)
    found = [
        (name, *(str(outcome[what]) for what in ("runs", *PROBLEMS)))
        for name, outcome in outcomes.items()
    ]
    text = f"{machine()}\n\n{table(('runs of', 'runs', *PROBLEMS), found)}"
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")
    print(text)


if __name__ == "__main__":
    main()

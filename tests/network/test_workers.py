"""Workers: nothing they find depends on their number, and torch's own settings stay as they are."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SAMPLES, Run, clean_environment

import percept_cli
from percept_cli.errors import PerceptError
from percept_cli.inputs.pairs import Pair
from percept_cli.network.workers import StoppedError, Workers, available, share, workers_of
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
from percept_cli.scoring.scored import Scored

COUNTS = (1, 3)


def pairs() -> list[Pair]:
    folders = (SAMPLES / name for name in ("jpeg-2", "blur-2", "edit-1"))
    return [
        Pair(SAMPLES / "references" / f"{file.stem}.png", file, file.name)
        for folder in folders
        for file in sorted(folder.iterdir())[:1]
    ]


def found(scored: Scored) -> object:
    grid = None if scored.map is None else scored.map.tobytes()
    return scored.result, grid


@pytest.mark.parametrize(
    "options",
    [
        Options(resize="200x240"),
        Options.of("rendering", resize="301x173"),
        Options.of("quality", resize="173x190", distance="gram"),
        Options(resize="160", layers=("conv1_1", "relu3_2", "pool5"), distance="unit"),
    ],
)
def test_no_bit_depends_on_how_many_there_are(options: Options) -> None:
    alone, shared = (
        [found(scored) for _, scored in Scorer(options, workers=count).score(pairs())]
        for count in COUNTS
    )
    assert alone == shared


def test_one_large_pair_is_the_same_shared_or_alone() -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, 700, 500, 3), np.uint8)
    alone, shared = (percept_cli.compare(one, other, workers=count) for count in COUNTS)
    assert alone == shared


def test_several_work_on_one_pair() -> None:
    workers, seen, met = Workers(3), set[int](), threading.Barrier(3)

    def part() -> None:
        met.wait(10)  # Passes only where three are here at once.
        seen.add(threading.get_ident())

    workers.run(lambda: share([part] * 3))
    assert len(seen) == 3 and threading.get_ident() not in seen


def test_pairs_are_taken_before_parts_of_others() -> None:
    workers, order = Workers(1), list[str]()
    hold = threading.Event()
    first = workers.submit(lambda: hold.wait(10), threading.Event())
    rest = [
        workers.submit(partial(order.append, name), threading.Event()) for name in ("b", "c", "d")
    ]
    hold.set()
    for future in (first, *rest):
        future.result(10)
    assert order == ["b", "c", "d"]


def test_an_error_in_a_part_reaches_who_asked() -> None:
    def broken() -> None:
        raise ValueError("this part")

    workers = Workers(2)
    with pytest.raises(ValueError, match="this part"):
        workers.run(lambda: share([broken, lambda: None, broken]))
    assert workers.run(lambda: 7) == 7


def test_what_nobody_waits_for_ends_soon() -> None:
    workers, stop, begun = Workers(1), threading.Event(), threading.Event()

    def endless() -> None:
        begun.set()
        while True:
            share([lambda: None])

    running = workers.submit(endless, stop)
    begun.wait(10)
    waiting = workers.submit(lambda: None, stop)
    assert waiting.cancel()
    stop.set()
    with pytest.raises(StoppedError):
        running.result(10)
    with pytest.raises(CancelledError):
        waiting.result(10)


@pytest.mark.parametrize("fails", [False, True])
def test_torchs_settings_stay_as_they_were(fails: bool) -> None:
    script = f"""
import numpy as np, torch, percept_cli
torch.set_num_threads(3)
grad = torch.is_grad_enabled()
one, other = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
try:
    percept_cli.compare(one, other, workers=2, weights="{"none.pth" if fails else "bundled"}")
except percept_cli.PerceptError:
    assert {fails}
import threading
seen = []
thread = threading.Thread(target=lambda: seen.append(torch.get_num_threads()))
thread.start(); thread.join()
print(torch.get_num_threads(), *seen, torch.is_grad_enabled(), torch.is_inference_mode_enabled())
loss = percept_cli.PerceptualLoss(layers=("conv1_1",))
image = torch.rand(1, 3, 32, 32, requires_grad=True)
loss(image, torch.rand(1, 3, 32, 32)).backward()
assert image.grad is not None
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=clean_environment()
    )
    assert done.stdout.split() == ["3", "3", "True", "False"], done.stderr


def test_torch_has_one_thread_in_each() -> None:
    torch.set_num_threads(before := torch.get_num_threads())
    assert Workers(2).run(torch.get_num_threads) == 1
    assert torch.get_num_threads() == before


def test_it_goes_on_with_as_many_threads_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, [2]

    def scarce(self: threading.Thread) -> None:
        if not left[0]:
            raise RuntimeError("can't start new thread")
        left[0] -= 1
        start(self)

    monkeypatch.setattr(threading.Thread, "start", scarce)
    workers = Workers(5)
    assert workers.count == 2 and workers.run(lambda: 7) == 7
    with pytest.raises(PerceptError, match="no more threads"):
        Workers(5)


def test_a_forked_process_has_its_own() -> None:
    script = """
import os, sys
from percept_cli.network.workers import workers_of
assert workers_of(2).run(lambda: 1) == 1
child = os.fork()
if not child:
    os._exit(workers_of(2).run(lambda: 7))
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    done = subprocess.run([sys.executable, "-c", script], timeout=60, capture_output=True)
    assert done.returncode == 7


def _available(**environment: str) -> int:
    script = "from percept_cli.network.workers import available; print(available())"
    names = ("OMP_NUM_THREADS", "PYTEST_XDIST_WORKER_COUNT", "LOKY_MAX_CPU_COUNT")
    kept = {k: v for k, v in clean_environment().items() if k not in names}
    run = [sys.executable, "-c", script]
    return int(subprocess.check_output(run, env=kept | environment, text=True))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_cores_that_the_process_may_not_use_are_not_counted() -> None:
    before = os.sched_getaffinity(0)
    assert _available() == len(before)
    assert _available(OMP_NUM_THREADS="1") == _available(PYTEST_XDIST_WORKER_COUNT="99") == 1
    assert _available(OMP_NUM_THREADS="0") == 1
    try:
        os.sched_setaffinity(0, {min(before)})
        assert _available() == 1
    finally:
        os.sched_setaffinity(0, before)


def test_the_same_number_shares_its_threads() -> None:
    assert workers_of(2) is workers_of(2) and available() >= 1


def test_the_command_takes_their_number(percept: Run, tmp_path: Path) -> None:
    pair = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-2/coffee.jpg"
    one = percept("compare", *pair, "--workers=1", "--format=csv").stdout
    assert one == percept("compare", *pair, "--workers=5", "--format=csv").stdout
    done = percept("compare", *pair, "--workers=0")
    assert done.returncode == 2 and "--workers 0: give 1 or more" in done.stderr
    (tmp_path / "percept.toml").write_text("workers = 2\n")
    assert percept("check", *pair).returncode == 1
    (tmp_path / "percept.toml").write_text('workers = "all"\n')
    assert "workers = 'all': give a whole number" in percept("check", *pair).stderr


def test_a_number_of_workers_has_its_threads_for_good() -> None:
    one, before = workers_of(2), threading.active_count()
    for _ in range(3):
        for count in range(1, 7):
            workers_of(count)
    assert workers_of(2) is one and threading.active_count() <= before + 1 + 3 + 4 + 5 + 6

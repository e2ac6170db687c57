"""`percept check --watch` in a real process: one change, one more check."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from threading import Timer

import pytest
from conftest import SAMPLES, Run, clean_environment

from percept_cli.cli.watch import Remembered
from percept_cli.inputs.pairs import Pair
from percept_cli.results import Result
from percept_cli.scoring.options import Options
from percept_cli.scoring.scored import Scored

PAGE, EDITED = SAMPLES / "references/dashboard.png", SAMPLES / "edit-2/dashboard.png"


@pytest.fixture
def watching(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    for folder in ("base", "new"):
        (tmp_path / folder).mkdir()
        shutil.copy(PAGE, tmp_path / folder)
        shutil.copy(SAMPLES / "references/article.png", tmp_path / folder)
    process = subprocess.Popen(
        [sys.executable, "-m", "percept_cli", "check", "base", "new", "--watch"],
        cwd=tmp_path,
        env=clean_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        bufsize=1,
        # A shell's background ignores it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    patience = Timer(120, process.kill)
    patience.start()
    yield process
    patience.cancel()
    process.kill()
    process.communicate()


def until(process: subprocess.Popen[str], words: str) -> str:
    """What the process says up to a line with these words."""
    assert process.stdout
    said = ""
    for line in process.stdout:
        said += line
        if words in line:
            return said
    raise AssertionError(f"it ended before {words!r}: {said}")


def test_it_checks_again_when_a_file_changes(
    watching: subprocess.Popen[str], tmp_path: Path
) -> None:
    assert "2 identical" in until(watching, "waiting for changes")
    shutil.copy(EDITED, tmp_path / "new")
    said = until(watching, "waiting for changes")
    assert "FAILED  new/dashboard.png" in said and "1 failed" in said
    assert said.count("FAILED") == 1
    (tmp_path / "new/other.png").write_bytes(PAGE.read_bytes())
    said = until(watching, "waiting for changes")
    assert "NEW  new/other.png" in said and "FAILED  new/dashboard.png" in said
    shutil.rmtree(tmp_path / "new")
    until(watching, "percept: ")
    (tmp_path / "new").mkdir(exist_ok=True)
    watching.send_signal(signal.SIGINT)
    assert watching.wait(timeout=60) == 130


def test_it_costs_nothing_while_nothing_changes(watching: subprocess.Popen[str]) -> None:
    until(watching, "waiting for changes")
    stat = Path(f"/proc/{watching.pid}/stat")
    if not stat.exists():
        pytest.skip("needs /proc")
    before = sum(map(int, stat.read_text().split()[13:15]))
    with pytest.raises(subprocess.TimeoutExpired):
        watching.wait(timeout=3)
    assert sum(map(int, stat.read_text().split()[13:15])) - before <= 5, "hundredths of a second"
    watching.send_signal(signal.SIGTERM)
    assert watching.wait(timeout=60) == 143


def test_an_exchanged_mask_is_a_change_of_all(tmp_path: Path) -> None:
    asked: list[list[Pair]] = []

    def results(pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Scored]]:
        asked.append(list(pairs))
        for pair in asked[-1]:
            yield pair, Scored(Result(None, None, "identical"), Options())

    mask, pairs = tmp_path / "mask.png", [Pair(PAGE, EDITED, "a.png"), Pair(PAGE, PAGE, "b.png")]
    mask.write_bytes(b"one")
    remembered = Remembered(results, [mask])
    for _ in range(2):
        assert len(list(remembered(pairs))) == 2
    mask.write_bytes(b"other")
    assert len(list(remembered(pairs))) == 2
    assert [len(each) for each in asked] == [2, 0, 2]


def test_a_shard_is_not_watched(percept: Run) -> None:
    done = percept("check", "base", "new", "--watch", "--shard", "1/2")
    assert done.returncode == 2 and "leave out --shard" in done.stderr

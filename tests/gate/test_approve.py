from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import SAMPLES, clean_environment

from percept_cli.errors import OutputError, PerceptError
from percept_cli.gate.approve import ABANDONED, Approval, Change, carry_out

REFERENCES, CHANGED = SAMPLES / "references", SAMPLES / "edit-1"


def approve(baseline: Path, candidate: Path, *globs: str, **more: object) -> dict[str, str]:
    """Do it; what was done to each baseline."""
    changes = Approval(baseline, candidate, globs, **more).changes()  # type: ignore[arg-type]
    for change in changes:
        carry_out(change)
    return {str(change.baseline.relative_to(baseline)): change.action for change in changes}


def test_a_first_approval_makes_the_baselines(tmp_path: Path) -> None:
    baseline = tmp_path / "new" / "baselines"
    assert set(approve(baseline, REFERENCES).values()) == {"added"}
    assert set(approve(baseline, REFERENCES).values()) == {"unchanged"}
    assert {p.name: p.read_bytes() for p in baseline.iterdir()} == {
        p.name: p.read_bytes() for p in REFERENCES.iterdir()
    }


def test_only_what_a_glob_matches_is_accepted(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES)
    assert approve(tmp_path, CHANGED, "co*", "dash*.png") == {
        "coffee.png": "updated", "dashboard.png": "updated",
    }  # fmt: skip
    assert (tmp_path / "coffee.png").read_bytes() == (CHANGED / "coffee.png").read_bytes()
    assert (tmp_path / "article.png").read_bytes() == (REFERENCES / "article.png").read_bytes()
    with pytest.raises(PerceptError, match=r"no image matches 'x\*'"):
        approve(tmp_path, CHANGED, "x*")


def test_a_variant_is_added_beside_the_baseline(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES)
    assert approve(tmp_path, CHANGED, "coffee.png", variant="mac") == {"coffee~mac.png": "added"}
    assert (tmp_path / "coffee.png").read_bytes() == (REFERENCES / "coffee.png").read_bytes()
    assert approve(tmp_path, CHANGED, "coffee.png") == {"coffee.png": "unchanged"}


def test_pruning_removes_baselines_without_candidate(tmp_path: Path) -> None:
    baseline, candidate = tmp_path / "b", tmp_path / "c"
    approve(baseline, REFERENCES)
    candidate.mkdir()
    (candidate / "coffee.png").write_bytes((REFERENCES / "coffee.png").read_bytes())
    assert "article.png" not in approve(baseline, candidate)
    assert approve(baseline, candidate, prune=True)["article.png"] == "removed"
    assert [path.name for path in baseline.iterdir()] == ["coffee.png"]


def test_pruning_takes_the_variants_along(tmp_path: Path) -> None:
    baseline, candidate = tmp_path / "b", tmp_path / "c"
    approve(baseline, REFERENCES)
    approve(baseline, CHANGED, "coffee*", variant="mac")
    approve(candidate, REFERENCES, "[!c]*")
    removed = approve(baseline, candidate, prune=True)
    assert [name for name, action in removed.items() if action == "removed"] == [
        "chelsea.png", "coffee.png", "coffee~mac.png",
    ]  # fmt: skip


def test_a_baseline_of_another_suffix_is_replaced(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES, "coffee*")
    actions = approve(tmp_path, SAMPLES / "jpeg-1", "coffee*")
    assert actions == {"coffee.jpg": "added", "coffee.png": "removed"}


def test_what_is_no_sound_image_is_not_accepted(tmp_path: Path) -> None:
    baseline, candidate = tmp_path / "b", tmp_path / "c"
    approve(baseline, REFERENCES)
    candidate.mkdir()
    (candidate / "coffee.png").write_bytes((REFERENCES / "coffee.png").read_bytes()[:5000])
    (candidate / "chelsea.png").write_bytes((CHANGED / "chelsea.png").read_bytes())
    assert approve(baseline, candidate) == {"chelsea.png": "updated", "coffee.png": "error"}
    assert (baseline / "coffee.png").read_bytes() == (REFERENCES / "coffee.png").read_bytes()


def test_nothing_to_approve_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PerceptError, match="no such file or folder"):
        approve(tmp_path, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PerceptError, match="no candidates"):
        approve(REFERENCES, tmp_path / "empty", prune=True)


def test_a_baseline_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    change = Change("added", tmp_path / "taken" / "coffee.png", REFERENCES / "coffee.png")
    with pytest.raises(OutputError, match=r"cannot write .*coffee.png"):
        carry_out(change)


def test_files_a_killed_process_left_are_removed_later(tmp_path: Path) -> None:
    old, young = tmp_path / ".percept-old", tmp_path / ".percept-young"
    for file in (old, young):
        file.write_text("half")
    os.utime(old, (time.time() - 2 * ABANDONED,) * 2)
    approve(tmp_path, REFERENCES, "coffee*")
    assert not old.exists() and young.exists()


def started(baseline: Path, candidate: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "percept_cli", "approve", str(baseline), str(candidate)]
    return subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_process_killed_in_mid_approval_leaves_whole_baselines(tmp_path: Path) -> None:
    """Fifty times, each at another moment of the work, found by the first file that appears."""
    olds, news = ({p.name: p.read_bytes() for p in d.iterdir()} for d in (REFERENCES, CHANGED))
    both = 0
    for attempt in range(50):
        baseline = tmp_path / str(attempt)
        approve(baseline, REFERENCES)
        process = started(baseline, CHANGED)
        while process.poll() is None:
            touched = any(path.name.startswith(".percept-") for path in baseline.iterdir())
            if touched or (baseline / "article.png").read_bytes() != olds["article.png"]:
                time.sleep(attempt * 5e-5)
                process.send_signal(signal.SIGKILL)
                break
        process.communicate()
        found = {name: (baseline / name).read_bytes() for name in olds}
        assert all(content in (olds[name], news[name]) for name, content in found.items())
        both += found not in (olds, news)
    assert both  # Some were killed between their first baseline and their last.


def test_two_processes_approving_at_once_leave_whole_baselines(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES)
    news = [{p.name: p.read_bytes() for p in (SAMPLES / d).iterdir()} for d in ("edit-1", "edit-2")]
    for _ in range(3):
        processes = [started(tmp_path, SAMPLES / folder) for folder in ("edit-1", "edit-2")]
        assert [process.communicate() and process.returncode for process in processes] == [0, 0]
        for path in tmp_path.iterdir():
            assert path.read_bytes() in [new[path.name] for new in news]

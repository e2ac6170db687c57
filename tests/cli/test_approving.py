"""`percept approve` accepts what failed, and leaves what people see no change in."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import SAMPLES, Run
from PIL import Image

NAMES = ("same.png", "encoded.png", "noisy.png", "changed.png", "new.png", "gone.png")


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Baselines, and candidates: equal, with other bytes, hardly different, changed, new, gone."""
    baseline, candidate = tmp_path / "base", tmp_path / "new"
    baseline.mkdir()
    candidate.mkdir()
    image = Image.open(SAMPLES / "references/dashboard.png").convert("RGB").crop((0, 0, 200, 160))
    for name in NAMES[:4] + NAMES[5:]:
        image.save(baseline / name)
    image.save(candidate / "same.png")
    image.save(candidate / "encoded.png", compress_level=1)
    changed = image.copy()
    image.point([max(value - 1, 0) for value in range(256)] * 3).save(candidate / "noisy.png")
    changed.paste((200, 30, 30), (40, 40, 100, 100))
    changed.save(candidate / "changed.png")
    changed.save(candidate / "new.png")
    return baseline, candidate


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_only_what_fails_the_check_is_accepted(percept: Run, folders: tuple[Path, Path]) -> None:
    baseline, candidate = folders
    before, after = contents(baseline), contents(candidate)
    done = percept("approve", "base", "new")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "updated    base/changed.png", "gone       base/gone.png", "added      base/new.png",
    ]  # fmt: skip
    assert "1 added, 1 gone, 2 passed, 1 unchanged, 1 updated" in done.stderr
    assert "--all accepts it too" in done.stderr
    assert "1 baseline(s) have no candidate: --prune removes them" in done.stderr
    accepted = {name: after[name] for name in ("changed.png", "new.png")}
    assert contents(baseline) == before | accepted
    assert percept("approve", "base", "new", "--all").returncode == 0
    assert contents(baseline) == before | after
    assert "nothing" not in percept("approve", "base", "new", "--prune").stdout
    assert contents(baseline) == after


@pytest.mark.usefixtures("folders")
def test_it_judges_by_the_configuration_of_check(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "percept.toml").write_text("peak-threshold = 1000\n")
    assert "updated" not in percept("approve", "base", "new").stdout
    (tmp_path / "percept.toml").write_text("peak-threshold = 0\n")
    done = percept("approve", "base", "new", "--dry-run")
    assert "updated    base/noisy.png" in done.stdout and "encoded" not in done.stdout


def test_a_variant_is_no_copy_of_what_passes(percept: Run, folders: tuple[Path, Path]) -> None:
    baseline, _ = folders
    assert percept("approve", "base", "new", "--variant", "mac").returncode == 0
    assert [path.name for path in baseline.glob("*~*")] == ["changed~mac.png"]
    assert (baseline / "new.png").exists(), "what has no baseline has no variants"


def test_a_saved_check_says_what_is_accepted(percept: Run, folders: tuple[Path, Path]) -> None:
    baseline, candidate = folders
    before, after = contents(baseline), contents(candidate)
    assert percept("check", "base", "new", "--json", "r.json").returncode == 1
    done = percept("approve", "--from", "r.json", "chan*", "--dry-run")
    assert done.stdout == "updated    base/changed.png\n"
    done = percept("approve", "--from", "r.json")
    assert done.returncode == 0
    assert contents(baseline) == before | {n: after[n] for n in ("changed.png", "new.png")}
    assert percept("check", "base", "new", "--json", "r.json").returncode == 1
    assert percept("approve", "--from", "r.json", "--prune").returncode == 0
    assert "gone.png" not in contents(baseline)
    assert percept("check", "base", "new", "--json", "r.json").returncode == 0
    assert "nothing failed" in percept("approve", "--from", "r.json").stderr


def test_what_changed_since_the_check_is_refused(percept: Run, folders: tuple[Path, Path]) -> None:
    baseline, candidate = folders
    before = contents(baseline)
    percept("check", "base", "new", "--json", "r.json")
    with Image.open(candidate / "changed.png") as image:
        image.transpose(Image.Transpose.ROTATE_180).save(candidate / "changed.png")
    done = percept("approve", "--from", "r.json")
    assert done.returncode == 3
    assert "new/changed.png: changed since that check: check it again" in done.stderr
    assert contents(baseline)["changed.png"] == before["changed.png"]
    assert "new.png" in contents(baseline), "the others are accepted"


def test_files_that_are_gone_since_the_check_are_refused(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    baseline, candidate = folders
    percept("check", "base", "new", "--json", "r.json")
    before = contents(baseline)
    for name in ("changed.png", "new.png"):
        (candidate / name).unlink()
    for flags in ((), ("--prune",)):
        done = percept("approve", "--from", "r.json", *flags)
        assert done.returncode == 3
        for name in ("changed.png", "new.png"):
            assert f"new/{name}: gone since that check" in done.stderr
    assert contents(baseline) == {n: c for n, c in before.items() if n != "gone.png"}


def test_a_baseline_that_changed_since_the_check_is_not_replaced(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    baseline, _ = folders
    percept("check", "base", "new", "--json", "r.json")
    for name in ("changed.png", "gone.png"):
        with Image.open(baseline / name) as image:
            image.transpose(Image.Transpose.ROTATE_180).save(baseline / name)
    shutil.copy(baseline / "changed.png", baseline / "gone~mac.png")
    now = contents(baseline)
    done = percept("approve", "--from", "r.json", "--prune")
    assert done.returncode == 3
    for name in ("changed.png", "gone.png", "gone~mac.png"):
        assert f"base/{name}: the baseline changed since that check" in done.stderr
        assert contents(baseline)[name] == now[name]


@pytest.mark.usefixtures("folders")
def test_results_write_into_no_hidden_folder(percept: Run, tmp_path: Path) -> None:
    percept("check", "base", "new", "--json", "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    document["settings"]["references"] = ".git/hooks"
    (tmp_path / "r.json").write_text(json.dumps(document))
    done = percept("approve", "--from", "r.json")
    assert done.returncode == 2 and "or hidden" in done.stderr
    done = percept("approve", "--from", "r.json", "base", "new")
    assert done.returncode == 2 and "the arguments are globs" in done.stderr


def test_names_that_will_be_taken_for_variants_are_told(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    _, candidate = folders
    (candidate / "new~1.png").write_bytes((candidate / "new.png").read_bytes())
    assert "new/new~1.png: without its candidate" in percept("approve", "base", "new").stderr


@pytest.mark.parametrize("place", ["references", "candidates"])
@pytest.mark.usefixtures("folders")
def test_results_write_nowhere_but_below_here(percept: Run, tmp_path: Path, place: str) -> None:
    percept("check", "base", "new", "--json", "r.json")
    document = json.loads((tmp_path / "r.json").read_text())
    document["settings"][place] = str(tmp_path.parent)
    (tmp_path / "r.json").write_text(json.dumps(document))
    done = percept("approve", "--from", "r.json")
    assert done.returncode == 2 and "not below this folder" in done.stderr


def test_paths_or_results_are_needed(percept: Run) -> None:
    for arguments in ((), ("base",)):
        done = percept("approve", *arguments)
        assert done.returncode == 2 and "name a BASELINE and a CANDIDATE" in done.stderr

"""`percept diff` says what became better or worse between two runs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, Run, clean_environment
from PIL import Image

REFERENCES = SAMPLES / "references"


@pytest.fixture
def runs(percept: Run, tmp_path: Path) -> dict[str, float]:
    """Two runs over the sample images; what each total changed by."""
    totals = []
    for name, folder in (("a", "jpeg-1"), ("b", "jpeg-3")):
        flags = ("--layers", "conv1_1", "--output", f"{name}.json", "-q")
        percept("compare", REFERENCES, SAMPLES / folder, *flags)
        document = json.loads((tmp_path / f"{name}.json").read_text())
        totals.append({Path(p["candidate"]).name: p["total"] for p in document["pairs"]})
    return {
        Path(name).with_suffix(".png").name: totals[1][name] - totals[0][name] for name in totals[0]
    }


def test_the_largest_change_stands_first(percept: Run, runs: dict[str, float]) -> None:
    done = percept("diff", "a.json", "b.json")
    assert done.returncode == 0
    names = [line.split()[0] for line in done.stdout.splitlines() if ".png" in line]
    assert names == sorted(runs, key=lambda name: -abs(runs[name]))
    assert f"{len(runs)} worse, 0 better, 0 the same; mean total" in done.stdout
    back = percept("diff", "b.json", "a.json")
    assert f"0 worse, {len(runs)} better" in back.stdout
    limited = percept("diff", "a.json", "b.json", "--limit", "2")
    assert "and 3 more" in limited.stdout and limited.stdout.count(".png") == 2
    assert "5 the same" in percept("diff", "a.json", "a.json").stdout


@pytest.mark.usefixtures("runs")
def test_what_was_equal_before_changed_by_all_of_its_total(percept: Run, tmp_path: Path) -> None:
    document = json.loads((tmp_path / "a.json").read_text())
    for pair in document["pairs"]:
        pair["total"] = 0.0
    (tmp_path / "c.json").write_text(json.dumps(document))
    rows = [line.split() for line in percept("diff", "c.json", "b.json").stdout.splitlines()]
    rows = [row for row in rows if row and row[0].endswith(".png")]
    assert len(rows) == 5 and all(row[-1] == f"+{row[-2]}" for row in rows)


@pytest.mark.usefixtures("runs")
def test_pairs_of_one_run_are_named(percept: Run, tmp_path: Path) -> None:
    document = json.loads((tmp_path / "b.json").read_text())
    gone = document["pairs"].pop()
    document["summary"]["pairs"] -= 1
    (tmp_path / "c.json").write_text(json.dumps(document))
    done = percept("diff", "a.json", "c.json")
    assert f"1 only in OLD: {Path(gone['reference']).name}" in done.stdout
    assert "1 only in NEW" in percept("diff", "c.json", "a.json").stdout


@pytest.mark.usefixtures("runs")
def test_runs_with_other_settings_do_not_compare(percept: Run, tmp_path: Path) -> None:
    document = json.loads((tmp_path / "b.json").read_text())
    document["settings"]["blur"] = 1.0
    (tmp_path / "c.json").write_text(json.dumps(document))
    done = percept("diff", "a.json", "c.json")
    assert done.returncode == 2 and "a.json has blur 0.0, c.json 1.0" in done.stderr
    document["settings"] |= {"blur": 0.0, "torch_version": "9"}
    (tmp_path / "c.json").write_text(json.dumps(document))
    assert percept("diff", "a.json", "c.json").returncode == 0


def test_figures_of_other_scales_or_of_settings_of_their_own_do_not_compare(
    percept: Run, tmp_path: Path
) -> None:
    pair = REFERENCES / "coffee.png", SAMPLES / "jpeg-1/coffee.jpg", "--layers", "conv1_1"
    percept("compare", *pair, "--raw", "--output", "raw.json")
    percept("compare", *pair, "--output", "plain.json")
    done = percept("diff", "raw.json", "plain.json")
    assert done.returncode == 2 and "their numbers do not compare" in done.stderr
    document = json.loads((tmp_path / "plain.json").read_text())
    document["pairs"][0]["overrides"] = {"threshold": 3}
    (tmp_path / "own.json").write_text(json.dumps(document))
    assert percept("diff", "plain.json", "own.json").returncode == 0
    document["pairs"][0]["overrides"] = {"ignore": ["0,0,9,9"]}
    (tmp_path / "own.json").write_text(json.dumps(document))
    done = percept("diff", "plain.json", "own.json")
    assert "1 with other settings of their own, not compared: coffee.jpg" in done.stdout


def test_rows_of_one_reference_are_matched_by_what_else_they_say(
    percept: Run, tmp_path: Path
) -> None:
    reference = REFERENCES / "coffee.png"
    for name, worse in (("a", 10), ("b", 20)):
        rows = ["reference,candidate,rate,bytes"]
        for rate in (10, 20):
            folder = "jpeg-3" if rate == worse else "jpeg-1"
            rows.append(f"{reference},{SAMPLES / folder / 'coffee.jpg'},{rate},{name}{rate}")
        (tmp_path / f"{name}.csv").write_text("\n".join(rows))
        flags = ("--layers", "conv1_1", "--sort", "total", "--output", f"{name}.json", "-q")
        percept("compare", "--pairs", f"{name}.csv", *flags)
    done = percept("diff", "a.json", "b.json")
    assert "1 worse, 1 better, 0 the same" in done.stdout and "(rate 10)" in done.stdout
    document = json.loads((tmp_path / "b.json").read_text())
    document["pairs"] = [pair for pair in document["pairs"] if pair["extra"]["rate"] == "20"]
    document["summary"]["pairs"] = 1
    (tmp_path / "c.json").write_text(json.dumps(document))
    done = percept("diff", "a.json", "c.json")
    assert "1 worse, 0 better, 0 the same" in done.stdout and "1 only in OLD" in done.stdout


def test_downloaded_runs_are_matched_by_their_references(percept: Run, tmp_path: Path) -> None:
    for name, folder in (("a", "jpeg-1"), ("b", "jpeg-3")):
        shutil.copytree(REFERENCES, tmp_path / name / "truth")
        shutil.copytree(SAMPLES / folder, tmp_path / name / "outputs")
        code = f"import os; os.chdir({name!r}); from percept_cli.cli import main; main()"
        command = "compare", "truth", "outputs", "--layers", "conv1_1", "--output", "r.json"
        environment = clean_environment()
        subprocess.run(
            [sys.executable, "-c", code, *command], cwd=tmp_path, env=environment, check=True
        )
    done = percept("diff", "a/r.json", "b/r.json")
    assert done.returncode == 0 and "5 worse" in done.stdout and "only in" not in done.stdout


def test_two_models_are_matched_by_their_references(percept: Run) -> None:
    """Their outputs may have other names; of one reference the candidates' names count."""
    for name, folder in (("a", "jpeg-1"), ("b", "noise-1")):
        flags = ("--layers", "conv1_1", "--output", f"{name}.json", "-q")
        percept("compare", REFERENCES, SAMPLES / folder, *flags)
    done = percept("diff", "a.json", "b.json")
    assert done.returncode == 0 and " worse, " in done.stdout and "only in" not in done.stdout
    one = ("compare", REFERENCES / "coffee.png", REFERENCES, "--layers", "conv1_1", "-q")
    percept(*one, "--output", "c.json")
    done = percept("diff", "c.json", "c.json")
    assert "5 the same" in done.stdout


def test_a_variant_of_a_baseline_is_the_same_image(percept: Run, tmp_path: Path) -> None:
    pages = {"b/a.png": "edit-1", "b/a~mac.png": "edit-2", "one/a.png": "edit-1"}
    pages["two/a.png"] = "edit-2"
    for name, folder in pages.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        with Image.open(SAMPLES / folder / "dashboard.png") as image:
            image.save(tmp_path / name, compress_level=len(name) % 10)
    for run in ("one", "two"):
        assert percept("check", "b", run, f"--json={run}.json", "-q").returncode == 0
    references = [json.loads((tmp_path / f"{r}.json").read_text()) for r in ("one", "two")]
    assert [Path(r["pairs"][0]["reference"]).name for r in references] == ["a.png", "a~mac.png"]
    done = percept("diff", "one.json", "two.json")
    assert done.returncode == 0 and "1 the same" in done.stdout, done.stderr

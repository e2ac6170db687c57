"""Pictures of saved results, and how a run's totals spread."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from conftest import REFERENCES, SAMPLES, Run, clean_environment
from PIL import Image
from scipy.stats import wilcoxon

from percept_cli.results import Result
from percept_cli.summary import Summary

KINDS = ("blur", "jpeg", "noise")


def manifest(folder: Path) -> Path:
    """Each sample image under each change, with its kind and its strength."""
    lines = ["reference,candidate,kind,strength"]
    for kind in KINDS:
        for strength in (1, 2, 3):
            for reference in REFERENCES:
                (changed,) = (SAMPLES / f"{kind}-{strength}").glob(f"{reference.stem}.*")
                lines.append(f"{reference},{changed},{kind},{strength}")
    (folder / "m.csv").write_text("\n".join(lines))
    return folder / "m.csv"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the manifest and the results of a run over it."""
    folder = tmp_path_factory.mktemp("run")
    command = ["compare", "--pairs", manifest(folder).name, "--layers=conv1_1,conv2_1"]
    command += ["--by=kind", "--output=s.json", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "percept_cli", *command],
        cwd=folder,
        env=clean_environment(),
        check=True,
    )
    return folder


@pytest.fixture
def scores(tmp_path: Path, run: Path) -> list[dict[str, object]]:
    """The pairs of that run, whose files are here."""
    shutil.copytree(run, tmp_path, dirs_exist_ok=True)
    found: list[dict[str, object]] = json.loads((tmp_path / "s.json").read_text())["pairs"]
    return found


def test_a_summary_says_how_totals_spread_and_that_of_groups(
    percept: Run, tmp_path: Path, scores: list[dict[str, object]]
) -> None:
    summary = json.loads((tmp_path / "s.json").read_text())["summary"]
    totals = np.array([pair["total"] for pair in scores], float)
    for percent, value in summary["percentiles"].items():
        assert value == pytest.approx(float(np.percentile(totals, int(percent))), rel=1e-12)
    counts, edges = np.histogram(totals, bins=12, range=(0, totals.max()))
    assert summary["histogram"]["counts"] == counts.tolist()
    assert np.allclose(summary["histogram"]["edges"], edges)
    worst = sorted(scores, key=lambda pair: -float(str(pair["total"])))[:5]
    assert [each["name"] for each in summary["worst"]] == [pair["candidate"] for pair in worst]
    assert list(summary["groups"]) == list(KINDS) and summary["by"] == "kind"
    for place, kind in enumerate(KINDS):
        own = totals[15 * place : 15 * place + 15]
        group = summary["groups"][kind]
        assert group["pairs"] == 15 and group["median_total"] == pytest.approx(np.median(own))
        assert group["mean_total"] == pytest.approx(own.mean())
    shown = percept("compare", "--pairs", "m.csv", "--layers=conv1_1,conv2_1", "--by=strength")
    lines = shown.stdout.splitlines()
    assert f"median {np.median(totals):.4f}" in shown.stdout
    assert [line.split("  ")[0] for line in lines if line.startswith("strength")] == [
        "strength 1",
        "strength 2",
        "strength 3",
    ]
    done = percept("compare", "--pairs", "m.csv", "--by=colour", "--output=not.csv")
    assert not (tmp_path / "not.csv").exists() and not (tmp_path / "not.csv.part").exists()
    assert done.returncode == 2 and "--by colour: the first pair has no such column" in done.stderr


def test_numbers_of_groups_rise_and_of_equal_pairs_the_first_are_worst() -> None:
    results = [
        Result("r", f"{number}", "compared", total=1.0, extra={"rate": rate})
        for number, rate in enumerate((10, 9, 2.5, "x", 100, 9, 9))
    ]
    summary = Summary.over(results, "rate")
    assert list(summary.groups) == ["2.5", "9", "10", "100", "x"]
    assert [name for name, _ in summary.worst] == list("01234")
    assert summary.histogram and sum(summary.histogram[1]) == 7
    assert Summary.over([]).percentiles is None and Summary.over([]).histogram is None
    one = Summary.over(results[:1])
    assert one.percentiles and set(one.percentiles.values()) == {1.0}


@pytest.mark.usefixtures("scores")
def test_pictures_are_drawn(percept: Run, tmp_path: Path) -> None:
    done = percept("plot", "s.json", "--output", "spread.png")
    assert done.returncode == 0 and "drawn: spread.png" in done.stderr
    with Image.open(tmp_path / "spread.png") as picture:
        assert min(picture.size) > 500 and len(np.unique(np.asarray(picture))) > 20
    lines = ("plot", "s.json", "--against=strength", "--by=kind", "--output")
    for name in ("one.svg", "two.svg"):
        assert percept(*lines, name).returncode == 0
    assert (tmp_path / "one.svg").read_bytes() == (tmp_path / "two.svg").read_bytes()
    drawing = ElementTree.parse(tmp_path / "one.svg")
    assert len(drawing.findall(".//*[@id='axes_1']")) == 1
    # A line, and its part of the legend, for each kind.
    drawn = [each for each in drawing.iter() if each.get("id", "").startswith("line2d")]
    assert len(drawn) >= 2 * len(KINDS)
    assert percept(*lines, "peak.png", "--measure=peak").returncode == 0


def test_two_models_are_compared_with_a_paired_test(percept: Run, tmp_path: Path) -> None:
    totals = []
    for name, folder in (("sharp", "jpeg-1"), ("soft", "blur-1")):
        flags = ("--layers=conv1_1", "--output", f"{name}.json", "--quiet")
        percept("compare", SAMPLES / "references", SAMPLES / folder, *flags)
        pairs = json.loads((tmp_path / f"{name}.json").read_text())["pairs"]
        totals.append([pair["total"] for pair in pairs])
    done = percept("plot", "sharp.json", "soft.json", "--output=two.png")
    assert done.returncode == 0, done.stderr
    better = sum(soft < sharp for sharp, soft in zip(*totals, strict=True))
    assert f"soft is nearer in {better}, sharp in {5 - better}" in done.stderr
    assert f"Wilcoxon's p = {wilcoxon(*totals).pvalue:.2g}" in done.stderr
    done = percept("plot", "sharp.json", "sharp.json", "--output=same.png")
    assert done.returncode == 0 and "Wilcoxon" not in done.stderr


def test_a_run_without_a_difference_is_drawn_too(percept: Run) -> None:
    percept("compare", SAMPLES / "references", SAMPLES / "references", "--output=s.json", "-q")
    assert percept("plot", "s.json").returncode == 0


@pytest.mark.usefixtures("scores")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--output=plot.gif"], "plot.gif: end it in .png, .svg, .pdf"),
        (["--by=kind"], "name what over with --against"),
        (["--measure=peak"], "--measure is drawn over something"),
        (["--against=rate"], "no pair has a total and a number in 'rate'"),
        (["--against=kind"], "no pair has a total and a number in 'kind'"),
        (["--against=strength", "--measure=sharpness"], "unknown measure 'sharpness'"),
        (["s.json", "--against=strength"], "--against draws one run"),
        (["s.json", "s.json"], "of one run, or of two"),
        (["none.json"], "none.json: cannot be read"),
    ],
)
def test_what_cannot_be_drawn_is_said(percept: Run, options: list[str], words: str) -> None:
    done = percept("plot", "s.json", *options)
    assert done.returncode == 2 and words in done.stderr


def test_a_column_of_too_many_values_is_none_to_group_by() -> None:
    results = [Result("r", "c", "compared", total=1.0, extra={"id": n}) for n in range(1001)]
    summary = Summary.over(results, "id")
    assert summary.too_many_groups and not summary.groups and summary.pairs == 1001
    assert not Summary.over(results[:1000], "id").too_many_groups


def test_a_reference_that_comes_several_times_is_compared_each_time(
    percept: Run, scores: list[dict[str, object]]
) -> None:
    assert len(scores) == 45
    assert "45 the same" in percept("diff", "s.json", "s.json").stdout

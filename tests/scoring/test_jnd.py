"""Just noticeable differences: only of the recipe they were measured for, and in every output."""

from __future__ import annotations

import csv
import json
import operator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from conftest import SAMPLES, Run
from PIL import Image

import percept_cli
from percept_cli.results import Jnd, Result
from percept_cli.scoring.jnd import PEAK_AT_ONE, SCALE, TOTAL_AT_ONE, WORDS, jnd_of
from percept_cli.scoring.options import Options
from percept_cli.summary import Summary

QUALITY = Options.of("quality")
PAIR = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-2/coffee.jpg"


def visible(total: float, peak: float | None = None) -> Jnd:
    found = jnd_of(total, peak, QUALITY)
    assert found
    return found


def test_one_is_where_half_of_the_people_notice() -> None:
    assert visible(TOTAL_AT_ONE).value == 1 and visible(TOTAL_AT_ONE).words == "just visible"
    assert visible(0.0, 0.0) == Jnd(0.0, 0.0, 0.0, "not visible", SCALE)
    assert visible(3 * TOTAL_AT_ONE).value == pytest.approx(3)


@pytest.mark.parametrize(
    ("value", "words"), [(0.7, "just visible"), (1.35, "plain"), (3.0, "strong")]
)
def test_at_a_border_the_stronger_word_holds(
    value: float, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("percept_cli.scoring.jnd.TOTAL_AT_ONE", 1.0)
    assert visible(value).words == words


def test_a_change_in_one_place_is_judged_by_its_peak() -> None:
    assert visible(TOTAL_AT_ONE / 100, 2 * PEAK_AT_ONE).value == 2
    assert visible(2 * TOTAL_AT_ONE, PEAK_AT_ONE).value == 2


def test_the_interval_surrounds_the_value_and_words_rise_with_it() -> None:
    found = [visible(step * TOTAL_AT_ONE / 10) for step in range(60)]
    assert all(one.low <= one.value <= one.high for one in found)
    assert list(dict.fromkeys(one.words for one in found)) == [word for _, word in WORDS]


@pytest.mark.parametrize(
    "options",
    [
        Options(),
        Options.of("rendering"),
        Options.of("quality", blur=1.0),
        Options.of("quality", layers=("relu1_2",)),
        Options.of("quality", shrink=0),
        Options.of("quality", raw=True),
    ],
)
def test_no_other_recipe_has_any(options: Options) -> None:
    assert jnd_of(0.2, 0.3, options) is None


@pytest.mark.parametrize("distortion", ["jpeg", "blur", "noise"])
def test_stronger_distortions_are_more_visible(distortion: str) -> None:
    files = [next((SAMPLES / f"{distortion}-{n}").glob("coffee.*")) for n in (1, 2, 3)]
    found = [percept_cli.compare(PAIR[0], file, preset="quality").jnd for file in files]
    values = [jnd.value for jnd in found if jnd]
    assert len(values) == 3 and values[0] < values[1] < values[2]


def test_check_judges_by_it(percept: Run, tmp_path: Path) -> None:
    scored = percept("compare", *PAIR, "--preset=quality", "--format=json")
    jnd = json.loads(scored.stdout)["pairs"][0]["jnd"]
    for most, code in ((jnd["value"] * 1.01, 0), (jnd["value"] * 0.99, 1)):
        done = percept("check", *PAIR, f"--jnd={most}", "--json=found.json")
        (pair,) = json.loads((tmp_path / "found.json").read_text())["pairs"]
        assert done.returncode == code and pair["jnd"] == jnd and pair["thresholds"]["jnd"] == most
        assert pair["thresholds"]["peak"] is None
    assert f"jnd {jnd['value']:.4g} > " in done.stdout


def test_check_judges_single_images_by_it(
    percept: Run, tmp_path: Path, small: tuple[Path, Path]
) -> None:
    rules = 'preset = "quality"\njnd = 50\n[images."coffee*"]\njnd = 0.1\n'
    (tmp_path / "percept.toml").write_text(rules)
    done = percept("check", *small)
    assert done.returncode == 1 and done.stdout.count("FAILED") == 1
    assert "coffee.png" in done.stdout and "> 0.1" in done.stdout


@pytest.mark.parametrize("choice", ["--preset=photo", "--preset=rendering", "--blur=1"])
def test_check_refuses_it_for_other_recipes(percept: Run, choice: str) -> None:
    done = percept("check", *PAIR, "--jnd=1", choice)
    assert done.returncode == 2 and "are those of the preset quality" in done.stderr


def test_every_output_has_it(percept: Run, tmp_path: Path, small: tuple[Path, Path]) -> None:
    pair = [folder / "coffee.png" for folder in small]
    outputs = ["--json=a.json", "--junit=a.xml", "--report=report"]
    github = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "a.md")}
    done = percept("check", *pair, "--jnd=0.1", *outputs, **github)
    jnd = json.loads((tmp_path / "a.json").read_text())["pairs"][0]["jnd"]
    words = f"{jnd['value']:.2f} ({jnd['low']:.2f} to {jnd['high']:.2f}): {jnd['words']}"
    words += f", on {SCALE}"
    assert words in done.stdout and words in (tmp_path / "a.xml").read_text()
    assert f"{jnd['value']:.2f} " in (tmp_path / "a.md").read_text()
    lines = percept("compare", *pair, "--preset=quality", "--format=jsonl").stdout.splitlines()
    assert any(json.loads(line).get("jnd") == jnd for line in lines)
    folders = percept("compare", *small, "--preset=quality")
    assert f"{jnd['value']:.2f}" in folders.stdout
    assert str(jnd["value"]) in (tmp_path / "report/index.html").read_text()
    table = percept("compare", *pair, "--preset=quality", "--format=table").stdout
    assert words.partition(" ")[2] in " ".join(table.split())
    (row,) = csv.DictReader(
        percept("compare", *pair, "--preset=quality", "--format=csv").stdout.splitlines()
    )
    found = [float(row[f"jnd{end}"]) for end in ("", "_low", "_high")]
    assert [*found, row["jnd_words"], row["jnd_scale"]] == list(jnd.values())


def test_frames_and_the_summary_have_it(percept: Run, tmp_path: Path) -> None:
    with Image.open(PAIR[0]) as file:
        picture = file.convert("RGB").resize((128, 128))
    for role, changes in (("a", (1, 1, 1)), ("b", (1, 0.9, 0.8))):
        (tmp_path / role).mkdir()
        first, *rest = (picture.point(partial(operator.mul, by)) for by in changes)
        first.save(tmp_path / role / "moving.tiff", save_all=True, append_images=rest)
        rest[0].save(tmp_path / role / "still.png")
    done = percept("compare", "a", "b", "--preset=quality", "--output=found.json")
    found = json.loads((tmp_path / "found.json").read_text())
    moving, still = found["pairs"]
    second, third = moving["frames"]
    assert second["jnd"] == still["jnd"]
    assert third["jnd"] == moving["jnd"] and third["jnd"]["value"] > second["jnd"]["value"]
    assert found["summary"]["max_jnd"] == third["jnd"]["value"]
    assert f"; jnd: max {third['jnd']['value']:.2f}" in done.stderr
    assert Result.of(moving).frames[0].jnd == Jnd(**second["jnd"])
    results = [replace(Result.of(pair), extra={"set": "one"}) for pair in found["pairs"]]
    (group,) = Summary.over(results, by="set").document()["groups"].values()
    assert group["max_jnd"] == third["jnd"]["value"]


def test_jnd_goes_with_what_else_is_configured(
    percept: Run, tmp_path: Path, small: tuple[Path, Path]
) -> None:
    for rules, flags in (
        ('peak-threshold = "normal"\n', ["--jnd=50"]),
        ('[images."coffee*"]\npreset = "photo"\nthreshold = 9\n', ["--jnd=50"]),
        ('peak-threshold = 9\n[images."coffee*"]\njnd = 50\n', []),
    ):
        (tmp_path / "percept.toml").write_text(rules)
        done = percept("check", *small, *flags, "--json=found.json")
        assert done.returncode == 0, (rules, done.stderr)
        pairs = json.loads((tmp_path / "found.json").read_text())["pairs"]
        judged = {Path(p["candidate"]).stem: p["thresholds"]["jnd"] for p in pairs}
        assert judged["coffee"] == (None if "photo" in rules else 50)
        assert judged["chelsea"] == (50 if flags else None)
    (tmp_path / "percept.toml").write_text('preset = "quality"\n')
    assert "give --jnd, --peak-threshold or" in percept("check", *small).stderr


def test_results_are_sorted_by_it(percept: Run, small: tuple[Path, Path]) -> None:
    done = percept("compare", *small, "--preset=quality", "--format=csv", "--sort=jnd")
    found = [float(row["jnd"]) for row in csv.DictReader(done.stdout.splitlines())]
    assert len(found) == 5 and found == sorted(found, reverse=True)

"""The real gate on real images."""

from __future__ import annotations

import json
import shutil
from importlib import resources
from pathlib import Path

import jsonschema
import junitparser
import numpy as np
import pytest
from conftest import SAMPLES, Run
from PIL import Image, ImageDraw

REFERENCES = SAMPLES / "references"


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Two folders with the same three images."""
    for folder in ("base", "new"):
        (tmp_path / folder).mkdir()
        for name in ("article.png", "coffee.png", "dashboard.png"):
            shutil.copy(REFERENCES / name, tmp_path / folder / name)
    return tmp_path / "base", tmp_path / "new"


def change(file: Path) -> None:
    """Paint a visible spot."""
    with Image.open(file) as image:
        picture = image.convert("RGB")
    ImageDraw.Draw(picture).rectangle((40, 60, 70, 80), fill=(200, 30, 60))
    picture.save(file)


def test_unchanged_images_pass(percept: Run, folders: tuple[Path, Path]) -> None:
    done = percept("check", *folders)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith("passed  3 pairs: 3 identical")


def test_harmless_differences_pass(percept: Run, folders: tuple[Path, Path]) -> None:
    for file in folders[1].iterdir():
        with Image.open(file) as image:
            noise = np.random.default_rng(0).integers(-2, 3, (image.height, image.width, 3))
            Image.fromarray((np.asarray(image) + noise).clip(0, 255).astype(np.uint8)).save(file)
    done = percept("check", *folders)
    assert (done.returncode, done.stdout.split()[0]) == (0, "passed")
    assert "3 passed" in done.stdout


def test_a_change_fails_and_says_where(percept: Run, folders: tuple[Path, Path]) -> None:
    change(folders[1] / "dashboard.png")
    done = percept("check", *folders, "--heatmap=maps")
    assert done.returncode == 1
    assert "FAILED  " + str(folders[1] / "dashboard.png") in done.stdout
    assert "failed  3 pairs: 2 identical, 1 failed" in done.stdout
    at = next(line for line in done.stdout.splitlines() if line.startswith("  at "))
    left, top = map(int, at.split()[1].split(","))
    width, height = map(int, at.split()[2].split("x"))
    assert left <= 40 and top <= 60 and left + width >= 70 and top + height >= 80
    assert width < 80 and height < 70
    assert (folders[0].parent / "maps/dashboard.png").is_file()


def test_missing_and_new_images_fail(percept: Run, folders: tuple[Path, Path]) -> None:
    (folders[1] / "coffee.png").rename(folders[1] / "tea.png")
    done = percept("check", *folders)
    assert done.returncode == 1
    assert f"MISSING  {folders[0] / 'coffee.png'}" in done.stdout
    assert f"NEW  {folders[1] / 'tea.png'}" in done.stdout
    shutil.copy(REFERENCES / "coffee.png", folders[1])
    assert percept("check", *folders).returncode == 1
    assert percept("check", *folders, "--allow-new").returncode == 0


def test_an_unreadable_image_wins_over_a_failure(percept: Run, folders: tuple[Path, Path]) -> None:
    change(folders[1] / "dashboard.png")
    (folders[1] / "coffee.png").write_bytes(b"no image")
    done = percept("check", *folders)
    assert done.returncode == 3
    assert "not an image of a kind Pillow reads" in done.stderr
    assert "incomplete  3 pairs: 1 identical, 1 failed, 1 error" in done.stdout


def test_comparing_nothing_is_no_pass(percept: Run, folders: tuple[Path, Path]) -> None:
    empty = folders[0].parent / "empty"
    empty.mkdir()
    nothing = percept("check", empty, empty)
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert "nothing to compare" in nothing.stderr
    assert percept("check", folders[0], empty).returncode == 1
    assert percept("check", empty, folders[1], "--allow-new").returncode == 3
    first = percept("check", "nowhere", folders[1])
    assert first.returncode == 2 and "percept approve -- nowhere" in first.stderr


def test_a_changed_size_fails_unless_resized(percept: Run, folders: tuple[Path, Path]) -> None:
    with Image.open(folders[1] / "coffee.png") as image:
        image.resize((200, 200)).save(folders[1] / "coffee.png")
    done = percept("check", *folders)
    assert done.returncode == 1
    assert "sizes differ: reference 256x256, candidate 200x200" in done.stdout
    resized = percept("check", *folders, "--resize=reference", "--peak-threshold=9", "--json=r")
    assert resized.returncode == 0


def test_any_variant_may_pass_and_the_result_says_which(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    change(folders[1] / "dashboard.png")
    assert percept("approve", *folders, "dash*", "--variant=mac").returncode == 0
    done = percept("check", *folders, "--json=r.json")
    assert done.returncode == 0 and "3 identical" in done.stdout
    pairs = json.loads((folders[0].parent / "r.json").read_text())["pairs"]
    assert pairs[2]["reference"] == str(folders[0] / "dashboard~mac.png")
    with Image.open(folders[1] / "dashboard.png") as image:
        image.convert("RGB").save(folders[1] / "dashboard.jpg", quality=98)
    (folders[1] / "dashboard.png").unlink()
    near = percept("check", *folders, "--json=r.json", "--peak-threshold=0.25")
    pairs = json.loads((folders[0].parent / "r.json").read_text())["pairs"]
    assert (near.returncode, pairs[2]["status"]) == (0, "passed")
    assert pairs[2]["reference"] == str(folders[0] / "dashboard~mac.png")


def test_single_images_have_settings_of_their_own(percept: Run, folders: tuple[Path, Path]) -> None:
    change(folders[1] / "dashboard.png")
    change(folders[1] / "coffee.png")
    config = folders[0].parent / "percept.toml"
    config.write_text(
        '[images."dash*"]\nignore = ["40,60,31,21"]\n'
        '[images."coffee.png"]\npeak-threshold = 5\nlayer-threshold = {conv3_1 = 1e-6}\n'
    )
    done = percept("check", *folders, "--json=r.json")
    article, coffee, dashboard = json.loads((config.parent / "r.json").read_text())["pairs"]
    assert done.returncode == 1
    assert (article["status"], coffee["status"], dashboard["status"]) == (
        "identical", "failed", "passed",
    )  # fmt: skip
    assert coffee["failures"][0].startswith("conv3_1 ")
    assert coffee["thresholds"] == {
        **{"peak": 5.0, "total": None, "jnd": None},
        "layers": {"conv3_1": 1e-6},
    }
    assert dashboard["overrides"] == {"ignore": ["40,60,31,21"]}
    config.write_text('[images."dahsboard.png"]\nthreshold = 2\n')
    wrong = percept("check", *folders)
    assert wrong.returncode == 2 and "did you mean 'dashboard.png'" in wrong.stderr


def test_what_is_ignored_changes_no_number_and_costs_nothing(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    """With a real change beside the region, and three different contents inside it."""
    flags = ("--ignore=100,50,60,60", "--json=r.json", "--quiet")
    numbers = []
    for colour in ("red", "black", "white"):
        for folder, inside in zip(folders, (colour, "blue"), strict=True):
            with Image.open(REFERENCES / "dashboard.png") as image:
                picture = image.convert("RGB")
            draw = ImageDraw.Draw(picture)
            draw.rectangle((100, 50, 159, 109), fill=inside)
            if folder == folders[1]:
                draw.rectangle((161, 60, 180, 80), fill="green")
            picture.save(folder / "dashboard.png")
        assert percept("check", *folders, *flags).returncode == 1
        pair = json.loads((folders[0].parent / "r.json").read_text())["pairs"][2]
        numbers.append((pair["total"], pair["peak"], pair["layers"], pair["regions"]))
    assert numbers[0] == numbers[1] == numbers[2] and numbers[0][0] > 0


def test_json_and_junit_say_what_the_table_says(percept: Run, folders: tuple[Path, Path]) -> None:
    change(folders[1] / "dashboard.png")
    (folders[1] / "article.png").write_bytes(b"")
    (folders[1] / "coffee.png").unlink()
    done = percept("check", *folders, "--json=r.json", "--junit=r.xml", "--heatmap=maps")
    assert done.returncode == 3
    document = json.loads((folders[0].parent / "r.json").read_text())
    schema = json.loads(
        (resources.files("percept_cli.outputs") / "results.schema.json").read_text()
    )
    jsonschema.validate(document, schema)
    assert document["summary"]["verdict"] == "incomplete"
    (suite,) = junitparser.JUnitXml.fromfile(str(folders[0].parent / "r.xml"))
    assert (suite.tests, suite.failures, suite.errors) == (3, 2, 1)
    broken, missing, failed = suite
    assert isinstance(broken.result[0], junitparser.Error)
    assert "the file is empty" in broken.result[0].message
    assert missing.result[0].type == "missing"
    pair = document["pairs"][2]
    assert failed.name == pair["candidate"] and failed.result[0].type == "failed"
    assert pair["failures"][0] == failed.result[0].message
    for text in (f"{pair['peak']:.4f}", f"{pair['total']:.4f}", "threshold: 0.4", "maps/dash"):
        assert text in failed.result[0].text
    assert pair["failures"][0] in done.stdout and pair["heatmap"] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--peak-threshold=loose",), "give a number from 0 on, strict, normal, lenient or none"),
        (("--preset=photo",), "measured for the preset rendering alone, not for photo: give"),
        (("--layer-threshold=conv4_1",), "layer threshold 'conv4_1': give LAYER=DISTANCE"),
        (("--tolerance=9",), "--tolerance 9: give 0 to 8"),
        (("--json=base/coffee.png",), "is among what is compared and would be overwritten"),
        (("--json=/dev/null/r.json",), "cannot write results to /dev/null/r.json"),
        (("--json=r", "--junit=r"), "r is named for two outputs"),
    ],
)
def test_wrong_usage_compares_nothing(
    percept: Run, folders: tuple[Path, Path], arguments: tuple[str, ...], message: str
) -> None:
    done = percept("check", *folders, *arguments)
    assert done.returncode == (3 if "cannot write" in message else 2) and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr


def test_calibration_writes_what_check_then_reads(percept: Run, folders: tuple[Path, Path]) -> None:
    base, new = folders
    for file in new.iterdir():
        with Image.open(file) as image:
            image.convert("RGB").save(file.with_suffix(".jpg"), quality=85)
        file.unlink()
    changed = base.parent / "changed"
    shutil.copytree(base, changed)
    for file in changed.iterdir():
        change(file)
    config = base.parent / "percept.toml"
    config.write_text("# Ours.\n")
    done = percept("calibrate", base, new, "--different", base, changed, "--write")
    assert done.returncode == 0 and "peak threshold" in done.stdout
    assert "above the largest of 3 pairs that look the same" in done.stdout
    assert config.read_text().startswith("# Ours.\npeak-threshold = 0.")
    assert percept("check", base, new).returncode == 0
    assert percept("check", base, changed).returncode == 1
    wrong = percept("calibrate", base, changed, "--different", base, new)
    assert wrong.returncode == 2 and "no threshold tells them apart" in wrong.stderr


def test_calibration_goes_by_what_the_configuration_judges(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    base, new = folders
    for file in new.iterdir():
        with Image.open(file) as image:
            image.convert("RGB").save(file.with_suffix(".jpg"), quality=85)
        file.unlink()
    grown = Image.new("RGB", (200, 150), "white")
    grown.save(new / "grown.png")
    grown.crop((0, 0, 200, 120)).save(base / "grown.png")
    config = base.parent / "percept.toml"
    tables = '[images."art*"]\nignore = ["0,0,4,4"]\n[images."cof*"]\npeak-threshold = 3\n'
    config.write_text(f'peak-threshold = "none"\nthreshold = 0.00001\n{tables}')
    done = percept("calibrate", base, new, "--write")
    assert done.returncode == 0 and "total threshold" in done.stdout
    assert "of 2 pairs that look the same" in done.stdout
    assert "1 image(s) have a threshold or a recipe of their own" in done.stderr
    assert "grown.png: grew or was moved: fails at any threshold, left out" in done.stderr
    written = config.read_text()
    assert written.startswith('peak-threshold = "none"\nthreshold = 0.') and "= 3\n" in written
    done = percept("calibrate", base, new, "--glob", "cof*", "--write")
    assert "cof*: peak threshold" in done.stdout and "total threshold" in done.stdout
    assert "= 3\n" not in config.read_text()
    rows = [f"{base / 'article.png'},{new / name}.jpg" for name in ("article", "article")]
    (base.parent / "m.csv").write_text("\n".join(["reference,candidate", *rows]))
    done = percept("calibrate", "--pairs", "m.csv")
    assert "of 2 pairs that look the same" in done.stdout


def test_calibration_of_identical_pairs_is_an_error(percept: Run) -> None:
    done = percept("calibrate", REFERENCES, REFERENCES)
    assert done.returncode == 2 and "all pairs are identical" in done.stderr


def test_github_gets_annotations_and_a_summary_and_results_stay_clean(
    percept: Run, folders: tuple[Path, Path], tmp_path: Path
) -> None:
    change(folders[1] / "dashboard.png")
    flags = ("--layers=conv1_1", "--peak-threshold=0.1", "--report=report")
    plain = percept("check", *folders, *flags)
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    done = percept("check", *folders, *flags, "--quiet", **actions)
    assert done.stdout == plain.stdout and "::error" not in plain.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("::error file=") and "dashboard.png" in line
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## percept: failed") and "report/index.html" in summary
    actions["GITHUB_STEP_SUMMARY"] = str(tmp_path)
    broken = percept("check", *folders, *flags, **actions)
    assert broken.returncode == 3 and "cannot write the job summary" in broken.stderr


def test_a_single_missing_candidate_fails_and_two_missing_files_are_wrong_usage(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    gone = percept("check", folders[0] / "coffee.png", "nowhere.png")
    assert gone.returncode == 1 and "MISSING" in gone.stdout
    assert percept("check", "nowhere.png", "nowhere.png").returncode == 2


def test_a_new_file_that_is_no_image_is_an_error_even_where_new_ones_are_allowed(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    (folders[1] / "tea.png").write_bytes(b"x")
    done = percept("check", *folders, "--allow-new", "--junit=r.xml")
    assert done.returncode == 3 and "not an image" in done.stderr


def test_an_incomplete_check_is_not_green_in_junit(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    empty = folders[0].parent / "empty"
    empty.mkdir()
    assert percept("check", empty, folders[1], "--allow-new", "--junit=r.xml").returncode == 3
    (suite,) = junitparser.JUnitXml.fromfile(str(empty.parent / "r.xml"))
    assert suite.errors == 1 and suite.tests == 4


@pytest.mark.parametrize("name", ["", "a/b", "a~b"])
def test_a_variant_needs_a_plain_name(percept: Run, folders: tuple[Path, Path], name: str) -> None:
    change(folders[1] / "coffee.png")
    done = percept("approve", *folders, "--variant", name)
    assert done.returncode == 2 and "give a name without / and ~" in done.stderr


def test_a_failure_by_total_says_where_as_well(percept: Run, folders: tuple[Path, Path]) -> None:
    change(folders[1] / "dashboard.png")
    done = percept("check", *folders, "--threshold=0.001", "--peak-threshold=5")
    assert done.returncode == 1 and "  at " in done.stdout


def test_calibration_goes_by_the_figure_that_is_judged(percept: Run, tmp_path: Path) -> None:
    """The largest of all frames, not that of the frame with the largest peak."""
    page = Image.open(SAMPLES / "references/dashboard.png").convert("RGB").crop((0, 0, 256, 256))
    sharp, wide = page.copy(), page.point([max(v - 90, 0) for v in range(256)] * 3)
    sharp.paste((255, 0, 0), (100, 100, 108, 108))
    for name, frames in (("b", (page, page)), ("c", (sharp, wide))):
        (tmp_path / name).mkdir()
        frames[0].save(tmp_path / name / "a.tif", save_all=True, append_images=frames[1:])
    layers = 'preset = "photo"\nlayers = ["conv1_1", "conv3_1"]\n'
    (tmp_path / "percept.toml").write_text(f'{layers}peak-threshold = "none"\nthreshold = 9\n')
    found = json.loads(
        percept("compare", "b", "c", "--format=json", "--layers=conv1_1,conv3_1").stdout
    )["pairs"][0]
    assert found["frame"] == 1 and found["elsewhere"]["total"]["frame"] == 2
    done = percept("calibrate", "b", "c", "--write")
    assert done.returncode == 0, done.stderr
    assert percept("check", "b", "c").returncode == 0


def test_a_threshold_for_a_glob_that_a_later_table_overrides_is_not_written(
    percept: Run, folders: tuple[Path, Path]
) -> None:
    change(folders[1] / "dashboard.png")
    config = folders[0].parent / "percept.toml"
    tables = '[images."dash*"]\nbackground = "white"\n[images."*.png"]\npeak-threshold = 0.1\n'
    config.write_text(tables)
    done = percept("calibrate", *folders, "--glob", "dash*", "--write")
    assert done.returncode == 2 and config.read_text() == tables
    assert 'nothing written: images."*.png" comes after images."dash*"' in done.stderr


def test_an_ambiguous_match_is_not_accepted_as_a_variant(percept: Run, tmp_path: Path) -> None:
    for name in ("b/a.png", "b/a.bmp", "c/a.webp"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (64, 64), "red").save(tmp_path / name)
    for flags in ((), ("--variant", "mac")):
        done = percept("approve", "b", "c", *flags)
        assert done.returncode == 3 and "ambiguous match" in done.stdout + done.stderr
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["a.bmp", "a.png"]

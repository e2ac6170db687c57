"""What the command says at the right time, and where it can be shown."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, Run, clean_environment
from PIL import Image

PAGE = SAMPLES / "references/dashboard.png"
EDITED = SAMPLES / "edit-2/dashboard.png"

NO_IMAGES = {
    "version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 9\n": (
        "a Git LFS pointer, not the image: fetch it with 'git lfs pull'"
    ),
    "<!DOCTYPE html>\n<html><body>Not found": "an HTML page, not an image",
    "\ufeff  <html lang=en>": "an HTML page, not an image",
    "plain text": "not an image of a kind Pillow reads",
}


@pytest.mark.parametrize("content", NO_IMAGES, ids=range(len(NO_IMAGES)))
def test_what_is_named_like_an_image_is_called_what_it_is(
    percept: Run, tmp_path: Path, content: str
) -> None:
    (tmp_path / "a.png").write_text(content, encoding="utf-8")
    done = percept("check", PAGE, "a.png")
    assert done.returncode == 3 and f"a.png: {NO_IMAGES[content]}" in done.stderr


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_configuration_may_begin_with_a_mark(percept: Run, tmp_path: Path, encoding: str) -> None:
    (tmp_path / "percept.toml").write_text('peak-threshold = 9.0 # "é"\n', encoding=encoding)
    assert percept("check", PAGE, EDITED).returncode == 0


def test_no_cell_of_a_header_is_a_formula_either(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(f"reference,candidate,=1+1\n{PAGE},{PAGE},=2+2\n")
    done = percept("compare", "--pairs", "m.csv", "--format", "csv", "--csv-safe")
    assert [line.split(",")[-1] for line in done.stdout.splitlines()] == ["'=1+1", "'=2+2"]


def test_a_manifest_without_its_columns_is_wrong_usage(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("before,after\na.png,b.png\n")
    done = percept("compare", "--pairs", "m.csv")
    assert done.returncode == 2 and "m.csv: no column 'reference'" in done.stderr


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_bars_are_shown_wherever_they_are_read(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "m.csv").write_text(f"reference,candidate\n{PAGE},{EDITED}\n")
    for arguments, bar in (
        (["compare", PAGE, EDITED], "█████" if encoding == "utf-8" else "#####"),
        (["calibrate", "--pairs", "m.csv"], "← threshold" if encoding == "utf-8" else "<- thresh"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "percept_cli", *map(str, arguments)],
            cwd=tmp_path,
            env=clean_environment(PYTHONIOENCODING=encoding, PYTHONUTF8="0"),
            capture_output=True,
            timeout=120,
        )
        assert done.returncode == 0 and bar in done.stdout.decode(encoding)
        assert b"\\u" not in done.stdout


def test_calibration_names_pairs_that_stand_out(percept: Run, tmp_path: Path) -> None:
    lines = ["reference,candidate"]
    with Image.open(PAGE) as image:
        for number in range(5):
            file = tmp_path / f"{number}.png"
            image.convert("RGB").point(lambda v, n=number: max(v - 3 - n, 0)).save(file)
            lines.append(f"{PAGE},{file}")
    lines.append(f"{PAGE},{EDITED}")
    (tmp_path / "m.csv").write_text("\n".join(lines))
    done = percept("calibrate", "--pairs", "m.csv")
    assert done.returncode == 0
    assert "1 of the same stands out: " in done.stdout and "edit-2/dashboard.png" in done.stdout
    assert "without: peak threshold 0." in done.stdout


def test_a_pair_that_stands_out_from_identical_ones_is_named_too(
    percept: Run, tmp_path: Path
) -> None:
    lines = ["reference,candidate"]
    for number in range(5):
        shutil.copy(PAGE, tmp_path / f"{number}.png")
        lines.append(f"{PAGE},{number}.png")
    (tmp_path / "m.csv").write_text("\n".join([*lines, f"{PAGE},{EDITED}"]))
    done = percept("calibrate", "--pairs", "m.csv")
    assert done.returncode == 0, done.stderr
    assert "1 of the same stands out: " in done.stdout
    assert "without: all are identical" in done.stdout


def test_the_text_has_ignored_regions_and_the_variant_that_passed(
    percept: Run, tmp_path: Path
) -> None:
    for folder in ("base", "new"):
        (tmp_path / folder).mkdir()
        shutil.copy(PAGE, tmp_path / folder)
    shutil.copy(EDITED, tmp_path / "base/dashboard~mac.png")
    shutil.copy(EDITED, tmp_path / "new/dashboard.png")
    done = percept("check", "base", "new", "--ignore", "10,20,30,40")
    assert done.returncode == 0
    assert "new/dashboard.png  passed as base/dashboard~mac.png" in done.stdout
    assert "ignored 10,20,30,40" in done.stdout


def test_a_folder_without_a_change_has_no_columns_of_zeros(percept: Run) -> None:
    references = SAMPLES / "references"
    done = percept("compare", references, references)
    assert done.returncode == 0 and "0.0000" not in done.stdout.split("pairs:")[0]
    assert done.stdout.count("identical") >= len(os.listdir(references))

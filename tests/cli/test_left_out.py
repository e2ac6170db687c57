"""Nothing is left out in silence: every output of every command names what is."""

from __future__ import annotations

import json
import re
import shutil
from importlib import resources
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import jsonschema
import pytest
from conftest import REFERENCES, Run
from PIL import Image

WORDS = "4 files are no images and were left out: base/notes.txt, new/<b>.txt, new/notes.txt, …"
FILES = ["base/notes.txt", "new/<b>.txt", "new/notes.txt", "new/sub/data"]


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("base", "new"):
        (tmp_path / name / "sub").mkdir(parents=True)
        (tmp_path / name / "notes.txt").write_text("notes")
        for place in ("home.png", "sub/home.png"):
            shutil.copy(REFERENCES[0], tmp_path / name / place)
    (tmp_path / "new" / "<b>.txt").write_text("more notes")
    (tmp_path / "new/sub/data").write_bytes(bytes(99))


def validated(document: dict[str, Any]) -> dict[str, Any]:
    schema = (resources.files("percept_cli.outputs") / "results.schema.json").read_text()
    jsonschema.validate(document, json.loads(schema))
    return document


@pytest.mark.parametrize("quiet", [(), ("--quiet",)])
def test_check_says_in_every_output_what_it_leaves_out(
    percept: Run, tmp_path: Path, quiet: tuple[str, ...]
) -> None:
    outputs = ("--json=r.json", "--junit=r.xml", "--report=report")
    done = percept("check", "base", "new", *outputs, *quiet)
    assert done.returncode == 0
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("passed"))
    assert line.endswith(f"; {WORDS}")
    assert validated(json.loads((tmp_path / "r.json").read_text()))["summary"]["left_out"] == FILES
    properties = ElementTree.parse(tmp_path / "r.xml").iter("property")
    assert [p.get("value") for p in properties if p.get("name") == "left out"] == FILES
    page = (tmp_path / "report/index.html").read_text()
    assert WORDS.replace("<b>", "&lt;b&gt;") in page and "<b>.txt" not in page
    assert all(f"<bdi>{file.replace('<b>', '&lt;b&gt;')}</bdi>" in page for file in FILES)
    again = percept("report", "r.json", "--output=again")
    assert again.returncode == 0
    assert WORDS.replace("<b>", "&lt;b&gt;") in (tmp_path / "again/index.html").read_text()


@pytest.mark.parametrize("form", ["table", "json", "jsonl"])
def test_compare_says_what_it_leaves_out(percept: Run, form: str) -> None:
    done = percept("compare", "base", "new", f"--format={form}", "--quiet")
    assert done.returncode == 0
    if form == "table":
        assert WORDS in done.stdout
        return
    text = done.stdout if form == "json" else done.stdout.splitlines()[-1]
    assert validated(json.loads(text))["summary"]["left_out"] == FILES


def test_one_pair_of_two_folders_says_it_too(percept: Run, tmp_path: Path) -> None:
    for name in ("base", "new"):
        shutil.rmtree(tmp_path / name / "sub")
    done = percept("compare", "base", "new", "--quiet")
    assert "3 files are no images and were left out: base/notes.txt" in done.stdout
    assert "left out" not in percept("compare", "base/home.png", "new/home.png").stdout


def test_a_job_summary_and_a_merge_say_it(percept: Run, tmp_path: Path) -> None:
    flags = ("check", "base", "new", "--quiet")
    whole = percept(*flags, "--json=all.json", "--junit=all.xml", GITHUB_STEP_SUMMARY="s.md",
                    GITHUB_ACTIONS="true")  # fmt: skip
    assert "4 files are no images" in (tmp_path / "s.md").read_text()
    for number in (1, 2, 3):
        percept(*flags, f"--shard={number}/3", f"--json={number}.json")
    merged = percept("merge", "3.json", "1.json", "2.json", "--json=m.json", "--junit=m.xml")
    assert (merged.returncode, merged.stdout) == (whole.returncode, whole.stdout)
    for suffix in ("json", "xml"):
        files = [(tmp_path / f"{name}.{suffix}").read_bytes() for name in ("m", "all")]
        assert files[0] == files[1]


def test_approve_names_every_candidate_it_leaves_out(percept: Run, tmp_path: Path) -> None:
    shutil.rmtree(tmp_path / "base")
    for flags in ((), ("--quiet",), ("--dry-run",), ("home*",)):
        done = percept("approve", "base", "new", *flags)
        named = re.findall("^left out   (.*)$", done.stdout, re.MULTILINE)
        assert named == (
            [] if "home*" in flags else ["new/<b>.txt", "new/notes.txt", "new/sub/data"]
        )
    assert "3 left out" in percept("approve", "base", "new").stderr
    assert not (tmp_path / "base/notes.txt").exists()


def test_calibrate_says_what_it_leaves_out(percept: Run) -> None:
    assert WORDS in percept("calibrate", "base", "new").stderr


def test_a_folder_of_other_files_is_an_error_that_names_them(percept: Run, tmp_path: Path) -> None:
    for file in tmp_path.glob("*/**/*.png"):
        file.unlink()
    for command in ("compare", "check"):
        done = percept(command, "base", "new")
        assert done.returncode == 2 and done.stderr.count("\n") == 1
        assert f"nothing to compare: no images in base and new; {WORDS}" in done.stderr


@pytest.mark.parametrize("name", ["photo.mpo", "photo", "photo.snap", "photo.png.new"])
def test_images_of_other_names_are_compared_and_accepted(
    percept: Run, tmp_path: Path, name: str
) -> None:
    with Image.open(REFERENCES[0]) as image:
        frame = image.convert("RGB")
    for folder, side in (("base", 96), ("new", 64)):
        frames = frame.resize((side, side)), frame.rotate(90).resize((side, side))
        frames[0].save(tmp_path / folder / name, "MPO", save_all=True, append_images=frames[1:])
    done = percept("check", "base", "new", "--json=r.json")
    pairs = json.loads((tmp_path / "r.json").read_text())["pairs"]
    statuses = {pair["candidate"]: pair["status"] for pair in pairs}
    assert done.returncode == 1 and statuses[f"new/{name}"] == "failed"
    assert f"updated    base/{name}" in percept("approve", "base", "new").stdout
    assert percept("check", "base", "new").returncode == 0


def test_an_image_whose_package_is_missing_is_an_error_not_left_out(
    percept: Run, tmp_path: Path
) -> None:
    for folder in ("base", "new"):
        (tmp_path / folder / "photo.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    done = percept("check", "base", "new", "--quiet")
    assert done.returncode == 3 and done.stderr.count("\n") == 1
    assert "new/photo.heic: HEIF is read with the package pillow-heif: pip install" in done.stderr

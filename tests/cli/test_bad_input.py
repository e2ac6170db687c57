"""Every broken input costs its own pair and nothing else."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import SAMPLES, Run, clean_environment
from PIL import Image

from percept_cli.outputs.formats import STREAMING

REFERENCE, GOOD = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-3/coffee.jpg"


def truncated(source: Path) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(source.read_bytes()[: source.stat().st_size // 2])


BROKEN: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "missing file": ("x.png", str, "no such file"),
    "folder": ("x.png", Path.mkdir, "a folder where an image is expected"),
    "empty file": ("x.png", Path.touch, "the file is empty"),
    "truncated PNG": ("x.png", truncated(REFERENCE), "damaged image"),
    "truncated JPEG": ("x.jpg", truncated(GOOD), "damaged image"),
    "text": ("x.png", lambda path: path.write_text("Dear reader"), "not an image"),
    "too small": ("x.png", lambda path: Image.new("RGB", (7, 9)).save(path), "too small for"),
    "too many pixels": (
        "x.png",
        lambda path: Image.new("1", (400, 400)).save(path),
        "160000 pixels, over --max-pixels 70000",
    ),
    "unreadable": ("x.png", lambda path: path.symlink_to("/proc/self/mem"), "cannot be read"),
    "device": ("x.png", lambda path: path.symlink_to("/dev/null"), "not a regular file"),
    "broken link": ("x.png", lambda path: path.symlink_to("gone.png"), "broken symbolic link"),
    "name not UTF-8": (
        os.fsdecode(b"caf\xe9.png"),
        lambda path: shutil.copy(GOOD, path),
        "not UTF-8",
    ),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One folder with everything broken."""
    for kind, (name, make, _) in BROKEN.items():
        place = tmp_path / kind
        place.mkdir()
        make(place / name)
    return tmp_path


def manifest(folder: Path, files: list[tuple[Path, Path]]) -> str:
    """Write a manifest of references and candidates; its name."""
    lines = [json.dumps({"reference": str(r), "candidate": str(c)}) for r, c in files]
    (folder / "m.jsonl").write_text("\n".join(lines))
    return "--pairs=m.jsonl"


def test_each_broken_file_is_an_error_of_its_own(percept: Run, folder: Path) -> None:
    small = folder / "small.png"
    Image.new("RGB", (9, 7), "red").save(small)
    files = [
        (small if kind == "too small" else REFERENCE, folder / kind / name)
        for kind, (name, _, _) in BROKEN.items()
    ]
    pairs_flag = manifest(folder, [(REFERENCE, GOOD), *files, (REFERENCE, GOOD)])
    done = percept("compare", pairs_flag, "--max-pixels=70000", "--format=jsonl", "--quiet")
    assert done.returncode == 3 and "Traceback" not in done.stderr
    first, *pairs, last, closing = map(json.loads, done.stdout.splitlines())
    said = done.stderr.splitlines()
    for (kind, (_, _, message)), pair, line in zip(BROKEN.items(), pairs, said, strict=True):
        assert pair["status"] == "error", kind
        assert message in pair["error"] and message in line, kind
        assert f"/{kind}/" in pair["candidate"] and f"/{kind}/" in line
    assert first["total"] == last["total"] > 0
    assert closing["summary"]["compared"] == 2


def test_a_broken_reference_is_an_error_too(percept: Run, folder: Path) -> None:
    broken = folder / "truncated PNG" / "x.png"
    done = percept("compare", broken, GOOD, "--format=json")
    assert done.returncode == 3
    (pair,) = json.loads(done.stdout)["pairs"]
    assert str(broken) in pair["error"] and pair["candidate"] == str(GOOD)


def test_broken_files_in_folders_lose_no_other_pair(percept: Run, tmp_path: Path) -> None:
    for name in ("references", "candidates"):
        shutil.copytree(SAMPLES / "references", tmp_path / name)
    for name in ("article.png", "coffee.png"):
        (tmp_path / "candidates" / name).write_bytes(b"")
    bad = os.fsdecode(b"caf\xe9.png")
    for name in ("references", "candidates"):
        shutil.copy(GOOD, tmp_path / name / bad)
    done = percept("compare", "references", "candidates", "--format=csv")
    assert done.returncode == 3
    assert done.stdout.count(",identical,") == 3
    assert done.stdout.count(".png,error,") == 3
    assert "caf\\udce9.png: the file name is not UTF-8" in done.stderr


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("m.csv", "reference,candidate\n{good}\n{good},{good}\n", "m.csv:2: no candidate"),
        ("m.jsonl", '{{"reference": "{good}"}}\n', "m.jsonl:1: no candidate"),
        ("m.jsonl", "{{\n", "m.jsonl:1: not JSON"),
    ],
)
def test_a_bad_manifest_line_is_an_error_with_its_place(
    percept: Run, tmp_path: Path, name: str, text: str, message: str
) -> None:
    (tmp_path / name).write_text(text.format(good=GOOD))
    done = percept("compare", "--pairs", name, "--format=jsonl", "--quiet")
    assert done.returncode == 3
    assert done.stderr.count("\n") == 1 and message in done.stderr
    pairs = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert [pair["error"] for pair in pairs if pair["status"] == "error"] == [
        done.stderr.strip().removeprefix("percept: ")
    ]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_a_full_disk_is_one_line_and_three(percept: Run, tmp_path: Path, form: str) -> None:
    (tmp_path / f"full.{form}").symlink_to("/dev/full")
    arguments = ("compare", REFERENCE, REFERENCE, f"--format={form}", "--quiet")
    done = percept(*arguments, f"--output=full.{form}")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert f"cannot write results to full.{form}: No space left" in done.stderr
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "percept_cli", *map(str, arguments)]
        process = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (process.returncode, process.stderr.count("\n")) == (3, 1), process.stderr
    assert "cannot write results to standard output: No space left" in process.stderr


@pytest.mark.parametrize("form", ["table", "csv", "json", "jsonl"])
def test_a_closed_pipe_ends_quietly(form: str, folder: Path) -> None:
    pairs = manifest(folder, [(GOOD, GOOD)] * 3000)
    process = subprocess.Popen(
        [sys.executable, "-m", "percept_cli", "compare", pairs, f"--format={form}", "--limit=0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=clean_environment(),
    )
    assert process.stdout and process.stderr
    if form in STREAMING:
        process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


def test_an_output_that_cannot_be_made_is_one_line(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = percept("compare", REFERENCE, REFERENCE, "--output=file/r.csv")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1)
    assert "cannot write results to file/r.csv: Not a directory" in done.stderr


def test_the_folder_of_an_output_is_made(percept: Run, tmp_path: Path) -> None:
    assert percept("compare", REFERENCE, REFERENCE, "--output=new/one/r.csv").returncode == 0
    assert (tmp_path / "new/one/r.csv").exists()


def test_equal_damaged_files_are_not_identical(percept: Run, folder: Path) -> None:
    broken = folder / "truncated PNG" / "x.png"
    done = percept("compare", broken, broken)
    assert done.returncode == 3 and "damaged image" in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the device that is always full")
def test_other_commands_meet_a_full_disk_with_one_line() -> None:
    for command in ("layers", "weights", "--help"):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "percept_cli", command],
                stdout=full, stderr=subprocess.PIPE, text=True,
            )  # fmt: skip
        assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr

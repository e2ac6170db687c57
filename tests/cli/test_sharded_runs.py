"""Shards of the real command, merged: what the whole run says, or one clear refusal."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, Run, clean_environment

FAST = ("--layers=conv1_1", "--peak-threshold=0.1", "--quiet")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """Images that fail, pass, are equal, missing, new; and one with two baselines."""
    base, new = tmp_path / "base", tmp_path / "new"
    for folder in (base, new):
        shutil.copytree(SAMPLES / "references", folder)
    for name in ("article.png", "dashboard.png"):
        shutil.copy(SAMPLES / "edit-2" / name, new)
    shutil.copy(SAMPLES / "shift-1/dashboard.png", base / "dashboard~mac.png")
    (new / "chelsea.png").unlink()
    (new / "notes.txt").write_text("no image")
    shutil.copy(base / "coffee.png", new / "unseen.png")
    (tmp_path / "percept.toml").write_text('[images."art*"]\npeak-threshold = 5\n')


@pytest.fixture
def unchanged(tmp_path: Path) -> None:
    """No image that needs the network."""
    for name in ("article.png", "dashboard.png"):
        shutil.copy(tmp_path / "base" / name, tmp_path / "new")


def shards(percept: Run, of: int, *flags: str, command: str = "check") -> list[str]:
    files = []
    for number in range(1, of + 1):
        files.append(f"s{number}.json")
        where = "--json" if command == "check" else "--output"
        done = percept(command, "base", "new", *flags, f"--shard={number}/{of}", where, files[-1])
        assert done.returncode in (0, 1, 3), done.stderr
    return files


@pytest.mark.parametrize("of", [2, 7])
def test_merged_shards_say_exactly_what_the_whole_run_says(
    percept: Run, tmp_path: Path, of: int
) -> None:
    """With seven shards for six images one is empty."""
    whole = percept("check", "base", "new", *FAST, "--json=all.json", "--junit=all.xml")
    files = shards(percept, of, *FAST)
    done = percept("merge", *reversed(files), "--json=m.json", "--junit=m.xml", "--report=report")
    assert (done.returncode, done.stdout) == (whole.returncode, whole.stdout) and whole.stdout
    for suffix in ("json", "xml"):
        merged, all_of_it = ((tmp_path / f"{name}.{suffix}").read_bytes() for name in ("m", "all"))
        assert merged == all_of_it
    summary = json.loads((tmp_path / "m.json").read_text())["summary"]
    assert summary["pairs"] == 6 and summary["missing"] == summary["new"] == 1
    assert (tmp_path / "report/index.html").is_file()


def test_shards_of_compare_merge_too(percept: Run, tmp_path: Path) -> None:
    flags = ("--layers=conv1_1", "--quiet")
    whole = percept("compare", "base", "new", *flags, "--output=all.json")
    files = shards(percept, 2, *flags, command="compare")
    done = percept("merge", *files, "--json=m.json")
    assert done.returncode == whole.returncode == 3
    assert (tmp_path / "m.json").read_bytes() == (tmp_path / "all.json").read_bytes()
    assert percept("merge", *files, "--allow-unpaired").returncode == 0


def test_an_output_that_cannot_be_written_costs_only_itself(percept: Run, tmp_path: Path) -> None:
    files = shards(percept, 2, *FAST)
    done = percept("merge", *files, "--json=/dev/full", "--junit=m.xml", "--report=report")
    assert done.returncode == 3 and "cannot write results to /dev/full" in done.stderr
    assert done.stdout.splitlines()[-2].startswith("incomplete")
    assert (tmp_path / "m.xml").is_file() and (tmp_path / "report/index.html").is_file()
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "percept_cli", "merge", *files]
        ended = subprocess.run(
            command, cwd=tmp_path, env=clean_environment(), stdout=full, stderr=subprocess.PIPE
        )
    assert ended.returncode == 3 and b"cannot write results to standard output" in ended.stderr
    done = percept("merge", *files, "--json=both", "--junit=both")
    assert done.returncode == 2 and "both is named for two outputs" in done.stderr


@pytest.mark.usefixtures("unchanged")
def test_a_broken_image_in_one_shard_makes_the_whole_incomplete(
    percept: Run, tmp_path: Path
) -> None:
    (tmp_path / "new/coffee.png").write_bytes(b"no image")
    files = shards(percept, 2, *FAST)
    done = percept("merge", *files)
    assert done.returncode == 3 and "incomplete  6 pairs" in done.stdout


@pytest.mark.usefixtures("unchanged")
def test_every_fault_is_refused_in_one_clear_line(percept: Run, tmp_path: Path) -> None:
    one, two = shards(percept, 2, *FAST)
    percept("check", "base", "new", *FAST, "--json=all.json")

    def changed(**settings: Any) -> str:
        document = json.loads((tmp_path / two).read_text())
        document["settings"] |= settings
        (tmp_path / "x.json").write_text(json.dumps(document))
        return "x.json"

    shard = json.loads((tmp_path / two).read_text())["settings"]["shard"]
    pairs, rules = shard["plan"].split("-")
    short = json.loads((tmp_path / one).read_text())
    (tmp_path / "short.json").write_text(json.dumps(short | {"pairs": short["pairs"][:1]}))
    (tmp_path / "broken.json").write_text((tmp_path / two).read_text()[:-20])
    for arguments, message in (
        ([one], "shard 2/2 is missing"),
        ([two], "shard 1/2 is missing"),
        ([one, one, two], "shard 1/2 is there twice: s1.json and s1.json"),
        ([one, "all.json"], "all.json: results of a whole run"),
        (["short.json", two], "shards of one run differ by one result at most"),
        ([one, "broken.json"], "broken.json: no results of percept"),
        ([one, "nowhere.json"], "nowhere.json: cannot be read"),
        ([one, two, f"--json={one}"], "s1.json is a shard and would be overwritten"),
    ):
        _refused(percept, arguments, message)
    for settings, message in (
        ({"shard": {**shard, "of": 3}}, "x.json is shard 2/3, but s1.json 1/2"),
        ({"blur": 2.0}, "x.json has blur 2.0, but s1.json blur 1.0"),
        ({"torch_version": "1.0"}, "x.json has torch version 1.0, but s1.json torch version"),
        ({"shard": {**shard, "plan": f"{pairs}-0"}}, "x.json has other rules than s1.json"),
        ({"shard": {**shard, "plan": f"0-{rules}"}}, "x.json has other pairs than s1.json"),
    ):
        _refused(percept, [one, changed(**settings)], message)


def _refused(percept: Run, arguments: list[str], message: str) -> None:
    done = percept("merge", *arguments)
    assert done.returncode == 2 and done.stdout == "", message
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr, done.stderr


@pytest.mark.usefixtures("unchanged")
@pytest.mark.parametrize("flags", [("--peak-threshold=0.2",), ("--allow-new",), ("--blur=3",)])
def test_shards_run_with_other_flags_are_refused(percept: Run, flags: tuple[str]) -> None:
    one, two = shards(percept, 2, *FAST)
    percept("check", "base", "new", *FAST, *flags, "--shard=2/2", f"--json={two}")
    done = percept("merge", one, two)
    assert done.returncode == 2 and "run all shards" in done.stderr


@pytest.mark.usefixtures("unchanged")
def test_other_configuration_and_other_images_are_refused(percept: Run, tmp_path: Path) -> None:
    one, two = shards(percept, 2, *FAST)
    shutil.copy(tmp_path / "base/coffee.png", tmp_path / "new/more.png")
    percept("check", "base", "new", *FAST, "--shard=2/2", f"--json={two}")
    assert "has other pairs than s1.json" in percept("merge", one, two).stderr
    (tmp_path / "new/more.png").unlink()
    (tmp_path / "percept.toml").write_text('[images."art*"]\npeak-threshold = 4\n')
    percept("check", "base", "new", *FAST, "--shard=2/2", f"--json={two}")
    assert "has other rules than s1.json" in percept("merge", one, two).stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check", "base", "new", "--shard=6/5"), "--shard '6/5': give NUMBER/OF"),
        (("compare", "--pairs=-", "--shard=1/2"), "--pairs - has no end"),
        (("compare", "base", "new", "--shard=1/2", "--sort=peak"), "leave out --sort"),
    ],
)
def test_wrong_shards_compare_nothing(
    percept: Run, arguments: tuple[str, ...], message: str
) -> None:
    done = percept(*arguments, "--quiet")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr

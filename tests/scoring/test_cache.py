"""Scores that are kept: the same numbers, whoever computed them, whatever becomes of the file."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, Run, clean_environment
from PIL import Image

import percept_cli
from percept_cli.batch import Pair, options_of
from percept_cli.network.weights import load
from percept_cli.results import Result
from percept_cli.scoring.cache import NAME, Cache, cache_for
from percept_cli.scoring.memory import Facts, Memory
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
from percept_cli.scoring.scored import Scored

REFERENCES, CHANGED = SAMPLES / "references", SAMPLES / "jpeg-3"
ON = {"PERCEPT_NO_CACHE": ""}
KEY, OTHER = b"k" * 32, b"o" * 32


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def cache(tmp_path: Path, said: list[str]) -> Iterator[Cache]:
    made = Cache(tmp_path / "cache", said.append)
    yield made
    made.close()


def quarters(folder: Path, count: int, side: int = 32) -> tuple[Path, Path]:
    """Two folders of small images, of which each fourth differs."""
    rng = np.random.default_rng(count)
    folders = folder / "references", folder / "candidates"
    for each in folders:
        each.mkdir(parents=True)
    for number in range(count):
        pixels = rng.integers(0, 256, (side // 8, side // 8, 3), dtype=np.uint8)
        for each in folders:
            Image.fromarray(pixels.repeat(8, 0).repeat(8, 1)).save(each / f"{number:04}.png")
            if number % 4 == 0:
                pixels = pixels ^ 64
    return folders


def without_torch(*arguments: str | Path, cwd: Path) -> None:
    """Run the command where torch cannot be imported."""
    code = (
        "import sys; sys.modules['torch'] = None; "
        f"sys.argv = {['percept', *map(str, arguments)]}; "
        "from percept_cli.cli import main; main()"
    )
    environment = clean_environment(**ON)
    subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, check=True)


@pytest.mark.parametrize("form", ["json", "jsonl", "csv"])
def test_what_is_remembered_is_written_as_what_was_computed(
    percept: Run, tmp_path: Path, small: tuple[Path, Path], form: str
) -> None:
    keep = "--cache", tmp_path / "cache"
    for name, options in (("none", ["--no-cache"]), ("first", keep)):
        percept("compare", *small, *options, "--output", f"{name}.{form}", **ON)
    without_torch("compare", *small, *keep, "--output", f"again.{form}", cwd=tmp_path)
    computed, first, again = (
        (tmp_path / f"{name}.{form}").read_bytes() for name in ("none", "first", "again")
    )
    assert computed == first == again and b"weights_sha256" in computed


def test_a_flag_for_a_cache_goes_before_the_environment(percept: Run, tmp_path: Path) -> None:
    pair = REFERENCES / "coffee.png", CHANGED / "coffee.jpg"
    percept("compare", *pair, PERCEPT_CACHE="k", PERCEPT_NO_CACHE="1")
    percept("compare", *pair, "--no-cache", PERCEPT_CACHE="k", PERCEPT_NO_CACHE="")
    assert not (tmp_path / "k").exists()
    percept("compare", *pair, "--cache", "k", PERCEPT_NO_CACHE="1")
    assert (tmp_path / "k" / NAME).is_file()


def test_pictures_and_regions_of_a_check_are_those_that_were_computed(
    percept: Run, tmp_path: Path
) -> None:
    images = SAMPLES / "references", SAMPLES / "edit-3"
    shutil.copytree(images[0], tmp_path / "b")
    shutil.copytree(images[1], tmp_path / "c")
    grown = Image.new("RGB", (200, 130), "white")
    grown.paste(Image.open(REFERENCES / "dashboard.png").resize((200, 100)), (0, 30))
    grown.crop((0, 30, 200, 130)).save(tmp_path / "b/grown.png")
    grown.save(tmp_path / "c/grown.png")
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "green", "blue")]
    frames[0].save(tmp_path / "b/a.gif", save_all=True, append_images=frames[1:])
    frames[1].save(tmp_path / "c/a.gif", save_all=True, append_images=[frames[1], frames[0]])
    outputs = ("--json", "r.json", "--report", "r", "--heatmap", "h")
    found = []
    for number, keep in enumerate((["--no-cache"], ["--cache", "k"], ["--cache", "k"])):
        done = percept("check", "b", "c", *keep, *outputs, **ON)
        pictures = sorted(p for f in ("r", "h") for p in (tmp_path / f).rglob("*.*"))
        found.append((done.stdout, [(p.name, p.read_bytes()) for p in pictures]))
        shutil.move(tmp_path / "r.json", tmp_path / f"{number}.json")
        for folder in ("r", "h"):
            shutil.rmtree(tmp_path / folder)
    assert found[0] == found[1] == found[2] and len(found[0][1]) > 5
    texts = [(tmp_path / f"{number}.json").read_text() for number in range(3)]
    assert texts[0] == texts[1] == texts[2] and '"inserted"' in texts[0] and '"frame"' in texts[0]


def test_a_result_without_a_map_in_the_cache_still_makes_one(tmp_path: Path) -> None:
    pair = REFERENCES / "coffee.png", CHANGED / "coffee.jpg"
    ((first,), (again,)) = (
        list(percept_cli.score([pair], cache=tmp_path, layers="conv2_1")) for _ in range(2)
    )
    assert again._scored is not None and again._scored.map is None
    assert again.document() == first.document()
    assert np.array_equal(again.map, first.map)  # type: ignore[arg-type]
    pictures = again.heatmap(), first.heatmap()
    assert pictures[0] and pictures[1] and pictures[0].tobytes() == pictures[1].tobytes()


def test_other_settings_contents_or_masks_are_other_scores(percept: Run, tmp_path: Path) -> None:
    mask = Image.new("L", (64, 64), 0)
    mask.save(tmp_path / "mask.png")
    for name, left in (("a", 0), ("b", 40)):
        pixels = np.full((64, 64, 3), 90, np.uint8)
        pixels[8:24, left : left + 16] = 250
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")

    def total(*options: str) -> float:
        done = percept(
            *("compare", "a.png", "b.png", "--format=json", "--cache=k", "--layers=conv1_1"),
            *options,
            **ON,
        )
        return float(json.loads(done.stdout)["pairs"][0]["total"])

    found = [total(), total("--distance=l1"), total("--blur=1"), total("--ignore=mask.png")]
    mask.paste(255, (0, 0, 64, 30))
    mask.save(tmp_path / "mask.png")
    assert total("--ignore=mask.png") == 0 < min(found)
    assert len({*found[:3]}) == 3 and found[3] == pytest.approx(found[0])
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    assert total() == 0


def test_what_weights_gave_that_were_exchanged_meanwhile_is_not_kept(cache: Cache) -> None:
    memory, options = Memory(cache), Options(layers=("conv1_1",))
    place = memory.place(options, "0" * 64, "1" * 64, 0)
    assert place
    known = Result("r.png", "c.png", "compared", total=1.0)
    for sha256 in ("0" * 64, "f" * 64):
        memory.keep(place, Scored(known, options), Facts(sha256, "cpu", {"conv1_1": 1.0}))
        assert memory.find(place, known, options) is None
    own = Facts(load("bundled").sha256, "cpu", {"conv1_1": 1.0})
    memory.keep(place, Scored(known, options), own)
    found = memory.find(place, known, options)
    assert found and found[0].result.total == 1 and found[1] == own


@pytest.mark.parametrize("damage", ["garbage", "zeros", "flipped", "truncated", "other value"])
def test_a_damaged_cache_is_set_aside_and_changes_no_result(
    percept: Run, tmp_path: Path, damage: str
) -> None:
    folders = quarters(tmp_path, 8)
    command = ("compare", *folders, "--cache=k", "--format=json", "--layers=conv1_1")
    whole = percept(*command, **ON).stdout
    file = tmp_path / "k" / NAME
    content = bytearray(file.read_bytes())
    if damage == "other value":
        with sqlite3.connect(file) as database:
            database.execute("UPDATE scores SET value = (SELECT max(value) FROM scores)")
        database.close()
    elif damage == "flipped":
        for place in range(100, len(content), 37):
            content[place] ^= 0xFF
    elif damage == "zeros":
        content[:] = bytes(len(content))
    elif damage == "garbage":
        content = bytearray(b"no database " * 1000)
    else:
        del content[len(content) // 2 :]
    if damage != "other value":
        file.write_bytes(content)
    done = percept(*command, **ON)
    assert done.stdout == whole and done.returncode == 0
    assert "is damaged" in done.stderr and "set aside" in done.stderr
    assert list((tmp_path / "k").glob(f"{NAME}.damaged-*"))
    assert percept(*command, **ON).stderr == percept(*command, **ON).stderr


def test_what_cannot_be_used_is_said_once_and_left_out(percept: Run, tmp_path: Path) -> None:
    folders = quarters(tmp_path, 8)
    (tmp_path / "file").write_text("")
    done = percept("compare", *folders, "--cache=file", "--layers=conv1_1", **ON)
    assert done.returncode == 0 and done.stderr.count("cannot be used") == 1
    assert "--no-cache leaves it out" in done.stderr


def test_what_was_used_longest_ago_goes_first(tmp_path: Path, said: list[str]) -> None:
    cache = Cache(tmp_path, said.append, 1 << 20)
    for number in range(3000):
        cache.put(number.to_bytes(32, "big"), os.urandom(1000))
        if number % 100 == 0:
            assert cache.get(bytes(32)) is not None, number
            cache.close()  # Uses are noted now.
    count, size = cache.size()
    assert 500 < count < 2000 and size < 3 << 20
    assert cache.get(bytes(32)) and cache.get((2999).to_bytes(32, "big"))
    assert cache.get((1).to_bytes(32, "big")) is None
    cache.clear()
    assert cache.size()[0] == 0 and cache.size()[1] < 1 << 16
    cache.close()
    assert not said


def test_nothing_that_is_read_is_executed(cache: Cache, said: list[str]) -> None:
    cache.put(KEY, b"value")
    with sqlite3.connect(cache.path) as database:
        database.execute("UPDATE scores SET value = ?", ("cos\nsystem\n(S'true'\ntR.",))
    database.close()
    assert cache.get(KEY) is None and "damaged" in said[0]
    cache.put(KEY, b"value")
    assert cache.get(KEY) == b"value" and cache.get(OTHER) is None


def _both(folder: Path, numbers: range) -> None:
    failed: list[str] = []
    cache = Cache(folder, failed.append)
    for number in numbers:
        key = number.to_bytes(32, "big")
        if (found := cache.get(key)) is not None:
            assert found == key * 9
        cache.put(key, key * 9)
    cache.close()
    assert not failed


def test_processes_share_a_cache(tmp_path: Path) -> None:
    context = get_context("spawn")
    ranges = range(1000), range(999, -1, -1), range(500, 1500)
    processes = [context.Process(target=_both, args=(tmp_path, each)) for each in ranges]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert Cache(tmp_path, pytest.fail).size()[0] == 1500


def test_two_commands_at_once_share_a_cache_and_get_their_scores(
    percept: Run, tmp_path: Path
) -> None:
    folders = quarters(tmp_path, 60)
    percept("compare", *folders, "--no-cache", "--output", "whole.json", "-q")
    command = [sys.executable, "-m", "percept_cli", "compare", *map(str, folders), "--cache=k"]
    processes = [
        subprocess.Popen(
            [*command, f"--output={name}.json"],
            cwd=tmp_path, env=clean_environment(**ON), stderr=subprocess.PIPE, text=True,
        )
        for name in ("one", "two")
    ]  # fmt: skip
    for name, process in zip(("one", "two"), processes, strict=True):
        said = process.communicate(timeout=120)[1]
        assert process.returncode == 0 and "cache" not in said
        assert (tmp_path / f"{name}.json").read_bytes() == (tmp_path / "whole.json").read_bytes()


def test_a_killed_run_continues_and_ends_as_if_nothing_had_been(
    percept: Run, tmp_path: Path
) -> None:
    folders = quarters(tmp_path, 80, side=64)
    whole = tmp_path / "whole.json"
    percept("compare", *folders, "--no-cache", "--output", whole)
    command = [sys.executable, "-m", "percept_cli", "compare", *map(str, folders)]
    command += ["--cache=k", "--output=r.json", "--quiet"]
    chance, kills = random.Random(0), 0
    for _ in range(3):
        process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(**ON))
        while not (tmp_path / "k/scores.sqlite").exists() and process.poll() is None:
            time.sleep(0.01)
        time.sleep(chance.uniform(0.0, 0.4))
        process.send_signal(signal.SIGKILL)
        kills += process.wait() == -signal.SIGKILL
        written = tmp_path / "r.json"
        assert not written.exists() or written.read_bytes() == whole.read_bytes()
    subprocess.run(command, cwd=tmp_path, env=clean_environment(**ON), check=True)
    assert (tmp_path / "r.json").read_bytes() == whole.read_bytes() and kills
    without_torch(*command[3:], cwd=tmp_path)


def test_the_command_shows_and_clears(percept: Run, tmp_path: Path) -> None:
    assert "k/scores.sqlite: 0 pairs, 0.0 MiB" in percept("cache", "--cache=k").stdout
    assert not (tmp_path / "k").exists()
    percept("compare", *quarters(tmp_path, 8), "--cache=k", "--layers=conv1_1", **ON)
    assert "2 pairs" in percept("cache", "--cache=k").stdout
    assert "2 pairs forgotten" in percept("cache", "--cache=k", "--clear").stdout
    assert "0 pairs" in percept("cache", PERCEPT_CACHE="k").stdout
    done = percept("compare", "a", "b", "--cache-size=0", **ON)
    assert done.returncode == 2 and "--cache-size 0" in done.stderr


def test_where_it_is_and_whether_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_for(True, print) is None  # The tests' environment says so.
    monkeypatch.delenv("PERCEPT_NO_CACHE")
    found = cache_for(True, print)
    assert found and found.path == tmp_path / "percept" / NAME
    monkeypatch.setenv("PERCEPT_CACHE", str(tmp_path / "own"))
    found = cache_for(True, print)
    assert found and found.path == tmp_path / "own" / NAME
    assert cache_for(False, print) is None


def test_a_mask_that_changes_while_a_run_goes_on_is_another_score(tmp_path: Path) -> None:
    reference, candidate = quarters(tmp_path, 1, side=64)
    pair, mask = (reference / "0000.png", candidate / "0000.png"), tmp_path / "mask.png"
    cover = Image.new("L", (64, 64), 0)

    def pairs() -> Iterator[tuple[Path, Path]]:
        for edge in (0, 40, 60, 0):
            cover.paste(255, (0, 0, 64, edge))
            (cover if edge else Image.new("L", (64, 64), 0)).save(mask)
            yield pair

    cover.save(mask)
    options = {"layers": "conv1_1", "ignore": str(mask)}
    scorer = Scorer(options_of(**options), memory=Memory(cache_for(tmp_path / "k", print)))
    scored = scorer.score(map(Pair.of, pairs()), ahead=0)
    found = [one.result.total or 0.0 for _, one in scored]
    assert found[0] == found[3] and 0 < found[2] < found[1] < found[0]


def test_many_short_runs_stay_within_the_size(tmp_path: Path, said: list[str]) -> None:
    for number in range(60):
        cache = Cache(tmp_path, said.append, 1 << 20)
        for part in range(3):
            cache.put(bytes([number, part]) * 16, os.urandom(40_000))
        cache.close()
    assert 10 < Cache(tmp_path, pytest.fail).size()[0] < 40 and not said
    cache.put(KEY, bytes(100 << 20))
    assert cache.get(KEY) is None and not said, "too large to keep"
    cache.close()


def test_results_that_are_held_make_their_maps_anew(tmp_path: Path) -> None:
    folders = quarters(tmp_path, 4, side=64)
    results = percept_cli.score_folders(*folders, layers="conv1_1")
    assert results[0]._scored.candidate is None
    streamed = next(
        percept_cli.score([(folders[0] / "0000.png", folders[1] / "0000.png")], layers="conv1_1")
    )
    assert np.array_equal(results[0].map, streamed.map) and results[0].heatmap()
    table = results.to_arrow()
    assert table.num_rows == 4 and "conv1_1" in table.column_names

"""Runs on Ray give a local run's records, whatever becomes of their workers."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from conftest import Run, clean_environment
from PIL import Image
from pyarrow import parquet

from percept_cli.results import Result
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
from percept_cli.summary import group_of

pytest.importorskip("ray", reason="Ray is not there for this Python")

COUNT = 600
OPEN = {"RAY_AUTH_MODE": "disabled"}
"""Nobody else reaches a cluster of a test."""


@pytest.fixture(scope="module")
def cluster() -> Any:
    """A cluster of its own on this machine, of three workers' cores, as others may be there."""
    ray = Path(sys.executable).parent / "ray"
    start = [ray, "start", "--head", "--num-cpus=3", "--port=0", "--include-dashboard=false"]
    start += ["--node-ip-address=127.0.0.1", "--disable-usage-stats"]
    done = subprocess.run(start, capture_output=True, text=True, env=os.environ | OPEN)
    assert done.returncode == 0, done.stdout + done.stderr
    address = re.search(r"--address='([^']+)'", done.stdout)
    yield address[1] if address else "auto"
    subprocess.run([ray, "stop", "--force"], capture_output=True)


def manifest(folder: Path) -> Path:
    """So many small pairs with a column of their own, of which each fourth differs; one is gone."""
    rng = np.random.default_rng(0)
    lines = ["reference,candidate,quality"]
    for number in range(COUNT):
        pixels = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
        for name in (f"{number}-a.png", f"{number}-b.png"):
            Image.fromarray(pixels).save(folder / name)
            pixels = pixels ^ np.uint8(64 if number % 4 == 0 else 0)
        lines.append(f"{number}-a.png,{number}-b.png,{number % 7}")
    (folder / "9-b.png").unlink()
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def records(folder: Path) -> list[dict[str, str]]:
    files = sorted(folder.glob("*.csv"))
    found = []
    for file in files:
        with file.open(newline="") as stream:
            found += list(csv.DictReader(stream))
    return found


def numbers(rows: list[dict[str, str]]) -> list[dict[str, Any]]:
    """The same rows, with numbers as numbers: writers differ in how they spell them."""

    def value(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    return [{name: value(text) for name, text in row.items()} for row in rows]


def test_records_are_a_local_runs_also_if_workers_die(
    percept: Run, tmp_path: Path, cluster: str
) -> None:
    pairs = manifest(tmp_path)
    options = ("compare", "--pairs", pairs, "--layers=conv1_1", "--quiet")
    by = ("--by", "quality")
    assert percept(*options, "--output", "local.csv").returncode == 3
    percept(*options, "--output", "local.json", *by)
    local_end = json.loads((tmp_path / "local.json").read_text())
    with (tmp_path / "local.csv").open(newline="") as stream:
        local = list(csv.DictReader(stream))
    on_ray = (*options, "--engine=ray", "--ray-address", cluster)

    done = percept(*on_ray, "--workers=1", "--format=csv", "--output=one", *by, **OPEN)
    assert done.returncode == 3, done.stderr
    assert numbers(records(tmp_path / "one")) == numbers(local)
    assert (tmp_path / "one/_summary.json").exists(), done.stderr[-3000:]
    summed = json.loads((tmp_path / "one/_summary.json").read_text())
    assert summed["summary"] == local_end["summary"] and len(summed["summary"]["groups"]) == 7
    assert summed["settings"]["weights_sha256"] == local[0]["weights_sha256"]

    # Two workers, of which one is killed each time that another is there.
    command = [sys.executable, "-m", "percept_cli", *map(str, on_ray), "--workers=2"]
    command += ["--format=parquet", "--output=two", *by]
    process = subprocess.Popen(command, cwd=tmp_path, env=clean_environment(**OPEN))
    killed: set[int] = set()
    while process.poll() is None and len(killed) < 2:
        for pid in workers() - killed:
            time.sleep(0.5)
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
            break
        time.sleep(0.1)
    assert process.wait(300) == 3 and killed
    summed = json.loads((tmp_path / "two/_summary.json").read_text())
    assert summed["summary"] == local_end["summary"]
    rows = [row for file in sorted((tmp_path / "two").glob("*.parquet")) for row in table(file)]
    assert [row["candidate"] for row in rows] == [row["candidate"] for row in local]
    assert [row["quality"] for row in rows] == [row["quality"] for row in local]
    totals = [float(row["total"]) if row["total"] else None for row in local]
    assert [row["total"] for row in rows] == totals

    done = percept(*on_ray, "--output=lines", "--format=jsonl", *by, **OPEN)
    summed = json.loads((tmp_path / "lines/_summary.json").read_text())
    assert summed["summary"] == local_end["summary"]
    found = [
        json.loads(line)
        for file in sorted((tmp_path / "lines").glob("*.jsonl"))
        for line in file.read_text().splitlines()
    ]
    percept(*options, "--output", "local.jsonl")
    lines = (tmp_path / "local.jsonl").read_text().splitlines()[:-1]
    assert found == list(map(json.loads, lines))

    # Of folders each record names them too.
    for name in ("references", "candidates"):
        (tmp_path / name).mkdir()
        for number in range(6):
            side = "a" if name == "references" else "b"
            shutil.copy(tmp_path / f"{number}-{side}.png", tmp_path / name / f"{number}.png")
    folders = ("compare", "references", "candidates", "--layers=conv1_1", "--quiet")
    percept(*folders, "--output=few.csv")
    on_few = ("--engine=ray", "--ray-address", cluster, "--workers=1", "--format=csv")
    percept(*folders, *on_few, "--output=few", **OPEN)
    with (tmp_path / "few.csv").open(newline="") as stream:
        assert numbers(records(tmp_path / "few")) == numbers(list(csv.DictReader(stream)))

    done = percept(*on_ray, "--output=other", "--format=csv", "--by=codec", **OPEN)
    assert done.returncode == 2 and "--by codec: the first pair has no such column" in done.stderr
    done = percept(*on_ray, "--output=lines", "--format=csv", **OPEN)
    assert done.returncode == 2 and "lines is there" in done.stderr


def table(file: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = parquet.read_table(file).to_pylist()
    return rows


def workers() -> set[int]:
    """Processes that score now."""
    listed = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True).stdout
    return {
        int(line.split()[0])
        for line in listed.splitlines()
        if "ray::" in line and "Worker" in line and "IDLE" not in line
    }


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--output=r.csv", "--heatmap=h"], "has no --heatmap"),
        ([], "name a new folder"),
        (["--output=r", "--format=table"], "writes csv, jsonl, parquet"),
        (["--pairs=-", "--output=r.csv"], "has no end"),
    ],
)
def test_options_that_workers_have_not_are_refused(
    percept: Run, options: list[str], words: str
) -> None:
    pair = () if any("--pairs" in option for option in options) else ("a.png", "b.png")
    done = percept("compare", *pair, "--engine=ray", *options)
    assert done.returncode == 2 and words in done.stderr
    done = percept("compare", *pair, "--engine=spark", *options)
    assert done.returncode == 2 and "--engine is local or ray" in done.stderr


def test_parquet_holds_what_csv_does_with_types(percept: Run, tmp_path: Path) -> None:
    pairs = manifest(tmp_path)
    (tmp_path / "few.csv").write_text("\n".join(pairs.read_text().splitlines()[:12]))
    options = ("compare", "--layers=conv1_1", "--quiet")
    percept(*options, "--pairs=few.csv", "--output=r.csv")
    percept(*options, "--pairs=few.csv", "--output=r.parquet")
    rows = table(tmp_path / "r.parquet")
    with (tmp_path / "r.csv").open(newline="") as stream:
        texts = list(csv.DictReader(stream))
    assert list(rows[0]) == list(texts[0])
    for row, text in zip(rows, texts, strict=True):
        assert {n: "" if v is None else str(v) for n, v in row.items()} == text | {
            name: str(float(text[name]))
            for name in ("blur", "most_floor", "area", "colour", "conv1_1_weight")
        }
    end = json.loads(parquet.read_metadata(tmp_path / "r.parquet").metadata[b"percept"])
    assert end["summary"]["pairs"] == 11 and end["settings"]["layers"] == ["conv1_1"]
    # And as a manifest: its own columns but for the images go through.
    parquet.write_table(
        parquet.read_table(tmp_path / "r.parquet").select(["reference", "candidate", "quality"]),
        tmp_path / "again.parquet",
    )
    done = percept(*options, "--pairs=again.parquet", "--format=jsonl")
    found = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert [pair["total"] for pair in found] == [row["total"] for row in rows]
    assert [pair["extra"]["quality"] for pair in found] == [row["quality"] for row in rows]
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 none")
    done = percept(*options, "--pairs=bad.parquet")
    assert done.returncode == 2 and "bad.parquet: no Parquet file" in done.stderr


def test_what_is_summed_up_is_read_from_every_format() -> None:
    from percept_cli.distributed import COUNTED, _counted

    known = {"status": "compared", "total": 0.25, "peak": None, "reference": "a", "candidate": "b"}
    jnd = {"value": 1.5, "low": 1.0, "high": 2.0, "words": "plain", "scale": "these eyes"}
    lines = [json.dumps(known | {"jnd": each, "extra": {}}) for each in (jnd, None)]
    written = {
        "jsonl": pyarrow.table({"text": lines}),
        "csv": pyarrow.table(
            {name: ["" if value is None else str(value)] * 2 for name, value in known.items()}
            | {"jnd": ["1.5", ""]}
        ),
        "parquet": pyarrow.table(
            {name: [value] * 2 for name, value in known.items()} | {"jnd": [1.5, None]}
        ),
    }
    for form, table in written.items():
        found = _counted(table, COUNTED)
        assert found["jnd"].to_pylist() == [1.5, None], form
        assert found["total"].to_pylist() == [0.25] * 2 and found["peak"].to_pylist() == [None] * 2


def test_groups_have_the_names_of_a_local_run() -> None:
    """Also where the first pair's column does not hold what comes later."""
    from percept_cli.distributed import COUNTED, _counted
    from percept_cli.outputs.parquet_writer import cells_of, schema_of

    settings = Scorer(Options(layers=("conv1_1",))).settings()
    for values in ([1, 1.5, 2, "x", None, True], [1.5, 2, 3.0], ["a", 1, None], [True, False, 2]):
        results = [Result("a", "b", "identical", 0.0, 0.0, extra={"k": v}) for v in values]
        schema = schema_of(settings, results[0].extra)
        rows = [cells_of(result, settings, schema) for result in results]
        table = pyarrow.Table.from_pylist(rows, schema)
        found = _counted(table, [*COUNTED, "k", "extra"])["group"].to_pylist()
        assert found == [group_of(value) for value in values]
        # CSV is read as text.
        texts = [{n: "" if v is None else str(v) for n, v in row.items()} for row in rows]
        found = _counted(pyarrow.Table.from_pylist(texts), [*COUNTED, "k", "extra"])
        numbers = {"2.0": "2", "3.0": "3", "True": "true", "False": "false"}
        named = [numbers.get(name, name) for name in found["group"].to_pylist()]
        assert named == [group_of(value) for value in values]


def test_workers_open_what_the_command_opens_and_name_what_it_leaves_out(
    percept: Run, tmp_path: Path, cluster: str
) -> None:
    for folder in ("b", "c"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "notes.txt").write_text("no image")
        # More than Pillow opens by itself; equal, but not as files.
        large = Image.new("1", (14_000, 14_000))
        large.save(tmp_path / folder / "large.png", compress_level=1 if folder == "b" else 2)
    options = ("compare", "b", "c", "--layers=conv1_1", "--format=csv", "--output=run")
    done = percept(*options, "--engine=ray", "--ray-address", cluster, "--workers=1", **OPEN)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run/_summary.json").read_text())["summary"]
    assert summary["identical"] == 1 and len(summary["left_out"]) == 2

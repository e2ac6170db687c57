"""Every format says the same, and JSON says it in the published form."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from percept_cli.errors import PerceptError
from percept_cli.outputs.formats import FORMATS, format_for, writer_for
from percept_cli.outputs.words import figure
from percept_cli.results import (
    SCORING_VERSION,
    Elsewhere,
    FrameResult,
    Jnd,
    Region,
    Result,
    Settings,
    Shard,
    Thresholds,
)
from percept_cli.scoring.options import PRECISIONS
from percept_cli.summary import Summary

LAYERS = ("conv1_1", "pool2")
SETTINGS = Settings(
    preset="photo",
    weights="bundled",
    weights_sha256="0" * 64,
    layers=LAYERS,
    layer_weights={"conv1_1": 1.0, "pool2": 2.5},
    distance="l2",
    blur=0.5,
    tolerance=1,
    floor=0.25,
    area=2.0,
    colour=5.0,
    shrink=0,
    scale={"conv1_1": 71.5, "pool2": 398.0},
    resize="reference",
    align="none",
    size_tolerance=0,
    background="white",
    frame=None,
    max_pixels=1000,
    max_bytes=1000,
    precision="fp32",
    device="cpu",
    ignore=("1,2,3,4",),
    percept_version="0.1.0",
    scoring_version=SCORING_VERSION,
    torch_version="2.6.0",
    configuration="percept.toml",
    references="a",
    candidates="b",
    shard=Shard(2, 5, "0" * 16),
)
RESULTS = (
    Result("a/1.png", "b/1.png", "compared", 0.25, 0.5, (4, 12), {"conv1_1": 0.125, "pool2": 0.3},
           (Region(0, 8, 16, 12, 0.5), Region(40, 8, 8, 8, 0.375)), 64, 48,
           ("candidate resized from 1x1 to 64x48",), heatmap_file="maps/1.png", floor=0.0625,
           peak_parts={"conv1_1": 0.25, "colour": 0.5}, background="black", frame=7,
           frames=(FrameResult(7, 0.25, 0.5, (4, 12), (Region(0, 8, 16, 12, 0.5),), "o.webp",
                               Jnd(1.5, 1.25, 1.75, "plain", "these eyes")),
                   FrameResult(9, 0.125, None, None, ())),
           jnd=Jnd(1.5, 1.25, 1.75, "plain", "these eyes"),
           elsewhere={"total": Elsewhere(0.375, 9, "white"), "pool2": Elsewhere(0.4, None, "red")}),
    Result("a/2.png", "b/2.png", "identical", 0.0, 0.0, None, dict.fromkeys(LAYERS, 0.0), (), 8, 9),
    Result("a/3.png", None, "missing"),
    Result(None, "b/ü,\n4.png", "new"),
    Result("a/5.png", "b/5.png", "error", error="b/5.png: the file is empty: write it again"),
    Result("a/6~mac.png", "b/6.png", "failed", 0.125, 0.625, (4, 4), {"conv1_1": 0.1, "pool2": 0.2},
           (Region(0, 0, 8, 8, 0.625),), 8, 8, (), None, 0.03125,
           Thresholds(0.25, 0.1, {"pool2": 0.15}, 2.0), ("peak 0.625 > 0.25", "total 0.125 > 0.1"),
           {"peak-threshold": 0.25, "ignore": ["1,2,3,4"]}, "maps/6.png"),
)  # fmt: skip


def written(form: str, results: tuple[Result, ...] = RESULTS) -> str:
    stream, summary = io.StringIO(newline=""), Summary()
    writer = writer_for(form, stream, lambda: SETTINGS)
    for result in results:
        summary.add(result)
        writer.write(result)
    summary.complete = True
    writer.close(summary)
    return stream.getvalue()


def schema() -> Any:
    return json.loads((resources.files("percept_cli.outputs") / "results.schema.json").read_text())


def test_json_is_valid_under_the_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())
    precisions = schema()["$defs"]["settings"]["properties"]["precision"]["enum"]
    assert tuple(precisions) == PRECISIONS
    jsonschema.validate(json.loads(written("json")), schema())
    for line in written("jsonl").splitlines():
        jsonschema.validate(json.loads(line), schema())


@pytest.mark.parametrize(
    "change",
    [{"status": "accepted"}, {"total": -1.0}, {"total": None}, {"layers": {"conv9": 1}}, {"x": 1}],
)
def test_the_schema_refuses_other_documents(change: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError, match=r"Failed validating"):
        jsonschema.validate(RESULTS[0].document() | change, schema())


def test_records_are_read_back_as_they_were_written() -> None:
    document = json.loads(written("json"))
    assert tuple(Result.of(pair) for pair in document["pairs"]) == RESULTS
    assert Settings.of(document["settings"]) == SETTINGS
    summary = Summary.over(RESULTS)
    assert summary.document() | {"complete": True} == document["summary"]


def test_json_lines_say_what_the_document_says() -> None:
    document = json.loads(written("json"))
    *pairs, closing = map(json.loads, written("jsonl").splitlines())
    assert pairs == document.pop("pairs") and closing == document
    assert len(pairs) == len(RESULTS)


def test_rows_say_what_the_document_says() -> None:
    document = json.loads(written("json"))
    rows = list(csv.DictReader(io.StringIO(written("csv"), newline="")))
    for row, pair in zip(rows, document["pairs"], strict=True):
        for name in ("reference", "candidate", "status", "error"):
            assert row[name] == (pair[name] or "")
        for name in ("total", "peak", "floor", "width", "height"):
            assert (float(row[name]) if row[name] else None) == pair[name]
        place = [int(row[name]) for name in ("peak_x", "peak_y") if row[name]]
        assert place == (pair["peak_at"] or [])
        assert {name: float(row[name]) for name in LAYERS if row[name]} == pair["layers"]
        for name in ("notes", "failures"):
            assert row[name] == "; ".join(pair[name])
        assert row["heatmap"] == (pair["heatmap"] or "")
        assert row["overlay"] == (pair["overlay"] or "")
        assert json.loads(row["overrides"] or "{}") == pair["overrides"]
        regions = [
            f"{r['x']},{r['y']},{r['width']},{r['height']}={r['peak']}" for r in pair["regions"]
        ]
        assert row["regions"] == "; ".join(regions)
        parts = (f"{name}={value}" for name, value in pair["peak_parts"].items())
        assert row["peak_parts"] == "; ".join(parts)
        assert (row["shown_on"], row["frame"]) == (
            pair["background"] or "",
            str(pair["frame"] or ""),
        )
        frames = (
            f"{f['number']}={f['total'] if f['peak'] is None else f['peak']}"
            + (f" jnd={f['jnd']['value']}" if f["jnd"] else "")
            for f in pair["frames"]
        )
        assert row["frames"] == "; ".join(frames)
        larger = (
            f"{name}={found['value']}"
            + (f" frame {found['frame']}" if found["frame"] else "")
            + f" on {found['background']}"
            for name, found in pair["elsewhere"].items()
        )
        assert row["elsewhere"] == "; ".join(larger)
        ends = {"value": "", "low": "_low", "high": "_high", "words": "_words", "scale": "_scale"}
        jnd = pair["jnd"] or dict.fromkeys(ends, "")
        assert {name: row[f"jnd{end}"] for name, end in ends.items()} == {
            name: str(value) for name, value in jnd.items()
        }
        limits = pair["thresholds"] or {"peak": None, "total": None, "jnd": None, "layers": {}}
        for kind in ("peak", "total", "jnd"):
            column = "threshold" if kind == "total" else f"{kind}_threshold"
            assert row[column] == str(limits[kind] or "")
        layers = [f"{name}={value}" for name, value in limits["layers"].items()]
        assert row["layer_thresholds"] == "; ".join(layers)
        used = bool(pair["total"])
        for name, value in document["settings"].items():
            if name in ("weights_sha256", "device"):
                assert row[name] == (value if used else "")
            elif name == "layer_weights":
                assert {layer: float(row[f"{layer}_weight"]) for layer in LAYERS} == value
            elif name == "scale":
                scale = {layer: float(row[f"{layer}_scale"] or "nan") for layer in LAYERS}
                assert scale == value or not used
            elif name == "floor":
                assert row["most_floor"] == str(value)
            elif name == "frame":
                assert row["only_frame"] == str(value or "")
            elif name == "ignore":
                assert row[name] == "; ".join(value)
            elif name == "also":
                assert row[name] == ",".join(value)
            elif name == "shard":
                assert row[name] == f"{value['number']}/{value['of']}"
            elif name != "layers":
                assert row[name] == str(value)


def test_the_table_shows_the_numbers_of_the_document() -> None:
    document = json.loads(written("json"))
    table = written("table")
    for pair in document["pairs"]:
        if pair["total"] is not None:
            numbers = [pair["total"], pair["peak"], *pair["layers"].values()]
            assert all(figure(number) in table for number in numbers)
            assert f"{pair['width']}x{pair['height']}" in table
        else:
            assert pair["status"] in table
    assert "4,12" in table and "candidate resized" in table
    assert "6 pairs: 1 identical, 1 compared, 1 failed, 1 missing, 1 new, 1 error" in table
    for value in (
        "bundled",
        "l2",
        "blur 0.5",
        "tolerance 1",
        "ignored 1,2,3,4",
        "71.5",
        "2.5",
        "white",
        "1000",
        "fp32 on cpu",
        "0.1.0",
        "2.6.0",
    ):
        assert value in table


def test_one_pair_is_shown_in_full() -> None:
    table = written("table", RESULTS[:1])
    assert "0,8 16x12  peak 0.5000" in table and "40,8 8x8  peak 0.3750" in table
    assert [line.split()[0] for line in table.splitlines() if line][:8] == [
        "reference", "candidate", "size", "note", "layer", "conv1_1", "pool2", "total",
    ]  # fmt: skip


def test_a_table_shows_no_more_than_its_limit() -> None:
    stream, summary = io.StringIO(), Summary()
    writer = writer_for("table", stream, lambda: SETTINGS, limit=2)
    for result in RESULTS:
        writer.write(result)
    writer.close(summary)
    assert "2.png" in stream.getvalue() and "3.png" not in stream.getvalue()
    assert "and 4 more: --limit 0 shows all" in stream.getvalue()


def test_a_table_of_stored_images_names_their_folder() -> None:
    for folder in ("s3://eval/run", "run:1/12:30"):
        names = (f"{folder}/a/1.png", f"{folder}/b/2.png")
        table = written("table", [replace(RESULTS[1], candidate=name) for name in names])
        assert f"pair in {folder} " in table and " a/1.png" in table


def test_small_figures_do_not_vanish() -> None:
    assert [figure(v) for v in (None, 0.0, 1e-9, 0.00099, 0.12345)] == [
        "-", "0.0000", "1.0e-09", "9.9e-04", "0.1235",
    ]  # fmt: skip


def test_the_suffix_tells_the_format() -> None:
    assert format_for(None, Path("a.csv")) == "csv"
    assert format_for(None, Path("a.ndjson")) == "jsonl"
    assert format_for("json", Path("a.csv")) == "json"
    assert format_for(None, None) is None
    assert set(FORMATS) == {"table", "csv", "json", "jsonl", "parquet"}
    with pytest.raises(PerceptError, match="unknown format 'xml'"):
        format_for("xml", None)
    with pytest.raises(PerceptError, match=r"a.xml: no format has this suffix"):
        format_for(None, Path("a.xml"))


def test_a_check_shows_what_fails_in_full() -> None:
    shown = written("check")
    assert "1.png" not in shown and "2.png" not in shown
    failed = shown[shown.index("FAILED  b/6.png") :].splitlines()
    assert [line.strip() for line in failed[:6]] == [
        "FAILED  b/6.png",
        "peak 0.625 > 0.25; total 0.125 > 0.1  (total 0.1250, peak 0.6250, floor 0.0312)",
        "layers  pool2 0.2000, conv1_1 0.1000",
        "at 0,0 8x8  peak 0.6250",
        "baseline a/6~mac.png",
        "heat map maps/6.png",
    ]
    assert "ERROR  b/5.png  the file is empty" in shown

"""Many pairs in Python: the command's numbers, in order, as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, Run
from PIL import Image

import percept_cli
from percept_cli import Pair, PerceptError

REFERENCES, CHANGED = SAMPLES / "references", SAMPLES / "jpeg-3"
NAMES = ("astronaut", "coffee", "dashboard")
PAIRS = [(REFERENCES / f"{name}.png", CHANGED / f"{name}.jpg") for name in NAMES]


def test_scores_are_the_commands_and_come_in_order(percept: Run, tmp_path: Path) -> None:
    lines = ["reference,candidate,codec", *(f"{r},{c},jpeg" for r, c in PAIRS)]
    (tmp_path / "m.csv").write_text("\n".join(lines))
    done = percept("compare", "--pairs", "m.csv", "--distance", "unit", "--format", "jsonl")
    said = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    pairs = [Pair(reference, candidate, {"codec": "jpeg"}) for reference, candidate in PAIRS]
    found = [result.document() for result in percept_cli.score(pairs, distance="unit")]
    assert found == said and said[0]["extra"] == {"codec": "jpeg"}


def test_pairs_are_asked_for_as_they_are_needed() -> None:
    asked = []

    def endless() -> Iterator[tuple[Path, Path]]:
        while True:
            asked.append(1)
            yield PAIRS[1]

    results = percept_cli.score(endless(), layers=["conv1_1"])
    first = next(results)
    assert first.total and len(asked) < 20


def test_any_kind_of_image_is_taken_and_an_error_costs_its_own_pair() -> None:
    reference, candidate = PAIRS[1]
    with Image.open(reference) as image, Image.open(candidate) as other:
        picture, pixels = image.convert("RGB"), np.asarray(other.convert("RGB"))
    results = list(
        percept_cli.score(
            [
                (str(reference), str(candidate)),
                (picture, pixels),
                (reference, "nowhere.png"),
                (picture, np.asarray(picture)),
            ]
        )
    )
    assert results[0].total == pytest.approx(results[1].total, rel=1e-12)
    assert results[2].status == "error" and "nowhere.png: no such file" in str(results[2].error)
    assert results[3].status == "identical"


def test_the_map_and_its_picture_are_those_of_the_command(percept: Run, tmp_path: Path) -> None:
    reference, candidate = PAIRS[2]
    result = percept_cli.compare(reference, candidate, preset="rendering")
    assert result.map is not None and result.map.max() == result.peak
    percept("compare", reference, candidate, "--preset", "rendering", "--heatmap", "map.png")
    picture = result.heatmap()
    assert picture is not None
    with Image.open(tmp_path / "map.png") as written:
        assert np.array_equal(np.asarray(picture), np.asarray(written))
    same = percept_cli.compare(reference, reference)
    assert same.map is None and same.heatmap() is None
    assert percept_cli.compare(reference, candidate, distance="gram").map is None


def test_a_check_takes_values_as_the_command_does() -> None:
    page = REFERENCES / "dashboard.png"
    assert percept_cli.check(page, page, ignore="0,0,9,9", resize=128, tolerance=None).passed
    with pytest.raises(PerceptError, match="tolerance = '3': give a whole number"):
        percept_cli.check(page, page, tolerance="3")
    with pytest.raises(PerceptError, match="None is no image"):
        percept_cli.compare(None, page)  # type: ignore[arg-type]


def test_an_array_without_a_partner_is_new() -> None:
    pairs = [Pair(None, np.zeros((64, 64, 3), np.uint8)), Pair(PAIRS[0][0], PAIRS[0][0])]
    assert [result.status for result in percept_cli.score(pairs)] == ["new", "identical"]


def test_folders_are_tables_too() -> None:
    results = percept_cli.score_folders(REFERENCES, CHANGED, layers=["conv1_1", "conv3_1"])
    assert len(results) == 5 and results.summary().scored == 5
    frame = results.to_pandas()
    assert list(frame["total"]) == [result.total for result in results]
    assert {"conv1_1", "conv3_1", "status", "reference"} <= set(frame.columns)
    table = results.to_arrow()
    assert table.num_rows == 5 and table["conv3_1"].to_pylist() == list(frame["conv3_1"])
    one = percept_cli.score_folders(REFERENCES / "coffee.png", CHANGED, layers=["conv1_1"])
    assert [Path(result.reference or "").name for result in one] == ["coffee.png"] * 5


def test_a_picture_may_be_in_many_pairs_that_are_decoded_at_once(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (900, 900, 3), dtype=np.uint8)
    for suffix in ("png", "jpg", "bmp"):
        file = tmp_path / f"large.{suffix}"
        Image.fromarray(pixels).save(file)
        with Image.open(file) as shared:
            pairs = [(shared, file) for _ in range(6)]
            found = list(percept_cli.score(pairs, cache=False, layers=["conv1_1"]))
        assert {result.status for result in found} == {"identical"}, found[0].error


def test_what_is_left_out_and_what_means_nothing_is_said(tmp_path: Path) -> None:
    for folder in ("b", "c"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / folder / "a.png")
        (tmp_path / folder / "notes.txt").write_text("no image")
    folders = tmp_path / "b", tmp_path / "c"
    for results in (percept_cli.score_folders(*folders), percept_cli.check(*folders)):
        assert any(name.endswith("notes.txt") for name in results.summary().left_out)
    with pytest.raises(PerceptError, match="matches no image"):
        percept_cli.check(*folders, images={"charts/*": {"threshold": 1}})
    with pytest.raises(PerceptError, match="'strict' is measured for the preset rendering"):
        percept_cli.check(*folders, jnd=1, peak_threshold="strict")


def test_a_check_says_what_passed(tmp_path: Path) -> None:
    assert percept_cli.check(REFERENCES, REFERENCES).passed
    failed = percept_cli.check(REFERENCES, SAMPLES / "edit-2")
    assert not failed.passed and len(failed.failed) == 5
    assert percept_cli.check(REFERENCES, SAMPLES / "edit-2", peak_threshold=9).passed
    ignoring = {"*": {"threshold": 9, "peak-threshold": "none"}}
    assert percept_cli.check(REFERENCES, SAMPLES / "edit-2", images=ignoring).passed
    page = REFERENCES / "dashboard.png"
    assert percept_cli.check(page, page).passed
    (tmp_path / "empty").mkdir()
    with pytest.raises(PerceptError, match="nothing to compare"):
        percept_cli.check(tmp_path / "empty", tmp_path / "empty")


def test_a_result_shows_itself_in_a_notebook() -> None:
    result = percept_cli.compare(*PAIRS[2])
    page = result._repr_html_()
    assert "data:image/png;base64," in page and "dashboard.jpg" in page and "conv4_1" in page
    evil = next(percept_cli.score([("<script>.png", "<script>.png")]))
    assert "<script>" not in evil._repr_html_()
    results = percept_cli.score_folders(REFERENCES, CHANGED, layers=["conv1_1"])
    assert results._repr_html_().count("<tr>") == 5 and "5 pairs" in repr(results)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"layer": "conv1_1"}, "unknown option 'layer'"), ({"blur": 99}, "--blur 99: give 0 to 32")],
)
def test_options_that_mean_nothing_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(PerceptError, match=said):
        percept_cli.score(PAIRS, **options)
    with pytest.raises(PerceptError, match=r"give \(reference, candidate\), or a Pair"):
        next(percept_cli.score([Path("a.png")]))  # type: ignore[list-item]


def test_columns_of_a_manifest_go_through_to_every_output(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text(
        "codec,reference,candidate,status\n"
        f"jpeg,{PAIRS[0][0]},{PAIRS[0][1]},mine\nnone,{PAIRS[0][0]},{PAIRS[0][0]},\n"
    )
    arguments = ("compare", "--pairs", "m.csv", "--layers", "conv1_1", "--format")
    rows = percept(*arguments, "csv").stdout.splitlines()
    head = rows[0].split(",")
    assert head[-1] == "codec" and head.count("status") == 1
    assert [row.split(",")[-1] for row in rows[1:]] == ["jpeg", "none"]
    assert '{""status"": ""mine""}' in rows[1], "what is called like a column of ours"
    pairs = json.loads(percept(*arguments, "json").stdout)["pairs"]
    assert [pair["extra"]["codec"] for pair in pairs] == ["jpeg", "none"]


def test_the_map_of_an_animations_frame_is_the_one_that_was_judged(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).integers(0, 256, (2, 96, 64, 3), dtype=np.uint8)
    moved = rows.copy()
    moved[1] = np.concatenate([rows[1, 20:40], rows[1, :20], rows[1, 40:]])
    for name, frames in (("b", rows), ("c", moved)):
        (tmp_path / name).mkdir()
        first, second = map(Image.fromarray, frames)
        first.save(tmp_path / name / "a.tif", save_all=True, append_images=[second])
    for align in ("none", "rows"):
        (found,) = percept_cli.score_folders(tmp_path / "b", tmp_path / "c", align=align)
        assert found.frame == 2 and found.peak and not found.bands
        assert found.map is not None and found.map.max() == found.peak
        alone = percept_cli.compare(
            tmp_path / "b/a.tif", tmp_path / "c/a.tif", align=align, frame=2
        )
        assert alone.peak == found.peak


def test_boxes_may_be_numbers(tmp_path: Path) -> None:
    page = np.asarray(Image.open(REFERENCES / "dashboard.png").convert("RGB"))
    for name, value in (("b", 0), ("c", 255)):
        spoilt = page.copy()
        spoilt[:16, :16] = value
        Image.fromarray(spoilt).save(tmp_path / f"{name}.png")
    two = tmp_path / "b.png", tmp_path / "c.png"
    assert not percept_cli.check(*two).passed
    for box in ("0,0,20,20", ["0,0,20,20"], [[0, 0, 20, 20]]):
        assert percept_cli.check(*two, ignore=box).passed, box
        assert percept_cli.compare(*two, ignore=box).total == 0
        assert percept_cli.check(*two, images={"*": {"ignore": box}}).passed, box
    mask = np.zeros(page.shape[:2], np.uint8)
    mask[:20, :20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert percept_cli.compare(*two, ignore=[tmp_path / "mask.png"]).total == 0
    with pytest.raises(PerceptError, match="ignored region 0: give a list of x,y,width,height"):
        percept_cli.compare(*two, ignore=[0, 0, 20, 20])  # type: ignore[list-item]

"""Saved results that somebody changed: refused with the field's name, or used without a defect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, Run
from PIL import Image
from test_formats import SETTINGS

from percept_cli.cli.explain import explain
from percept_cli.cli.merge import merge
from percept_cli.cli.report import report
from percept_cli.errors import PerceptError
from percept_cli.inputs.saved import read_saved
from percept_cli.outputs.report_page import page_of
from percept_cli.summary import Summary

JUNK: tuple[Any, ...] = (
    None, True, -1, 0, 1e30, 2**70, "", "x", "../../etc/passwd", "\x1b[31m::error::", [], [None],
    ["x"], {}, {"x": 1}, [[[[]]]], 0.5,
)  # fmt: skip


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The results of a check with a change in a page that grew, an error and a missing image."""
    from percept_cli.cli.app import add_commands, app

    folder = tmp_path_factory.mktemp("saved")
    for name in ("b", "c"):
        (folder / name).mkdir()
        for image in ("coffee", "chelsea", "article"):
            content = (SAMPLES / "references" / f"{image}.png").read_bytes()
            (folder / name / f"{image}.png").write_bytes(content)
    with Image.open(SAMPLES / "edit-1/coffee.png") as image:
        grown = image.convert("RGB").crop((0, -20, *image.size))
    grown.save(folder / "c/coffee.png")
    (folder / "c/article.png").write_bytes(b"none")
    (folder / "c/chelsea.png").unlink()
    add_commands(("check",))
    arguments = ["check", str(folder / "b"), str(folder / "c"), f"--json={folder / 'r.json'}", "-q"]
    app(arguments, standalone_mode=False)
    document: dict[str, Any] = json.loads((folder / "r.json").read_text())
    return document


def changed(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[str, Any]]:
    """The document with each of its fields made something else, or left out."""
    inner = document.items() if isinstance(document, dict) else enumerate(document)
    for key, value in list(inner):
        copy = json.loads(json.dumps(document))
        for junk in JUNK:
            copy[key] = junk
            yield f"{(*path, key)} = {junk!r}", copy
        if isinstance(document, dict):
            del copy[key]
            yield f"{(*path, key)} left out", copy
        if isinstance(value, dict | list):
            for words, part in changed(value, (*path, key)):
                copy[key] = part
                yield words, copy


def test_any_changed_field_is_refused_or_harmless(
    saved: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read by both commands that do, to a report with copies, JSON and JUnit."""
    file = tmp_path / "r.json"
    tried = refused = 0
    for words, document in changed(saved):
        tried += 1
        file.write_text(json.dumps(document))
        try:
            read_saved(file)
        except PerceptError as error:
            assert str(error).startswith(f"{file}: "), words
            refused += 1
            continue
        for use in (
            lambda: merge([file], json=tmp_path / "m.json", junit=tmp_path / "m.xml", quiet=True),
            lambda: explain(file),
            lambda: report(file, output=tmp_path / "report", report_copy=True, quiet=True),
        ):
            try:
                use()
            except (PerceptError, SystemExit) as error:
                assert "\n" not in str(error), words
            except Exception as error:
                # What typer ends a command with.
                assert type(error).__name__ == "Exit", f"{words}: {error!r}"
        assert "\x1b" not in capsys.readouterr().out, words
    assert tried > 1500 and refused > tried / 2


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{",
        "null",
        "1",
        "[" * 100_000,
        '{"version": NaN}',
        "\ufeff{}",
        "{}\n{}",
        "1" * 5000,
    ],
)
def test_what_is_no_result_is_said_to_be_none(percept: Run, tmp_path: Path, content: str) -> None:
    (tmp_path / "r.json").write_text(content)
    for command in ("merge", "report"):
        done = percept(command, "r.json")
        assert done.returncode == 2 and done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("percept: r.json: no results of percept")


def test_report_copies_no_file_that_is_no_picture(
    saved: dict[str, Any], percept: Run, tmp_path: Path
) -> None:
    (tmp_path / "secret.png").write_text("password")
    document = json.loads(json.dumps(saved))
    for pair in document["pairs"]:
        pair["candidate"] = str(tmp_path / "secret.png")
    (tmp_path / "r.json").write_text(json.dumps(document))
    assert percept("report", "r.json", "--report-copy").returncode == 0
    copied = [file for file in (tmp_path / "percept-report").rglob("*") if file.is_file()]
    assert copied and not any(b"password" in file.read_bytes() for file in copied)


def test_report_reads_no_picture_outside_of_the_roots(
    saved: dict[str, Any], percept: Run, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("private")
    private = elsewhere / "private.png"
    Image.new("RGB", (300, 300), "red").save(private)
    (tmp_path / "link.png").symlink_to(private)
    document = json.loads(json.dumps(saved))
    for pair in document["pairs"]:
        pair |= {"candidate": str(private), "overlay": str(private), "reference": "link.png"}
        pair |= {"heatmap": "../" * 20 + str(private)[1:]}
    (tmp_path / "r.json").write_text(json.dumps(document))
    for options in (["--report-copy"], ["--root=."]):
        done = percept("report", "r.json", *options)
        assert done.returncode == 0 and "3, such as " in done.stderr, done.stderr
        assert "--root DIR shows those of a folder" in done.stderr
        assert [file.name for file in (tmp_path / "percept-report").rglob("*.*")] == ["index.html"]
    done = percept("report", "r.json", f"--root={elsewhere}", "--report-copy")
    assert "pictures not shown" not in done.stderr
    originals = (tmp_path / "percept-report/originals").iterdir()
    assert [file.read_bytes() for file in originals] == [private.read_bytes()]


def test_pictures_that_are_gone_are_counted(
    saved: dict[str, Any], percept: Run, tmp_path: Path
) -> None:
    document = json.loads(json.dumps(saved))
    for pair in document["pairs"]:
        pair |= {"candidate": "gone.png", "overlay": None}
    (tmp_path / "r.json").write_text(json.dumps(document))
    done = percept("report", "r.json")
    assert "pictures not shown: 1, such as gone.png, not there" in done.stderr


@pytest.mark.parametrize(
    ("field", "value"),
    [("x", 5000), ("y", 5000), ("width", 5000), ("height", 5000)],
)
def test_regions_lie_in_their_image(
    saved: dict[str, Any], tmp_path: Path, field: str, value: int
) -> None:
    document = json.loads(json.dumps(saved))
    (grown,) = (pair for pair in document["pairs"] if pair["bands"])
    grown["regions"][0][field] = value
    (tmp_path / "r.json").write_text(json.dumps(document))
    with pytest.raises(PerceptError, match="no results of percept"):
        read_saved(tmp_path / "r.json")


def test_thousands_of_bands_are_drawn_at_once(saved: dict[str, Any], tmp_path: Path) -> None:
    document = json.loads(json.dumps(saved))
    (grown,) = (pair for pair in document["pairs"] if pair["bands"])
    grown["height"] = 40_000
    grown["bands"] = [
        {"kind": "inserted", "axis": "rows", "reference": [n, n], "candidate": [2 * n, 2 * n + 1]}
        for n in range(20_000)
    ]
    (tmp_path / "r.json").write_text(json.dumps(document))
    (pair,) = (result for result in read_saved(tmp_path / "r.json").results if result.bands)
    assert len(page_of([pair], [{"frames": []}], Summary.over([pair]), SETTINGS)) > 100_000


def test_parts_that_do_not_fit_together_are_no_traceback(
    percept: Run, tmp_path: Path, saved: dict[str, Any]
) -> None:
    lacking = json.loads(json.dumps(saved))
    del lacking["settings"]["scale"][lacking["settings"]["layers"][0]]
    framed = json.loads(json.dumps(saved))
    pair = next(pair for pair in framed["pairs"] if pair["status"] == "failed")
    frame = {"number": 1, "total": 1.0, "peak": 1.0, "overlay": None}
    pair |= {"reference": None, "frames": [frame]}
    for document in (lacking, framed):
        (tmp_path / "r.json").write_text(json.dumps(document))
        for command in (("report", "r.json", "--output", "page"), ("explain", "r.json")):
            done = percept(*command)
            assert done.returncode in (0, 2) and "Traceback" not in done.stderr, done.stderr


def test_a_table_leaves_open_what_the_results_lack(percept: Run, tmp_path: Path) -> None:
    for folder, pairs in (("references", 1), ("edit-1", 2)):
        for name in ("coffee", "dashboard")[:pairs]:
            files = SAMPLES / "references" / f"{name}.png", SAMPLES / folder / f"{name}.png"
            (tmp_path / "b").mkdir(exist_ok=True), (tmp_path / "c").mkdir(exist_ok=True)
            for side, file in zip(("b", "c"), files, strict=True):
                (tmp_path / side / f"{name}.png").write_bytes(file.read_bytes())
        percept("compare", "b", "c", "--shard=1/1", "--layers=conv1_1,conv2_1", "--output=s.json")
        document = json.loads((tmp_path / "s.json").read_text())
        if document["settings"]["scale"]:
            del document["settings"]["scale"]["conv2_1"]
        (tmp_path / "s.json").write_text(json.dumps(document))
        done = percept("merge", "s.json")
        assert done.returncode == 0 and not done.stderr, done.stderr

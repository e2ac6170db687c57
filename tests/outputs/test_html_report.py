"""The report as files: what is in it, how large it is, and that names stay text."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from test_formats import RESULTS, SETTINGS

from percept_cli.errors import OutputError
from percept_cli.outputs.heatmap import Map, overlay
from percept_cli.outputs.html_report import PREVIEW, Report, check_free
from percept_cli.outputs.report_page import approval
from percept_cli.results import Result, Thresholds
from percept_cli.summary import Summary

EVIL = (
    "<script>alert(1)<script>.png",
    "<!--<img src=x onerror=alert(1)>.png",
    "a\"b'c&d.png",
    "new\nline.png",
    "\u202egnp.exe\u2066.png",
    "{{ 7*7 }}{% raw %}.png",
    f"{'n' * 251}.png",
)


FAILED = RESULTS[-1]


class Tags(HTMLParser):
    """Every tag of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


def decode(file: str, *_: object) -> Image.Image | None:
    try:
        with Image.open(file) as image:
            return image.copy()
    except OSError:
        return None


def written(folder: Path, results: list[Result], *, copy: bool = False, **settings: Any) -> str:
    summary = Summary.over(results)
    summary.complete = True
    Report(folder, decode, copy).write(results, summary, replace(SETTINGS, **settings))
    return (folder / "index.html").read_text(encoding="utf-8")


def data_of(page: str) -> Any:
    return json.loads(page.split('id="data">')[1].split("</script>")[0])


def compared(reference: Path, candidate: Path, **more: Any) -> Result:
    base = replace(
        RESULTS[0], reference=str(reference), candidate=str(candidate), heatmap_file=None
    )
    return replace(base, **more)


def test_the_page_holds_all_results_and_settings(tmp_path: Path) -> None:
    page = written(tmp_path, list(RESULTS))
    for shown, result in zip(data_of(page)["pairs"], RESULTS, strict=True):
        document = result.document()
        for name in ("total", "peak", "layers", "regions", "status", "failures", "overrides"):
            assert shown[name] == document[name]
        assert list(shown["layers"]) == list(document["layers"])
    for text in ("0.1.0", "2.6.0", "0" * 64, "tolerance", "fp32", "2/5"):
        assert text in page


def test_nothing_is_fetched_and_only_our_script_may_run(tmp_path: Path) -> None:
    page = written(tmp_path, list(RESULTS))
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    tags = Tags(page).found
    assert not [tag for tag, _ in tags if tag in ("link", "iframe", "object")][1:]
    policy = next(a["content"] for t, a in tags if t == "meta" and "http-equiv" in a) or ""
    assert "default-src 'none'" in policy and "script-src 'sha256-" in policy


@pytest.mark.parametrize("name", EVIL)
def test_names_stay_text(tmp_path: Path, name: str) -> None:
    before, after = tmp_path / "before", tmp_path / "after"
    for folder in (before, after):
        folder.mkdir()
        shutil.copy(SAMPLES / "references/coffee.png", folder / name)
    result = replace(FAILED, reference=str(before / name), candidate=str(after / name))
    result = replace(result, notes=(name,), failures=(name,), overrides={name: name})
    harmless = replace(FAILED, reference="a", candidate="b")
    roots = {"references": f"<b>{name}", "candidates": str(after)}
    page = written(tmp_path / "report", [result], **roots)
    plain = written(tmp_path / "plain", [harmless], references="a", candidates="b")
    assert [tag for tag, _ in Tags(page).found] == [tag for tag, _ in Tags(plain).found]
    shown = data_of(page)["pairs"][0]
    assert shown["id"].isprintable()
    assert "\u202e" not in page
    assert shown["failures"] == [name]
    assert (tmp_path / "report" / shown["pictures"]["candidate"]).is_file()
    original = unquote(shown["pictures"]["candidate_original"])
    assert (tmp_path / "report" / original).samefile(after / name)


def test_pictures_are_small_and_kept_once(tmp_path: Path) -> None:
    large = tmp_path / "large.png"
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2500, 3), dtype=np.uint8)
    Image.fromarray(noise).save(large)
    results = [compared(large, large, status="identical") for _ in range(20)]
    page = written(tmp_path / "report", results)
    files = list((tmp_path / "report/pictures").iterdir())
    assert len(files) == 2, "a preview and a thumbnail"
    assert sum(file.stat().st_size for file in files) < large.stat().st_size / 20
    preview = tmp_path / "report" / data_of(page)["pairs"][0]["pictures"]["candidate"]
    with Image.open(preview) as picture:
        # Each side is rounded to a whole pixel.
        assert (picture.width - 1) * (picture.height - 1) < PREVIEW**2
        assert abs(picture.width * 1500 - picture.height * 2500) <= (1500 + 2500) / 2
    assert not (tmp_path / "report/originals").exists()


def test_long_pages_keep_some_width(tmp_path: Path) -> None:
    long = tmp_path / "long.png"
    Image.new("RGB", (1200, 30_000), "orange").save(long)
    data = data_of(written(tmp_path / "report", [compared(long, long, status="identical")]))
    with Image.open(tmp_path / "report" / data["pairs"][0]["pictures"]["candidate"]) as picture:
        assert picture.width > 100


def test_only_pictures_are_taken_into_the_report(tmp_path: Path) -> None:
    secret = tmp_path / "secret.png"
    secret.write_text("secret")
    result = replace(FAILED, overlay=str(secret), heatmap_file=str(secret), candidate=str(secret))
    written(tmp_path / "report", [result], copy=True)
    assert [file.name for file in (tmp_path / "report").rglob("*")] == ["index.html"]


def test_originals_are_copied_by_choice_only_where_images_differ(tmp_path: Path) -> None:
    same, other = SAMPLES / "references/coffee.png", SAMPLES / "noise-2/coffee.png"
    results = [compared(same, other), compared(same, same, status="identical")]
    linked = data_of(written(tmp_path / "linked", results))["pairs"]
    assert linked[0]["pictures"]["candidate_original"].startswith("../")
    copied = data_of(written(tmp_path / "copied", results, copy=True))["pairs"]
    url = copied[0]["pictures"]["candidate_original"]
    assert url.startswith("originals/")
    assert (tmp_path / "copied" / url).read_bytes() == other.read_bytes()
    assert len(list((tmp_path / "copied/originals").iterdir())) == 2
    assert copied[1]["pictures"]["candidate_original"].startswith("../")


def test_a_second_report_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    (tmp_path / "pictures" / "mine.webp").touch()
    for name in ("coffee", "article"):
        file = SAMPLES / f"references/{name}.png"
        written(tmp_path, [compared(file, file)], copy=True)
    assert len(list((tmp_path / "pictures").iterdir())) == 2 + 1
    assert len(list((tmp_path / "originals").iterdir())) == 1
    assert (tmp_path / "pictures" / "mine.webp").exists()


def test_a_folder_of_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "home.png").touch()
    with pytest.raises(OutputError, match="it holds other files: name a new folder"):
        check_free(tmp_path)


def test_a_page_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("<title>My site</title>")
    with pytest.raises(OutputError, match=r"its index.html is not percept's"):
        check_free(tmp_path)
    with pytest.raises(OutputError, match=r"its index.html is not percept's"):
        written(tmp_path, list(RESULTS))
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"it is a file: name a folder"):
        check_free(tmp_path / "file")


def test_the_overlay_is_clear_where_nothing_differs_and_has_the_images_shape() -> None:
    cells = np.zeros((16, 24))
    cells[4, 6] = 1.0
    picture = overlay(Map(cells, 8), (199, 130))
    assert picture.mode == "RGBA"
    # Each side is rounded to a whole pixel.
    assert abs(picture.width * 130 - picture.height * 199) <= (130 + 199) / 2
    alpha = np.asarray(picture)[..., 3]
    rows, columns = np.nonzero(alpha)
    # The cell's pixels are 48 to 56 across and 32 to 40 down; they fade over half a cell.
    scale = picture.width / 199
    assert alpha.max() > 250
    assert columns.min() / scale >= 40 and columns.max() / scale <= 64
    assert rows.min() / scale >= 24 and rows.max() / scale <= 48
    assert max(overlay(Map(np.ones((2000, 1000)), 1), (1000, 2000)).size) <= 1024


@pytest.mark.parametrize(
    ("reference", "candidate", "status", "command"),
    [
        ("b/x/1.png", "c/x/1.png", "failed", "percept approve --all -- b c x/1.png"),
        ("b/1~mac.png", "c/1.png", "failed", "percept approve --all -- b c 1.png"),
        ("b/1.png", None, "missing", "percept approve --prune -- b c 1.png"),
        (None, "c/1.png", "new", "percept approve --all -- b c 1.png"),
        (
            "b/1.png",
            "c/a b'[1].png",
            "failed",
            """percept approve --all -- b c 'a b'"'"'[[]1].png'""",
        ),
    ],
)
def test_what_fails_has_the_command_that_accepts_it(
    reference: str | None, candidate: str | None, status: Any, command: str
) -> None:
    result = Result(reference, candidate, status, failures=("it is so",))
    assert approval(result, SETTINGS) is None
    settings = replace(SETTINGS, references="b", candidates="c")
    assert approval(result, settings) == command
    assert approval(replace(result, failures=()), settings) is None


@pytest.mark.parametrize("name", EVIL)
def test_the_command_names_exactly_that_image(tmp_path: Path, name: str) -> None:
    for folder in ("b", "c"):
        (tmp_path / folder).mkdir()
        for file in (name, "other.png"):
            colour = "red" if folder == "b" else "blue"
            Image.new("RGB", (8, 8), colour).save(tmp_path / folder / file)
    result = Result(f"b/{name}", f"c/{name}", "failed", failures=("x",), thresholds=Thresholds(1))
    command = approval(result, replace(SETTINGS, references="b", candidates="c"))
    if not name.isprintable():
        assert command is None  # No line can show it.
        return
    assert command
    run = f'percept() {{ "{sys.executable}" -m percept_cli "$@"; }}\n{command}'
    done = subprocess.run(["sh", "-c", run], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "b" / name).read_bytes() == (tmp_path / "c" / name).read_bytes()
    assert (tmp_path / "b/other.png").read_bytes() != (tmp_path / "c/other.png").read_bytes()

"""The report by use, in a real browser: every control, the keyboard, and whom it shuts out."""

from __future__ import annotations

import io
import json
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES, Run
from PIL import Image
from test_html_report import EVIL as EVIL_NAMES
from test_html_report import written

from percept_cli.outputs.heatmap import Map, overlay
from percept_cli.results import Region, Result, Thresholds

NEEDED = bool(os.environ.get("REQUIRE_BROWSER"))
"""Set where these tests must run: then a missing browser is a failure."""

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))), None)
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
AXE = Path(os.environ.get("AXE_CORE") or SAMPLES.parent / "node_modules/axe-core/axe.min.js")

if not NEEDED:
    pytest.importorskip("playwright", reason="the report's tests need: pip install playwright")
    if not CHROMIUM:
        pytest.skip("the report's tests need Chromium", allow_module_level=True)

from playwright.sync_api import Browser, Page, expect, sync_playwright  # noqa: E402

EVIL = "<script>alert(1)<script>\u202e.png"
LIMITS = Thresholds(0.3, None, {"conv4_1": 0.5})


def until(page: Page, expression: str) -> None:
    """Wait until that holds; to poll in the page itself is against the report's policy."""
    for _ in range(600):
        if page.evaluate(expression):
            return
        page.wait_for_timeout(50)
    raise AssertionError(expression)


def result(name: str, peak: float, total: float, conv4_1: float, **more: Any) -> Result:
    made = Result(
        str(SAMPLES / "references/dashboard.png"),
        str(SAMPLES / f"edit-2/dashboard.png?{name}"),
        "failed" if peak > 0.3 else "passed",
        total,
        peak,
        (156, 116),
        {"conv1_1": total, "conv4_1": conv4_1},
        (Region(136, 96, 48, 48, peak), Region(10, 20, 60, 30, peak / 2)),
        320,
        240,
        thresholds=LIMITS,
        failures=(f"peak {peak} > 0.3",) if peak > 0.3 else (),
    )
    return replace(made, **more)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of eight pairs of all kinds."""
    root = tmp_path_factory.mktemp("site")
    for side, source in (("base", "references"), ("new", "edit-2")):
        (root / side).mkdir()
        for name in ("a", "b", "c", EVIL):
            file = name if name == EVIL else f"{name}.png"
            shutil.copy(SAMPLES / source / "dashboard.png", root / side / file)
    cells = np.zeros((30, 40))
    cells[12:18, 17:23] = 1.0
    overlay(Map(cells, 8), (320, 240)).save(root / "map.webp")

    def pair(name: str, *numbers: float, **more: Any) -> Result:
        paths = {"reference": str(root / "base" / name), "candidate": str(root / "new" / name)}
        return replace(result(name, *numbers), **paths, overlay=str(root / "map.webp"), **more)

    same = str(root / "base/c.png")
    results = [
        pair("a.png", 1.25, 0.125, 0.25),
        pair("b.png", 0.25, 0.5, 0.125),
        pair(EVIL, 0.75, 0.25, 0.75),
        Result(same, same, "identical", 0.0, 0.0, None, {"conv1_1": 0.0, "conv4_1": 0.0}, (), 320,
               240, thresholds=LIMITS),
        Result(same, None, "missing", failures=("the candidate is missing",), thresholds=LIMITS),
        Result(None, str(root / "new/c.png"), "new", failures=("there is no baseline",)),
        Result(same, str(root / "new/broken.png"), "error", error="broken.png: no image: mend it"),
    ]  # fmt: skip
    written(
        root / "report", results, references=str(root / "base"), candidates=str(root / "new"),
        layers=("conv1_1", "conv4_1"), layer_weights={"conv1_1": 1.0, "conv4_1": 1.0},
    )  # fmt: skip
    return root / "report"


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    assert CHROMIUM, "the report's tests need Chromium: apt-get install chromium"
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


Open = Callable[..., Page]


@pytest.fixture
def open_report(browser: Browser, folder: Path) -> Iterator[Open]:
    """Open the report from disk; no test may leave an error in the console."""
    complaints: list[str] = []
    contexts = []

    def opened(name: str = "", report: Path = folder, **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(10_000)
        page.on("console", lambda m: complaints.append(m.text) if m.type != "log" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("requestfailed", lambda request: complaints.append(request.url))
        page.on("request", lambda request: _local(request.url))
        page.goto(f"{(report / 'index.html').as_uri()}{name}")
        return page

    def _local(url: str) -> None:
        if not url.startswith(("file:", "data:")):
            complaints.append(f"fetched {url}")

    yield opened
    for context in contexts:
        context.close()
    assert not complaints


def names(page: Page) -> list[str]:
    return page.locator(".row .name").all_inner_texts()


def css(page: Page, variable: str) -> float:
    text = page.locator("#stage").evaluate(f"e => e.style.getPropertyValue('{variable}')")
    return float(text.removesuffix("px").removesuffix("%"))


def choose(page: Page, name: str) -> None:
    page.locator(".row", has_text=name).first.click()
    expect(page.locator("#name")).to_contain_text(name)


def test_pairs_stand_worst_first_with_their_pictures_side_by_side(open_report: Open) -> None:
    page = open_report()
    assert names(page)[3:6] == ["a.png", "<script>alert(1)<script>\\u202e.png", "b.png"]
    choose(page, "a.png")
    images = page.locator("#stage .pane img")
    expect(images).to_have_count(4)
    until(page, "[...document.images].every(i => i.complete && i.naturalWidth)")
    assert "new/a.png" in str(images.nth(1).evaluate("i => i.src")), (
        "the original, once it is there"
    )
    titles = page.locator(".pane-title").all_inner_texts()
    assert titles == ["Reference", "Candidate", "Heat map"]


def test_keys_step_through_the_frames_that_differ(
    open_report: Open, percept: Run, tmp_path: Path
) -> None:
    with Image.open(SAMPLES / "references/dashboard.png") as image:
        first = image.convert("RGB")
    for role in ("a", "b"):
        frames = []
        for number in range(5):
            frame = first.copy()
            frame.paste((30 * number, 90, 160), (0, 0, 40, 40))
            if role == "b" and number in (1, 3, 4):
                frame.paste((200, 0, 0), (60 * number, 100, 60 * number + 40, 140))
            frames.append(frame)
        path = tmp_path / f"{role}.webp"
        frames[0].save(path, save_all=True, append_images=frames[1:], lossless=True)
    done = percept("compare", "a.webp", "b.webp", "--preset=quality", "--report=report")
    assert done.returncode == 0, done.stderr
    (pair,) = json.loads(
        percept("compare", "a.webp", "b.webp", "--preset=quality", "--format=json").stdout
    )["pairs"]
    page = open_report(report=tmp_path / "report")
    candidate = page.locator("#stage .pane img").nth(1)
    shown: dict[str, str] = {}

    def look() -> str:
        until(page, "[...document.images].every(i => i.complete && i.naturalWidth)")
        label = page.locator("#frame").inner_text()
        shown[label] = str(candidate.evaluate("i => i.src"))
        return label

    order = [f"Frame {one['number']}: jnd {one['jnd']['value']:.2f}" for one in pair["frames"]]
    assert len(order) == 3
    start = order.index(look())
    for by, key in ((1, "."), (1, "."), (1, "."), (-1, ","), (-1, ",")):
        page.keyboard.press(key)
        start += by
        assert look() == order[start % 3]
    assert len(set(shown.values())) == 3, "each frame has its picture"
    page.get_by_role("button", name="Next frame").click()
    assert look() == order[(start + 1) % 3]


def test_the_swipe_line_moves_by_mouse_and_by_key(open_report: Open) -> None:
    page = open_report()
    choose(page, "a.png")
    page.get_by_role("button", name="Swipe").click()
    over = page.locator(".clip.over")
    assert "50%" in over.evaluate("e => getComputedStyle(e).clipPath")
    page.get_by_label("Reference | candidate").press("ArrowRight")
    assert "51%" in over.evaluate("e => getComputedStyle(e).clipPath")
    box = page.locator(".view").bounding_box()
    assert box
    page.locator(".handle").hover()
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 40, steps=3)
    page.mouse.up()
    assert abs(css(page, "--split") - 25) < 1
    assert page.get_by_label("Reference | candidate").input_value() == "25"


def test_swiping_shows_each_image_on_its_side(open_report: Open) -> None:
    """The candidate alone has a green spot at 160,116."""
    page = open_report()
    choose(page, "a.png")
    page.keyboard.press("w")
    page.keyboard.press("r")
    until(page, "[...document.images].every(i => i.complete)")
    for split, is_green in ((0, True), (100, False)):
        page.evaluate(f"setSplit({split})")
        shot = page.locator(".view").screenshot()
        with Image.open(io.BytesIO(shot)) as image:
            pixels = np.asarray(image.convert("RGB")).astype(int)
        scale = css(page, "--w") / 320
        left = (pixels.shape[1] - css(page, "--w")) / 2
        red, green, _ = pixels[int(116 * scale), int(left + 160 * scale)]
        assert (green > red + 60) == is_green


def test_blinking_alternates_and_can_be_paused(open_report: Open) -> None:
    page = open_report()
    choose(page, "a.png")
    page.keyboard.press("b")
    title = page.locator(".pane-title")
    for expected in ("Candidate", "Reference", "Candidate"):
        expect(title).to_have_text(expected)
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_have_attribute("aria-pressed", "true")
    before = title.inner_text()
    page.wait_for_timeout(1000)
    assert title.inner_text() == before
    page.keyboard.press("Space")
    assert title.inner_text() != before
    page.keyboard.press("b")
    expect(page.locator(".pane")).to_have_count(3)


def test_nothing_blinks_by_itself_for_those_who_want_less_motion(open_report: Open) -> None:
    page = open_report(reduced_motion="reduce")
    choose(page, "a.png")
    page.keyboard.press("b")
    page.wait_for_timeout(1000)
    expect(page.locator(".pane-title")).to_have_text("Reference")


def test_the_overlay_has_an_opacity(open_report: Open) -> None:
    page = open_report()
    choose(page, "a.png")
    page.get_by_role("button", name="Overlay").click()
    opacity = "e => getComputedStyle(e).opacity"
    assert page.locator(".map").evaluate(opacity) == "0.7"
    page.get_by_label("Opacity").press("Home")
    assert page.locator(".map").evaluate(opacity) == "0"
    page.get_by_label("Opacity").press("End")
    assert page.locator(".map").evaluate(opacity) == "1"


def test_zoom_and_pan_keep_all_panes_in_step(open_report: Open) -> None:
    page = open_report()
    choose(page, "a.png")
    page.keyboard.press("+")
    page.locator(".view").first.hover()
    page.mouse.wheel(0, -200)
    assert css(page, "--z") > 1.5
    page.mouse.down()
    page.mouse.move(*_moved(page, 50, 30))
    page.mouse.up()
    page.locator("#stage").press("ArrowRight")
    transforms = page.locator(".layer").evaluate_all(
        "all => all.map(e => getComputedStyle(e).transform)"
    )
    assert len(transforms) == 6 and len(set(transforms)) == 1 and transforms[0] != "none"
    page.keyboard.press("0")
    assert (css(page, "--z"), css(page, "--x")) == (1, 0)
    page.keyboard.press("1")
    expect(page.locator("#zoom")).to_have_text("100%")


def _moved(page: Page, x: float, y: float) -> tuple[float, float]:
    box = page.locator(".view").first.bounding_box()
    assert box
    return box["x"] + box["width"] / 2 + x, box["y"] + box["height"] / 2 + y


def test_keys_go_from_region_to_region(open_report: Open) -> None:
    page = open_report()
    choose(page, "a.png")
    line = page.locator("#region-line")
    expect(line).to_contain_text("2 changed regions")
    page.keyboard.press("n")
    expect(line).to_have_text("Region 1 of 2: at 136,96, 48×48, peak 1.2500")
    view, current = (page.locator(s).first.bounding_box() for s in (".view", ".region.current"))
    assert view and current
    for side, length in (("x", "width"), ("y", "height")):
        middle = current[side] + current[length] / 2
        assert abs(middle - view[side] - view[length] / 2) < 3, "the region is in the middle"
    page.keyboard.press("n")
    expect(line).to_contain_text("Region 2 of 2: at 10,20")
    page.keyboard.press("n")
    expect(line).to_contain_text("Region 1 of 2")
    page.keyboard.press("p")
    expect(line).to_contain_text("Region 2 of 2")
    page.keyboard.press("r")
    expect(page.locator(".region").first).to_be_hidden()


def test_filter_search_and_sort_work_together(open_report: Open) -> None:
    page = open_report()
    page.get_by_role("button", name="failed 2").click()
    assert names(page) == ["a.png", "<script>alert(1)<script>\\u202e.png"]
    page.get_by_label("Sort by").select_option("conv4_1")
    assert names(page)[0].startswith("<script>")
    page.get_by_role("button", name="passed 1").click()
    page.get_by_label("Sort by").select_option("total")
    assert names(page)[0] == "b.png"
    page.get_by_label("Search by name").fill("NEW/ script")
    assert len(names(page)) == 1
    expect(page.locator("#shown")).to_have_text("1 of 7 pairs")
    page.get_by_label("Search by name").fill("nothing like this")
    page.get_by_role("button", name="Show all").click()
    assert len(names(page)) == 7


def test_just_noticeable_differences_are_drawn_with_their_threshold(
    open_report: Open, percept: Run, tmp_path: Path
) -> None:
    places = SAMPLES / "references", SAMPLES / "jpeg-2"
    percept("check", *places, "--jnd=1", f"--report={tmp_path / 'report'}")
    page = open_report(report=tmp_path / "report")
    expect(page.get_by_label("Sort by")).to_have_value("jnd")
    expect(page.locator("#histogram-text")).to_contain_text("above the threshold 1")
    bars = page.locator(".layer-bar.sum")
    expect(bars).to_have_text(
        [re.compile("^total"), re.compile("^peak"), re.compile("^jnd.* / 1$")]
    )
    expect(bars.nth(2).locator(".limit")).to_have_count(1)


def test_the_keyboard_alone_is_enough(open_report: Open) -> None:
    page = open_report()
    page.keyboard.press("/")
    page.keyboard.type("a.png")
    page.keyboard.press("Enter")
    expect(page.locator("#name")).to_contain_text("new/a.png")
    page.keyboard.press("Escape")
    page.locator("#search").fill("")
    page.keyboard.press("Escape")
    expect(page.locator("#list")).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator("#name")).to_contain_text("script")
    active = page.locator("#list").get_attribute("aria-activedescendant")
    expect(page.locator(f"#{active}")).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Home")
    expect(page.locator("#place")).to_have_text("1 of 7")
    page.keyboard.press("j")
    expect(page.locator("#place")).to_have_text("2 of 7")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("Tab")
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("name", ["b.png", EVIL])
def test_each_pair_has_a_link(open_report: Open, name: str) -> None:
    page = open_report()
    choose(page, name[:8])
    link = page.locator("#link").get_attribute("href") or ""
    assert page.evaluate("location.hash") == link and link.startswith("#/")
    again = open_report(link)
    assert again.locator("#name").inner_text() == page.locator("#name").inner_text()
    expect(again.locator(".row[aria-selected=true]")).to_have_count(1)


def test_odd_names_are_shown_with_their_pictures(open_report: Open, tmp_path: Path) -> None:
    results = []
    for name in EVIL_NAMES:
        shutil.copy(SAMPLES / "references/coffee.png", tmp_path / name)
        file = str(tmp_path / name)
        results.append(replace(result("x", 0.5, 0.5, 0.5), reference=file, candidate=file))
    written(tmp_path / "report", results)
    page = open_report(report=tmp_path / "report", viewport={"width": 390, "height": 800})
    assert page.locator(".row").count() == len(EVIL_NAMES)
    for number in range(len(EVIL_NAMES)):
        page.locator(".row").nth(number).click()
        until(
            page, "[...document.querySelectorAll('#stage img')].every(i => i.naturalWidth == 256)"
        )
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("button", name="All pairs").click()


def test_what_fails_shows_why_and_the_command_is_copied(open_report: Open) -> None:
    page = open_report(permissions=["clipboard-read", "clipboard-write"])
    choose(page, "a.png")
    expect(page.locator("#reason")).to_have_text("peak 1.25 > 0.3")
    command = page.locator("#command").inner_text()
    assert command.startswith("percept approve --all -- /") and command.endswith(" a.png")
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()") == command
    choose(page, "b.png")
    expect(page.locator("#approve")).to_be_hidden()


def test_bars_and_distribution_show_the_thresholds(open_report: Open) -> None:
    page = open_report()
    choose(page, "script")
    bars = page.locator("#bars .layer-bar")
    assert [text.split()[0] for text in bars.all_inner_texts()] == [
        "conv1_1", "conv4_1", "total", "peak",
    ]  # fmt: skip
    width = "e => parseFloat(e.style.width)"
    # CSS shows six digits.
    assert bars.nth(0).locator(".fill").evaluate(width) == pytest.approx(
        100 * 0.25 / 0.75, abs=0.00005
    )
    assert bars.nth(1).locator(".fill.over").count() == 1
    histogram = page.locator("#histogram")
    label = histogram.get_attribute("aria-label") or ""
    assert "peak of 3 pairs that differ; 2 above the threshold 0.3; 1 at 0" in label
    x = float(histogram.locator(".threshold").get_attribute("x1") or 0)
    # Two operations, each rounded, in another order.
    assert x == pytest.approx(340 * 0.3 / 1.25, rel=2 * sys.float_info.epsilon)


def test_the_theme_follows_the_system_and_can_be_changed(open_report: Open) -> None:
    page = open_report(color_scheme="dark")
    background = "getComputedStyle(document.body).backgroundColor"
    dark = page.evaluate(background)
    page.get_by_role("button", name="Dark theme").click()
    light = page.evaluate(background)
    assert light != dark
    page.reload()
    assert page.evaluate(background) == light, "the choice is kept"
    assert open_report(color_scheme="light").evaluate(background) == light


def test_settings_and_versions_stand_on_the_page(open_report: Open) -> None:
    page = open_report()
    expect(page.locator(".made")).to_contain_text("percept 0.1.0")
    page.get_by_role("button", name="Settings").click()
    text = page.locator("#settings").inner_text()
    assert "weights sha256" in text and "tolerance" in text and "2.6.0" in text


def test_a_phone_shows_the_list_then_the_pair(open_report: Open) -> None:
    page = open_report(viewport={"width": 390, "height": 800}, has_touch=True)
    expect(page.locator("main")).to_be_hidden()
    page.locator(".row", has_text="a.png").tap()
    expect(page.locator("main")).to_be_visible()
    expect(page.locator("#list")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.go_back()
    expect(page.locator("#list")).to_be_visible()
    page.go_forward()
    page.get_by_role("button", name="All pairs").tap()
    expect(page.locator("#list")).to_be_visible()


@pytest.mark.parametrize("mode", ["side", "swipe", "blink", "overlay"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious(open_report: Open, mode: str, scheme: str, width: int) -> None:
    if not AXE.is_file():
        assert not NEEDED, f"{AXE} is missing: npm install axe-core"
        pytest.skip("needs axe-core: npm install --no-save axe-core")
    page = open_report(
        viewport={"width": width, "height": 800}, color_scheme=scheme, reduced_motion="reduce"
    )
    violations = _violations(page)
    page.locator(".row", has_text="a.png").click()
    page.evaluate(f"setMode('{mode}')")
    page.keyboard.press("n")
    violations += _violations(page)
    page.evaluate("document.getElementById('settings').showModal()")
    violations += _violations(page)
    serious = [v for v in violations if v["impact"] in ("serious", "critical")]
    assert not serious, [(v["id"], [n["html"] for n in v["nodes"]]) for v in serious]


def _violations(page: Page) -> list[dict[str, Any]]:
    page.evaluate(AXE.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = page.evaluate("axe.run().then(r => r.violations)")
    return found


def test_the_list_of_thousands_is_usable_at_once_and_scrolls_smoothly(
    open_report: Open, tmp_path: Path
) -> None:
    """2,000 pairs: under 2 s to a full list, no frame over 100 ms, few rows in the page."""
    picture = SAMPLES / "references/coffee.png"
    many = [
        replace(
            result(f"{number}", (number * 37 % 997) / 997, 0.1, 0.1),
            reference=str(picture),
            candidate=f"shots/{number // 50}/page-{number}.png",
        )
        for number in range(2000)
    ]
    written(tmp_path / "many", many)
    page = open_report(report=tmp_path / "many")
    page.wait_for_selector(".row")
    ready = page.evaluate("performance.now()")
    frames = page.evaluate(SCROLL)
    assert ready < 2000 and max(frames) < 100, f"usable after {ready:.0f} ms, {max(frames):.0f} ms"
    assert page.locator(".row").count() < 40
    page.get_by_label("Search by name").fill("page-1999")
    expect(page.locator(".row")).to_have_count(1)


SCROLL = """
async () => {
  const list = document.getElementById("list");
  const frames = [];
  let before = performance.now();
  for (let step = 0; step < 120; step++) {
    list.scrollTop += step < 60 ? 130 : 1700;
    await new Promise(requestAnimationFrame);
    const now = performance.now();
    frames.push(now - before);
    before = now;
  }
  return frames;
}
"""


@pytest.fixture
def grown(percept: Run, tmp_path: Path) -> Path:
    """The report of a page with 24 rows more at 64, and a spot at 130,100 of the baseline."""
    with Image.open(SAMPLES / "references/dashboard.png") as image:
        before = np.asarray(image.convert("RGB"))
    after = before.copy()
    after[100:130, 130:170] = 200, 30, 60
    after = np.concatenate([after[:64], before[150:174], after[64:]])
    for folder, pixels in (("base", before), ("new", after)):
        (tmp_path / folder).mkdir()
        Image.fromarray(pixels).save(tmp_path / folder / "home.png")
    assert percept("check", "base", "new", "--report", "report", "--report-copy").returncode == 1
    return tmp_path / "report"


def test_a_page_that_grew_lines_up_with_its_baseline(open_report: Open, grown: Path) -> None:
    page = open_report(report=grown)
    line = page.locator("#region-line")
    expect(line).to_have_text("1 band, 1 changed region; n shows the next")
    expect(page.locator("#details")).to_contain_text("24 rows inserted at y 64")
    sizes = page.locator(".pane img.picture").evaluate_all(
        "images => images.map((image) => [image.naturalWidth, image.naturalHeight])"
    )
    assert len(sizes) >= 2 and len({tuple(size) for size in sizes}) == 1
    layer = page.locator(".outlines").first.bounding_box()
    bands = [page.locator(".region.inserted").nth(n).bounding_box() for n in range(3)]
    assert layer and all(bands), "in the reference, the candidate and the heat map"
    scale = layer["height"] / 264
    band = bands[0]
    assert band and abs(band["y"] - layer["y"] - 64 * scale) < 1
    assert abs(band["height"] - 24 * scale) < 1
    spot = page.locator(".region:not(.inserted)").first.bounding_box()
    assert spot and spot["y"] - layer["y"] <= 124 * scale + 1, "below the band, by its rows"
    assert spot["y"] + spot["height"] - layer["y"] >= 154 * scale - 1
    page.keyboard.press("n")
    expect(line).to_have_text("Band 1 of 2: 24 rows inserted at y 64")
    page.keyboard.press("n")
    expect(line).to_contain_text("Region 2 of 2: at ")
    for mode in ("Swipe", "Blink", "Overlay"):
        page.get_by_role("button", name=mode).click()
        expect(page.locator(".region.inserted").first).to_be_visible()
        boxes = page.locator(".view img").evaluate_all(
            "images => images.map((i) => [i.offsetWidth, i.offsetHeight]).filter(([w]) => w)"
        )
        assert len({tuple(box) for box in boxes}) == 1, "one image lies over the other"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_in_bands(open_report: Open, grown: Path, scheme: str) -> None:
    if not AXE.is_file():
        assert not NEEDED, f"{AXE} is missing: npm install axe-core"
        pytest.skip("needs axe-core: npm install --no-save axe-core")
    page = open_report(report=grown, color_scheme=scheme, reduced_motion="reduce")
    assert [v["id"] for v in _violations(page)] == []

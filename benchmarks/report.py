"""Reports of many pairs: time to write, size, and how the page opens and scrolls in Chromium."""

from __future__ import annotations

import random
import re
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from measuring import ROOT, table
from PIL import Image, ImageDraw
from playwright.sync_api import Page, sync_playwright

from percept_cli.outputs.html_report import Report
from percept_cli.results import Region, Result, Thresholds
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
from percept_cli.summary import Summary

COUNTS = (200, 2000)
SIZE = 640, 400
LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")
BASE = Image.open(ROOT / "sample_images/references/dashboard.png").convert("RGB").resize(SIZE)
SETTINGS = Scorer(Options.of("rendering", layers=LAYERS, resize="none")).settings()

SCROLL = """async () => {
  const list = document.getElementById("list");
  const frames = [];
  let before = await new Promise(requestAnimationFrame);
  for (let step = 0; step < 300; step++) {
    list.scrollTop += step < 150 ? 120 : list.scrollHeight / 150;
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - before);
    before = now;
  }
  return frames.sort((a, b) => b - a);
}"""


def decode(file: str, *_: object) -> Image.Image:
    """A picture of its own for each file name."""
    picture = BASE.copy()
    number = int(re.sub(r"\D", "", file))
    draw = ImageDraw.Draw(picture)
    draw.rectangle((number % 600, number % 370, number % 600 + 40, number % 370 + 30), "orange")
    draw.text((10, 380), file, fill="black")
    return picture


def results(count: int) -> list[Result]:
    """A tenth fails, four tenths pass, half are equal; nothing is linked."""
    rng = random.Random(0)
    made = []
    for number in range(count):
        peak = 0.0 if number % 2 else rng.expovariate(6)
        status: Any = "identical" if not peak else "failed" if peak > 0.3 else "passed"
        layers = {name: peak * rng.random() for name in LAYERS}
        regions = tuple(Region(20 * n, 16 * n, 40, 30, peak) for n in range(8 if peak else 0))
        result = Result(
            f"baselines/{number // 40}/page-{number}.png",
            f"screenshots/{number // 40}/page-{number}.png",
            status, peak / 3, peak, (8, 8), layers, regions, *SIZE, thresholds=Thresholds(0.3),
        )  # fmt: skip
        reason = (f"peak {peak:.4g} > 0.3",) if status == "failed" else ()
        made.append(replace(result, failures=reason))
    return made


def used(page: Page, file: Path) -> tuple[str, ...]:
    """Time to a full list, frames of scrolling, time of a search, memory, elements of the page."""
    start = time.perf_counter()
    page.goto(file.as_uri(), wait_until="commit")
    page.wait_for_selector(".row")
    page.evaluate("new Promise(requestAnimationFrame)")
    ready = time.perf_counter() - start
    frames = page.evaluate(SCROLL)
    search = page.evaluate(
        """() => {
          const start = performance.now();
          filters.text = "page-1";
          applyFilters();
          document.body.offsetHeight;
          return performance.now() - start;
        }"""
    )
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    heap = session.send("Runtime.getHeapUsage")["usedSize"] / 2**20
    nodes = page.evaluate("document.querySelectorAll('*').length")
    assert page.context.browser
    processes = page.context.browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")
    renderers = [p["id"] for p in processes["processInfo"] if p["type"] == "renderer"]
    resident = max(map(resident_mebibytes, renderers))
    longest, middle = frames[0], frames[len(frames) // 2]
    return (
        f"{ready * 1000:.0f} ms", f"{longest:.0f} ms", f"{middle:.0f} ms", f"{search:.0f} ms",
        f"{heap:.1f} MiB", f"{resident:.0f} MiB", str(nodes),
    )  # fmt: skip


def resident_mebibytes(process: int) -> float:
    """What a process holds in memory."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024


def row(page: Page, count: int) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory() as folder:
        pairs = results(count)
        summary = Summary.over(pairs)
        summary.complete, summary.verdict = True, "failed"
        start = time.perf_counter()
        Report(Path(folder), decode).write(pairs, summary, SETTINGS)
        seconds = time.perf_counter() - start
        size = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        html = (Path(folder) / "index.html").stat().st_size
        files = f"{size / 2**20:.0f} MiB", f"{html / 2**20:.1f} MiB"
        return f"{count:,}", f"{seconds:.0f} s", *files, *used(page, Path(folder) / "index.html")


def main() -> None:
    columns = (
        "pairs", "written in", "folder", "page", "usable after", "longest frame", "median frame",
        "search", "heap", "renderer", "elements",
    )  # fmt: skip
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        rows = [row(page, count) for count in COUNTS]
        print(f"Chromium {browser.version}, headless, without a GPU; images of 640×400\n")
        browser.close()
    print(table(columns, rows))


if __name__ == "__main__":
    main()

"""Make docs/report.png: the report of a check of the sample images, in Chromium."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_images"
CHANGED = {
    "edit-2/dashboard.png": "dashboard.png",
    "edit-1/article.png": "article.png",
    "noise-1/coffee.png": "coffee.png",
    "blur-1/chelsea.png": "chelsea.png",
}


def report(folder: Path) -> Path:
    """The page of a check with a changed page, a harmless difference and a new image."""
    for name in ("baselines", "screenshots"):
        shutil.copytree(SAMPLES / "references", folder / name)
    for source, name in CHANGED.items():
        shutil.copy(SAMPLES / source, folder / "screenshots" / name)
    command = [sys.executable, "-m", "percept_cli", "check", "baselines", "screenshots"]
    subprocess.run([*command, "--report=report", "--quiet"], cwd=folder, stdout=subprocess.DEVNULL)
    return folder / "report/index.html"


def picture(page_file: Path, target: Path) -> None:
    """The page's second pair, its region outlined."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        page = browser.new_page(
            viewport={"width": 1280, "height": 760}, color_scheme="light", device_scale_factor=1.5
        )
        page.goto(page_file.as_uri())
        page.locator(".row", has_text="dashboard").click()
        page.wait_for_timeout(500)
        shot = page.screenshot()
        browser.close()
    Image.open(io.BytesIO(shot)).convert("RGB").quantize(256).save(target, optimize=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        picture(report(Path(folder)), ROOT / "docs/report.png")

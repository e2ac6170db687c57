"""Render the pages, their real changes and their benign variations: render.py OUTPUT.

Needs Debian's chromium, fonts-liberation and fonts-dejavu, and playwright from PyPI (not its
browsers). Writes PNG files and pairs.csv. A variation is dropped from a page, with a note, where it
changes no pixel or moves text so far that a reviewer would see it.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from zlib import crc32

import numpy as np
import numpy.typing as npt
from changes import CHANGES
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, ViewportSize, sync_playwright

Pixels = npt.NDArray[np.uint8]

PAGES = Path(__file__).absolute().parent / "pages"
FONTS = ("Liberation Sans", "Liberation Serif", "Liberation Mono", "DejaVu Sans")
WIDTH, HEIGHT = 800, 600
FARTHEST = 1.5  # CSS pixels that a benign variation may move text
ARGUMENTS = (
    "--no-sandbox",
    "--hide-scrollbars",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
NO_GPU = ("--disable-gpu",)
SOFTWARE_GPU = (
    "--ignore-gpu-blocklist",
    "--enable-gpu-rasterization",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
)
FONTCONFIG = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <include>/etc/fonts/fonts.conf</include>
  <match target="pattern">{edits}</match>
  <match target="font">{edits}</match>
</fontconfig>
"""
TEXT_BOXES = """() => {
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const sides = [];
  while (texts.nextNode()) {
    const range = document.createRange();
    range.selectNodeContents(texts.currentNode);
    for (const box of range.getClientRects())
      sides.push(box.left, box.top, box.right, box.bottom);
  }
  return sides;
}"""


@dataclass(frozen=True)
class Setting:
    """How the browser is started: Fontconfig rules as (name, constant), arguments, pixel ratio."""

    fontconfig: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = NO_GPU
    scale: int = 1


@dataclass(frozen=True)
class Variation:
    """A benign difference: a browser started otherwise, CSS added, or pixels changed afterwards."""

    kind: str
    setting: Setting = Setting()
    css: str = ""
    filter: Callable[[Pixels, int], Pixels] | None = None


@dataclass(frozen=True)
class Shot:
    """A page to render, and the file to write it to."""

    page: str
    html: str
    kind: str
    changed: bool
    variation: Variation
    path: str


@dataclass(frozen=True)
class Capture:
    """A rendered page: pixels, HEIGHT×WIDTH×3, and the sides of its text boxes in CSS pixels."""

    pixels: Pixels
    boxes: tuple[float, ...]

    def drift(self, other: Capture) -> float:
        """How far text lies from where it is in the other capture, at most, in CSS pixels."""
        if len(self.boxes) != len(other.boxes):
            return float("inf")
        pairs = zip(self.boxes, other.boxes, strict=True)
        return max((abs(here - there) for here, there in pairs), default=0.0)


def encoded(pixels: Pixels, form: str, quality: int) -> Pixels:
    """The pixels after lossy compression."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, quality=quality)
    with Image.open(buffer) as image:
        return np.asarray(image.convert("RGB"))


def noisy(pixels: Pixels, levels: int, seed: int) -> Pixels:
    """The pixels with uniform noise of up to ±levels in each channel."""
    noise = np.random.default_rng(seed).integers(-levels, levels + 1, pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


PLAIN = Variation("plain")
VARIATIONS = (
    Variation("hinting-none", Setting((("hintstyle", "hintnone"),))),
    Variation("hinting-slight", Setting((("hintstyle", "hintslight"),))),
    Variation("hinting-full", Setting((("hintstyle", "hintfull"),))),
    Variation("lcd", Setting((("rgba", "rgb"), ("lcdfilter", "lcddefault")))),
    Variation(
        "subpixel-positioning",
        Setting(arguments=(*NO_GPU, "--disable-font-subpixel-positioning")),
    ),
    Variation("gpu", Setting(arguments=SOFTWARE_GPU)),
    Variation("hidpi", Setting(scale=2)),
    Variation("geometric-precision", css="* { text-rendering: geometricPrecision !important; }"),
    Variation("optimize-legibility", css="* { text-rendering: optimizeLegibility !important; }"),
    Variation("letter-widths", css="body { letter-spacing: 0.01px; }"),
    Variation("shift-x", css="body { transform: translate(0.33px, 0); }"),
    Variation("shift", css="body { transform: translate(0.33px, 0.33px); }"),
    Variation("jpeg", filter=lambda pixels, _: encoded(pixels, "JPEG", 92)),
    Variation("webp", filter=lambda pixels, _: encoded(pixels, "WEBP", 90)),
    Variation("noise-1", filter=lambda pixels, seed: noisy(pixels, 1, seed)),
    Variation("noise-2", filter=lambda pixels, seed: noisy(pixels, 2, seed)),
)


def check_fonts() -> None:
    """Stop where a font of the pages is missing: another one would stand in for it."""
    for family in FONTS:
        command = ["fc-match", "--format=%{family}", family]
        found = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if family not in found:
            raise SystemExit(
                f"font {family}: not installed, install fonts-liberation, fonts-dejavu"
            )


def start(playwright: Playwright, chromium: str, setting: Setting, folder: Path) -> Browser:
    """A browser process with an empty profile."""
    environment: dict[str, str | float | bool] = dict(os.environ)
    if setting.fontconfig:
        edit = '<edit name="{}" mode="assign"><const>{}</const></edit>'
        edits = "".join(edit.format(*rule) for rule in setting.fontconfig)
        rules = folder / "fonts.conf"
        rules.write_text(FONTCONFIG.format(edits=edits), encoding="utf-8")
        environment["FONTCONFIG_FILE"] = str(rules)
    return playwright.chromium.launch(
        executable_path=chromium,
        args=[*ARGUMENTS, *setting.arguments, f"--force-device-scale-factor={setting.scale}"],
        ignore_default_args=["--font-render-hinting=none", "--disable-lcd-text"],
        env=environment,
    )


def capture(page: Page, shot: Shot, folder: Path) -> Capture:
    """Render one shot."""
    head = f'<head><base href="{PAGES.as_uri()}/">'
    style = f"<style>{shot.variation.css}</style></head>" if shot.variation.css else "</head>"
    file = folder / "page.html"
    file.write_text(shot.html.replace("<head>", head).replace("</head>", style), encoding="utf-8")
    page.goto(file.as_uri())
    with Image.open(io.BytesIO(page.screenshot())) as image:
        scaled = image.convert("RGB").reduce(shot.variation.setting.scale)
    pixels = np.asarray(scaled)
    if shot.variation.filter:
        pixels = shot.variation.filter(pixels, crc32(shot.path.encode()))
    return Capture(pixels, tuple(page.evaluate(TEXT_BOXES)))


def render(
    playwright: Playwright, chromium: str, shots: Iterable[Shot]
) -> Iterator[tuple[Shot, Capture]]:
    """Render shots with one browser process per setting."""
    ordered = sorted(shots, key=lambda shot: repr(shot.variation.setting))
    for setting, group in groupby(ordered, key=lambda shot: shot.variation.setting):
        with tempfile.TemporaryDirectory() as name:
            browser = start(playwright, chromium, setting, Path(name))
            size = ViewportSize(width=WIDTH, height=HEIGHT)
            page = browser.new_page(viewport=size, device_scale_factor=setting.scale)
            for shot in group:
                yield shot, capture(page, shot, Path(name))
            browser.close()


def plain_shots(pages: dict[str, str]) -> list[Shot]:
    """The references."""
    return [
        Shot(name, html, "", False, PLAIN, f"references/{name}.png") for name, html in pages.items()
    ]


def benign_shots(pages: dict[str, str]) -> list[Shot]:
    """Each page in each variation."""
    return [
        Shot(page, html, variation.kind, False, variation, f"benign/{page}-{variation.kind}.png")
        for page, html in pages.items()
        for variation in VARIATIONS
    ]


def changed_shots(pages: dict[str, str], kept: dict[str, list[Variation]]) -> list[Shot]:
    """Each change on its own, and every second of a kind under a variation of its page too."""
    shots: list[Shot] = []
    seen: Counter[str] = Counter()
    combined = 0
    for number, change in enumerate(CHANGES):
        html = change.applied(pages[change.page])
        variations = [PLAIN]
        if seen[change.kind] % 2 == 0 and kept[change.page]:
            variations.append(kept[change.page][combined % len(kept[change.page])])
            combined += 1
        seen[change.kind] += 1
        for variation in variations:
            under = "" if variation is PLAIN else f"-under-{variation.kind}"
            path = f"changed/{change.page}-{number:03}-{change.kind}{under}.png"
            shots.append(Shot(change.page, html, change.kind, True, variation, path))
    return shots


def objection(reference: Capture, candidate: Capture) -> str:
    """Why a variation of a page is none, or shows: empty if it is benign."""
    if np.array_equal(reference.pixels, candidate.pixels):
        return "changes nothing"
    drift = candidate.drift(reference)
    if drift == float("inf"):
        return "breaks lines elsewhere"
    return f"moves text by {drift:.1f} px" if drift > FARTHEST else ""


def save(pixels: Pixels, path: Path) -> None:
    """Write a PNG file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def write_pairs(folder: Path, shots: list[Shot]) -> None:
    """Write pairs.csv: changed is 1 for real changes, under names the variation on top of one."""
    with (folder / "pairs.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("reference", "candidate", "page", "kind", "changed", "under"))
        for shot in sorted(shots, key=lambda shot: shot.path):
            under = shot.variation.kind if shot.changed and shot.variation is not PLAIN else ""
            reference = f"references/{shot.page}.png"
            row = (reference, shot.path, shot.page, shot.kind, int(shot.changed), under)
            writer.writerow(row)


def benchmark(playwright: Playwright, chromium: str, folder: Path) -> list[Shot]:
    """Render everything into the folder, and return the shots that make a pair."""
    pages = {path.stem: path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.html"))}
    references = {shot.page: shot for shot in plain_shots(pages)}
    captures: dict[str, Capture] = {}
    for _ in range(2):
        for shot, result in render(playwright, chromium, references.values()):
            first = captures.setdefault(shot.page, result)
            if not np.array_equal(first.pixels, result.pixels):
                raise SystemExit(f"{shot.page}: rendered twice, the pixels differ")
            save(result.pixels, folder / shot.path)
    pairs = []
    kept: dict[str, list[Variation]] = {page: [] for page in pages}
    for shot, result in render(playwright, chromium, benign_shots(pages)):
        why = objection(captures[shot.page], result)
        if why:
            print(f"dropped: {shot.kind} on {shot.page} {why}")
            continue
        save(result.pixels, folder / shot.path)
        kept[shot.page].append(shot.variation)
        pairs.append(shot)
    for shot, result in render(playwright, chromium, changed_shots(pages, kept)):
        if np.array_equal(captures[shot.page].pixels, result.pixels):
            raise SystemExit(f"{shot.path}: the change changes no pixel")
        save(result.pixels, folder / shot.path)
        pairs.append(shot)
    return pairs


def main() -> None:
    """Render, and print the number of pairs of each kind."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path, help="folder to write to, new or empty")
    parser.add_argument(
        "--chromium", default=shutil.which("chromium"), help="the browser's program"
    )
    options = parser.parse_args()
    if not options.chromium:
        raise SystemExit("chromium: not found, install it or give --chromium PROGRAM")
    if options.output.exists() and any(options.output.iterdir()):
        raise SystemExit(f"{options.output}: not empty, give a new folder")
    check_fonts()
    version = subprocess.run([options.chromium, "--version"], capture_output=True, text=True)
    print(version.stdout.strip())
    with sync_playwright() as playwright:
        pairs = benchmark(playwright, options.chromium, options.output)
    write_pairs(options.output, pairs)
    for (changed, kind), count in sorted(Counter((s.changed, s.kind) for s in pairs).items()):
        print(f"{'changed' if changed else 'benign':8} {kind:22} {count:4}")
    print(f"{len(pairs)} pairs in {options.output}/pairs.csv")


if __name__ == "__main__":
    main()

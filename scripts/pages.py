"""Make what the README and the pages show: tables, what commands print, and pictures."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path

import numpy as np
import typer
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "sample_images"))

import make  # noqa: E402

import percept_cli  # noqa: E402
from percept_cli.cli.app import add_commands, app  # noqa: E402

add_commands()
SAMPLES = Path("sample_images")
IMAGES = ("coffee", "dashboard")
OTHERS = ("references/astronaut.png", "references/article.png")
EXAMPLE = ("references/coffee.png", "jpeg-3/coffee.jpg")
NETWORK = "torchvision's network"
PICTURE = ("references/dashboard.png", "edit-2/dashboard.png")


@contextmanager
def chdir(folder: str) -> Iterator[None]:
    """Be in that folder for a while."""
    before = os.getcwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def distortions() -> str:
    """A Markdown table: what was done → total and peak for a photograph and a page."""
    rows = [("distortion", "coffee: total", "peak", "dashboard: total", "peak"), ("---",) * 5]
    for name, distortion in make.DISTORTIONS.items():
        for strength, amount in zip(make.STRENGTHS, distortion.amounts, strict=True):
            found = [(SAMPLES / f"{name}-{strength}").glob(f"{image}.*") for image in IMAGES]
            candidates = [next(files) for files in found]
            rows.append((distortion.words.format(f"{amount:g}"), *_figures(candidates)))
    rows.append(("another image altogether", *_figures([SAMPLES / name for name in OTHERS])))
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _figures(candidates: list[Path]) -> list[str]:
    """Total and peak of each of the two images against its candidate."""
    figures = []
    for image, candidate in zip(IMAGES, candidates, strict=True):
        result = percept_cli.compare(SAMPLES / f"references/{image}.png", candidate)
        assert result.peak is not None
        figures += [f"{result.total:.3f}", f"{result.peak:.3f}"]
    return figures


def example() -> str:
    """What the README's first command prints."""
    printed = io.StringIO()
    with redirect_stdout(printed):
        app(["compare", *(str(SAMPLES / name) for name in EXAMPLE)], standalone_mode=False)
    text = "\n".join(line.rstrip() for line in printed.getvalue().splitlines())
    return f"```\n{text}\n```"


def failure() -> str:
    """What a check of a sample with a painted spot prints."""
    printed = io.StringIO()
    pair = [str(SAMPLES / name) for name in PICTURE]
    with redirect_stdout(printed), suppress(typer.Exit):
        app(["check", *pair], standalone_mode=False)
    return f"```\n{printed.getvalue().rstrip()}\n```"


def grown() -> str:
    """What a check of a sample with a row of text more, and a painted spot, prints."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        for name, source in zip(("before.png", "after.png"), PICTURE, strict=True):
            with Image.open(ROOT / SAMPLES / source) as image:
                pixels = np.asarray(image.convert("RGB"))
            if name == "after.png":
                pixels = np.concatenate([pixels[:64], pixels[32:56], pixels[64:]])
            Image.fromarray(pixels).save(name)
        with redirect_stdout(printed), suppress(typer.Exit):
            app(["check", "before.png", "after.png"], standalone_mode=False)
    lines = printed.getvalue().splitlines()
    return "\n".join(("```", *lines[: lines.index("")], "```"))


def gate() -> str:
    """The first table of each set of pairs, of what benchmarks/rendering/evaluate.py found."""
    machine, *parts = (ROOT / "benchmarks/rendering/figures.md").read_text().split("\n\n")
    titles = [place for place, part in enumerate(parts) if part.startswith("## ")]
    tables = [f"{parts[place].removeprefix('## ')}:\n\n{parts[place + 1]}" for place in titles]
    return "\n\n".join((machine, *tables))


def speed() -> str:
    """A Markdown table of what users ask first, from the tables of benchmarks/README.md."""
    frame, page, large = "1920×1080, changed everywhere", "text only", "12000×12500"
    rows = [
        (
            "a pair of 1920×1080, all of it changed",
            _seconds(frame, "percept"),
            f"{_seconds(frame, 'lpips (vgg)')} by lpips (vgg), "
            f"{_seconds(frame, NETWORK)} for torchvision's VGG19",
        ),
        (
            "the same, 200×80 pixels changed",
            _seconds("1920×1080, 200×80 changed", "percept"),
            "as above",
        ),
        (
            "500 equal screenshots of 1280×720",
            _seconds(page, "percept, all equal"),
            f"{_seconds(page, 'odiff, a process each, all equal')} by odiff, "
            f"{_seconds(page, 'odiff, server mode, all equal')} by its server mode",
        ),
        (
            f"memory for a pair of {large}, all of it changed",
            f"{_measured(large)} MiB",
            f"{_measured(large, _measured(large))} MiB are the decoded images",
        ),
    ]
    table = [("work", "percept", "beside it"), ("---",) * 3, *rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in table)


def _seconds(*cells: str) -> str:
    return f"{float(_measured(*cells)):.2g} s"


def _measured(*cells: str) -> str:
    """The cell behind these in a benchmark's table."""
    row = rf"^\| {re.escape(' | '.join(cells))} \| (\S+)"
    found = re.search(row, (ROOT / "benchmarks/README.md").read_text(), re.M)
    assert found, cells
    return found[1]


def picture() -> Image.Image:
    """Reference, candidate and heat map of a local change, side by side."""
    paths = [SAMPLES / name for name in PICTURE]
    with tempfile.TemporaryDirectory() as folder:
        heatmap = Path(folder) / "heatmap.png"
        with redirect_stdout(io.StringIO()):
            app(["compare", *map(str, paths), f"--heatmap={heatmap}"], standalone_mode=False)
        shown = [Image.open(path).convert("RGB") for path in (*paths, heatmap)]
    width = sum(image.width + 8 for image in shown) - 8
    whole = Image.new("RGB", (width, max(image.height for image in shown)), "white")
    for place, image in enumerate(shown):
        whole.paste(image, (place * (image.width + 8), 0))
    return whole


def plots() -> None:
    """The plots of the pages: two runs against each other, and codecs over their rate."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for made in ("jpeg-2", "jpeg-3"):
            folders = [str(SAMPLES / "references"), str(SAMPLES / made)]
            with suppress(typer.Exit):
                app(["compare", *folders, f"--output={folder / made}.json"], standalone_mode=False)
        runs = [f"{folder / made}.json" for made in ("jpeg-2", "jpeg-3")]
        app(["plot", *runs, f"--output={ROOT / 'docs/models.png'}"], standalone_mode=False)
        subprocess.run([sys.executable, ROOT / "examples/codec_rates.py", folder], check=True)
        shutil.copy(folder / "rates.png", ROOT / "docs/codecs.png")


def fill(page: Path) -> None:
    """Make the made parts of a page again."""
    text = page.read_text()
    for make_block in (distortions, example, failure, grown, gate, speed):
        name = make_block.__name__
        if f"<!-- {name}: scripts/pages.py -->" in text:
            block = f"<!-- {name}: scripts/pages.py -->\n{make_block()}\n<!-- end -->"
            text = re.sub(rf"<!-- {name}: .*?<!-- end -->", lambda _: block, text, flags=re.S)  # noqa: B023
    page.write_text(text)


if __name__ == "__main__":
    for file in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        fill(file)
    picture().save(ROOT / "docs/heatmap.png", optimize=True)
    plots()

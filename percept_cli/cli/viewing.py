"""`--show` and `--open`: pictures in the terminal, and the report in the browser."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept_cli.cli.heatmaps import map_of
from percept_cli.cli.reports import picture_of
from percept_cli.cli.talk import Talk
from percept_cli.errors import shown
from percept_cli.inputs.stored import place_of
from percept_cli.results import Settings
from percept_cli.scoring.scored import Scored

if TYPE_CHECKING:
    from PIL import Image

HEIGHT = 360
"""Most rows of the pictures in a terminal."""
GAP = 12


def show(scored: Scored, settings: Settings, written: str | None, talk: Talk) -> None:
    """Show reference, candidate and heat map in the terminal, or say what to open.

    `written` is the file that the heat map stands in already; without one a temporary file is made
    where it is to be opened.
    """
    from percept_cli.outputs.heatmap import heatmap, save_heatmap

    found = map_of(scored)
    if found is None or scored.candidate is None:
        if not scored.result.error:
            talk.note("--show: there is no heat map, as no difference was measured")
        return
    if image := _terminals_image(talk):
        from rich.console import Console

        files = [name for name in (scored.result.reference, scored.result.candidate) if name]
        pictures = [picture_of(place_of(name), settings, settings.max_pixels) for name in files]
        pictures.append(heatmap(scored.candidate, found))
        row = beside([picture for picture in pictures if picture])
        Console().print(image(row, width="auto"))
        return
    if written is None:
        path = Path(tempfile.mkdtemp(prefix="percept-")) / "heatmap.png"
        save_heatmap(path, scored.candidate, found)
        written = shown(path)
    talk.note(f"no pictures can be shown here: open {written}")


def beside(pictures: list[Image.Image]) -> Image.Image:
    """The pictures in one row, of one height."""
    from PIL import Image

    rows = min(HEIGHT, *(picture.height for picture in pictures))
    sizes = [(max(round(p.width * rows / p.height), 1), rows) for p in pictures]
    whole = Image.new("RGB", (sum(w + GAP for w, _ in sizes) - GAP, rows), "white")
    left = 0
    for picture, size in zip(pictures, sizes, strict=True):
        whole.paste(picture.convert("RGB").resize(size, Image.Resampling.LANCZOS), (left, 0))
        left += size[0] + GAP
    return whole


def _terminals_image(talk: Talk) -> Any:
    """How this terminal shows a picture; None where it shows none."""
    if not sys.stdout.isatty():
        return None
    try:
        from textual_image import renderable
    except ImportError:
        talk.note("pictures in the terminal need: pip install 'percept-cli[terminal]'")
        return None
    pictures = renderable.SixelImage, renderable.TGPImage
    return renderable.Image if renderable.Image in pictures else None


def open_report(folder: Path, talk: Talk) -> None:
    """Open a report in the browser, or say what to open."""
    page = (folder / "index.html").resolve()
    if not webbrowser.open(page.as_uri()):
        talk.note(f"no browser was found: open {shown(page)}")

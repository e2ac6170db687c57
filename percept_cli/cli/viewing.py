"""`--show` and `--open`: pictures in the terminal, and the report in the browser."""

from __future__ import annotations

import sys
import tempfile
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

from percept_cli.cli.reports import picture_of
from percept_cli.cli.talk import Talk
from percept_cli.errors import PerceptError, shown
from percept_cli.results import Result, Settings

if TYPE_CHECKING:
    from PIL import Image

HEIGHT = 360
"""Most rows of the pictures in a terminal."""
GAP = 12


class Show:
    """Reference, candidate and heat map of one pair, beside each other in the terminal.

    `heatmap` is where its heat map goes; without one that is a new temporary file. PerceptError for
    more than one pair.
    """

    def __init__(self, heatmap: Path | None, *, single: bool) -> None:
        if not single:
            raise PerceptError("--show is for one pair: --report DIR shows many")
        self._own = not heatmap
        self.heatmap = heatmap or Path(tempfile.mkdtemp(prefix="percept-")) / "heatmap.png"

    def end(self, result: Result, settings: Settings, talk: Talk) -> None:
        """Show what there is, or say what to open."""
        if not self.heatmap.exists():
            talk.note("--show: there is no heat map, as no difference was measured")
            if self._own:
                self.heatmap.parent.rmdir()
            return
        files = [name for name in (result.reference, result.candidate) if name]
        found = [picture_of(name, settings, settings.max_pixels) for name in files]
        found.append(picture_of(str(self.heatmap), settings, settings.max_pixels))
        if not _in_terminal(beside([picture for picture in found if picture])):
            talk.note(f"this terminal shows no pictures: open {shown(self.heatmap)}")


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


def _in_terminal(picture: Image.Image) -> bool:
    """Whether the terminal shows pictures, which this one then does."""
    if not sys.stdout.isatty():
        return False
    try:
        from textual_image import renderable
    except ImportError as error:
        raise PerceptError(
            "--show needs textual-image: run 'pip install \"percept-cli[terminal]\"'"
        ) from error
    if renderable.Image not in (renderable.SixelImage, renderable.TGPImage):
        return False
    from rich.console import Console

    Console().print(renderable.Image(picture, width="auto"))
    return True


def open_report(folder: Path, talk: Talk) -> None:
    """Open a report in the browser, or say what to open."""
    page = (folder / "index.html").resolve()
    if not webbrowser.open(page.as_uri()):
        talk.note(f"no browser was found: open {shown(page)}")

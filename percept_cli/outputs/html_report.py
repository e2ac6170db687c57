"""Results as a page that opens from disk: one HTML file, with its pictures in folders beside it."""

from __future__ import annotations

import hashlib
import io
import math
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

import numpy as np
from PIL import Image

from percept_cli.canvas import canvas_of
from percept_cli.errors import OutputError, PerceptError, shown, unwritable
from percept_cli.outputs.report_page import page_of
from percept_cli.results import FrameResult, Result, Settings
from percept_cli.summary import Summary
from percept_cli.writing import remove, write_whole

PAGE = "index.html"
GENERATOR = '<meta name="generator" content="percept">'
"""What tells a page of ours, which may be written over, from another one."""

PREVIEW = 720
"""Side of the square that has as many pixels as the pictures that stand in for originals."""
MOST_WEBP = 16383
"""Most pixels along a side of a WebP file."""
THUMBNAIL = 96
"""Most pixels along a side of the pictures in the list."""

STRIPE, EMPTY = 6, (225, 205)
"""Width of the stripes, and their greys, where an aligned picture has nothing."""
MOST_LARGER = 16
"""How many times larger than a picture its canvas may be."""

SHOWN_BY_BROWSERS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
OURS = re.compile(r"[0-9a-f]{20}\.\w+")
"""Names of the files beside the page: a hash of what they hold, so that none is there twice."""

Decode = Callable[[str, "int | None", "str | None"], "Image.Image | None"]
"""The picture of an image file, of a frame on a background; None if it cannot be had."""


@dataclass
class Report:
    """Writes the page of a run, `folder`/index.html; OutputError if it cannot be written.

    The page links the originals, or with `copy` has its own of all images that differ. Where the
    results come from a file, which anybody may have written, only pictures below the `roots` are
    read; `outside` are others, `missing` those that are not there. `stored` gives the content of
    those that are no files of this machine, by their names in the results.
    """

    folder: Path
    decode: Decode
    copy: bool = False
    roots: Sequence[Path] | None = None
    stored: Mapping[str, Callable[[], bytes]] = field(default_factory=dict)
    outside: set[str] = field(default_factory=set)
    missing: set[str] = field(default_factory=set)
    _written: set[str] = field(default_factory=set)

    def write(self, results: Sequence[Result], summary: Summary, settings: Settings) -> None:
        """Write the page and its pictures, and remove those of an earlier page."""
        with failures(self.folder):
            _check_page(self.folder)  # Meanwhile the run has put other results there, perhaps.
            self.folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                pictures = list(pool.map(self._pictures, results))
            page = page_of(results, pictures, summary, settings)
            content = page.encode("utf-8", "backslashreplace")
            write_whole(content, self.folder / PAGE, self.folder)
            self._remove_others()

    def _pictures(self, result: Result) -> dict[str, Any]:
        """URLs of a pair's pictures, relative to the page."""
        found: dict[str, Any] = {"overlay": None, "heatmap": None, "thumbnail": None}
        same = result.status == "identical"
        for side in ("reference", "candidate"):
            file = getattr(result, side)
            if file and not (same and side == "reference"):
                picture = self._decoded(file, result.frame, result.background)
                if picture and result.bands:
                    picture = on_canvas(picture, result, of_reference=side == "reference")
                if picture:
                    found[side] = self._preview(picture)
                    found["thumbnail"] = self._thumbnail(picture)
                    found[f"{side}_original"] = self._original(file, copied=self.copy and not same)
        if same and "candidate" in found:
            found["reference"] = found["candidate"]
            found["reference_original"] = self._original(result.reference or "", copied=False)
        if result.overlay:
            found["overlay"] = self._overlay(result.overlay)
        if not found["overlay"] and result.heatmap_file:
            picture = self._decoded(result.heatmap_file, None, None)
            found["heatmap"] = self._preview(picture) if picture else None
        found["frames"] = [self._of_frame(result, frame) for frame in result.frames]
        return found

    def _of_frame(self, result: Result, frame: FrameResult) -> dict[str, Any]:
        """URLs of the pictures of one frame of several."""
        found = {}
        for side in ("reference", "candidate"):
            picture = self._decoded(getattr(result, side), frame.number, result.background)
            found[side] = self._preview(picture) if picture else None
        return found | {"overlay": self._overlay(frame.overlay) if frame.overlay else None}

    def _decoded(self, file: str, frame: int | None, background: str | None) -> Image.Image | None:
        return self.decode(file, frame, background) if self._may_read(file) else None

    def _overlay(self, file: str) -> str | None:
        """The URL of a map alone, if its file is still there and holds a picture of ours."""
        content = Path(file).read_bytes() if self._may_read(file) else b""
        return self._kept(content, ".webp") if content[8:12] == b"WEBP" else None

    def _may_read(self, file: str) -> bool:
        """Whether a file is there and below one of the roots, or stored elsewhere."""
        if file in self.stored:
            return True
        if not os.path.isfile(file):
            self.missing.add(file)
        elif self.roots is not None:
            real = Path(file).resolve()
            if not any(real.is_relative_to(root.resolve()) for root in self.roots):
                self.outside.add(file)
        return file not in self.missing and file not in self.outside

    def _preview(self, picture: Image.Image) -> str:
        """As many pixels as a square of that side, so that long pages keep some width."""
        width, height = picture.size
        factor = min(1.0, PREVIEW / math.sqrt(width * height), MOST_WEBP / max(width, height))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        return self._kept(encoded(picture.resize(size, Image.Resampling.BICUBIC)), ".webp")

    def _thumbnail(self, picture: Image.Image) -> str:
        small = picture.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        return self._kept(encoded(small), ".webp")

    def _original(self, file: str, *, copied: bool) -> str | None:
        path = Path(file)
        if path.suffix.lower() not in SHOWN_BY_BROWSERS or not self._may_read(file):
            return None
        if copied:
            try:
                content = self.stored.get(file, path.read_bytes)()
            except PerceptError:  # It may be gone by now.
                return None
            return self._kept(content, path.suffix.lower(), "originals")
        if file in self.stored:
            return None
        try:
            return quote(PurePath(os.path.relpath(path, self.folder)).as_posix())
        except ValueError:  # On another drive.
            return path.resolve().as_uri()

    def _kept(self, content: bytes, suffix: str, folder: str = "pictures") -> str:
        """Write a file beside the page; its URL."""
        url = keep(self.folder, content, suffix, folder)
        self._written.add(url)
        return url

    def _remove_others(self) -> None:
        for folder in ("pictures", "originals"):
            for file in (self.folder / folder).glob("*"):
                if OURS.fullmatch(file.name) and f"{folder}/{file.name}" not in self._written:
                    remove(file, self.folder)


def on_canvas(picture: Image.Image, result: Result, *, of_reference: bool) -> Image.Image | None:
    """One of two aligned pictures, with room for what the other has; None if it does not fit."""
    canvas = canvas_of(result.bands, (result.width or 0, result.height or 0))
    pixels, width, height = np.asarray(picture), *canvas.size
    sides = [track.sides[0 if of_reference else 1] for track in (canvas.rows, canvas.columns)]
    if list(pixels.shape[:2]) != sides or width * height > MOST_LARGER * pixels.size:
        return None
    down, across = np.ogrid[:height, :width]
    stripes = np.where((down + across) // STRIPE % 2, *EMPTY).astype(np.uint8)
    onto = np.repeat(stripes[..., None], 3, axis=2)
    canvas.paint(pixels, onto, of_reference=of_reference)
    return Image.fromarray(onto)


def check_free(folder: Path) -> None:
    """OutputError if a report in that folder would replace something else."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"cannot write a report to {shown(folder)}: it is a file: name a folder")
    has_page = (folder / PAGE).exists()
    if folder.is_dir() and not has_page and any(p.is_file() for p in folder.iterdir()):
        raise OutputError(
            f"cannot write a report to {shown(folder)}: it holds other files: name a new folder"
        )
    _check_page(folder)


def _check_page(folder: Path) -> None:
    page = folder / PAGE
    if page.exists() and GENERATOR not in page.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise OutputError(
            f"cannot write a report to {shown(folder)}: its {PAGE} is not percept's: "
            "name another folder"
        )


@contextmanager
def failures(folder: Path) -> Iterator[None]:
    """Turn what goes wrong in writing below a folder into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = unwritable(error)
        raise OutputError(f"cannot write a report to {shown(folder)}: {reason}") from error
    except MemoryError as error:
        raise OutputError(f"cannot write a report to {shown(folder)}: not enough memory") from error


def keep(folder: Path, content: bytes, suffix: str, below: str = "pictures") -> str:
    """Write a file of a report under the hash of its content; its path in the report."""
    name = f"{hashlib.sha256(content).hexdigest()[:20]}{suffix}"
    file = folder / below / name
    if not file.exists():
        write_whole(content, file, folder)
    return f"{below}/{name}"


def encoded(picture: Image.Image) -> bytes:
    """The picture as WebP, in few bytes."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80, method=2)
    return stream.getvalue()

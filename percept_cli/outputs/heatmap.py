"""The map over the candidate, as a picture with its colour scale."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageDraw, ImageFont

from percept_cli.canvas import Canvas
from percept_cli.errors import OutputError, shown, unwritable
from percept_cli.results import Band
from percept_cli.writing import write_whole

# Matplotlib's inferno (CC0): its lightness rises evenly, so it reads without colour vision too.
INFERNO = np.array(
    [
        [0, 0, 4], [12, 8, 38], [36, 12, 79], [66, 10, 104], [93, 18, 110], [120, 28, 109],
        [147, 38, 103], [174, 48, 92], [199, 62, 76], [221, 81, 58], [237, 105, 37],
        [248, 133, 15], [252, 165, 10], [250, 198, 45], [242, 230, 97], [252, 255, 164],
    ]
)  # fmt: skip

FAINT = 0.1
"""The scale's top is at least this: a difference far below it must not glow."""

SMALLEST = 320
"""A narrower candidate is enlarged by a whole factor to about this width, in pixels."""

LEGEND = 28
"""Rows of pixels."""

STRIP_PIXELS = 1 << 20
"""Pixels that are coloured together, but for the rest of a row."""

SOFTWARE = "percept heat map"
"""What a heat map's metadata name as its maker."""

BANDS = {"inserted": (56, 168, 83), "removed": (214, 64, 100), "moved": (74, 130, 230)}
"""Colours of what only one of two aligned images has, or has elsewhere."""

OVERLAY = 1024
"""Most pixels along a side of the map alone."""


@dataclass(frozen=True)
class Map:
    """Where two images differ, and how it lies over their pixels."""

    cells: NDArray[np.float64]
    """Rows × columns of values >= 0."""
    side: int
    """Pixels along a side of a cell."""
    parts: Mapping[str, float] = field(default_factory=dict)
    """What the peak is made of."""
    canvas: Canvas | None = None
    """Where aligned images lie: what lies under the map, then, is of its size."""
    bands: Sequence[Band] = ()
    """What only one of the aligned images has, or has elsewhere."""

    def placed(self, shared: tuple[int, int]) -> Map:
        """The map of images of that width and height with a cell per pixel of the canvas."""
        assert self.canvas
        width, height = shared
        box = 0, 0, width / self.side, height / self.side
        whole = _padded(self.cells, self.side, shared)
        pixels = whole.resize(self.canvas.shared_size, Image.Resampling.BILINEAR, box)
        return replace(self, cells=self.canvas.spread(np.asarray(pixels, np.float64)), side=1)


def heatmap(candidate: NDArray[Any], of: Map) -> Image.Image:
    """The map over the grey, dimmed candidate, H×W×3, uint8 or float in 0..1.

    The strip below shows the colours from 0 to the map's peak, which a square marks, and below
    that what the peak is made of.
    """
    height, width = candidate.shape[:2]
    cells, side = of.cells, of.side
    top = max(float(cells.max()), FAINT)
    strength = _padded(cells / top, side, (width, height))
    factor = max(1, min(round(SMALLEST / width), round(4 * SMALLEST / height)))
    rows_below = LEGEND * (2 if of.parts else 1)
    picture = Image.new("RGB", (width * factor, height * factor + rows_below))
    rows = -(-STRIP_PIXELS // width)
    for start in range(0, height, rows):
        part = candidate[start : start + rows]
        end = start + len(part)
        box = (0, start / side, width / side, end / side)
        values = strength.resize((width, len(part)), Image.Resampling.BILINEAR, box)
        strip = Image.fromarray(_blended(part, np.asarray(values).clip(0, 1)))
        strip = strip.resize((width * factor, len(part) * factor), Image.Resampling.NEAREST)
        picture.paste(strip, (0, start * factor))
    if of.canvas:
        _draw_bands(picture, of.canvas, of.bands, factor)
    _mark_peak(picture, cells, side * factor)
    _draw_legend(picture, top, height * factor)
    if of.parts:
        _draw_parts(picture, of.parts, height * factor + LEGEND)
    return picture


def _blended(part: NDArray[Any], strength: NDArray[Any]) -> NDArray[np.uint8]:
    """Rows of the candidate, H×W×3, under the colours of values in 0..1, H×W."""
    white = 255 if part.dtype == np.uint8 else 1
    grey = part.mean(axis=2, keepdims=True) / white * 0.6 + 0.1
    opacity = np.minimum(1, 2 * strength)[..., None] * 0.75
    blended = grey * (1 - opacity) + _colours(strength) * opacity
    whole: NDArray[np.uint8] = (blended * 255).round().astype(np.uint8)
    return whole


def save_heatmap(path: Path, candidate: NDArray[Any], of: Map, root: Path | None = None) -> None:
    """Write the heat map, in the format of the path's suffix; OutputError if that fails.

    It takes the place of no file but another heat map, and none outside of `root`, if given.
    """
    if path.is_file() and not _is_ours(path):
        raise OutputError(f"{shown(path)} is there and no heat map of percept's: name another")
    try:
        kind = Image.registered_extensions().get(path.suffix.lower())
        if kind is None:
            raise ValueError(f"no format ends in {path.suffix}")
        content, mark = io.BytesIO(), Image.Exif()
        mark[ExifTags.Base.Software] = SOFTWARE
        heatmap(candidate, of).save(content, kind, exif=mark)
        write_whole(content.getvalue(), path, root)
    except (OSError, ValueError, MemoryError) as error:
        said = unwritable(error) if isinstance(error, OSError) else str(error)
        reason = said or "not enough memory"
        raise OutputError(f"cannot write the heat map {shown(path)}: {reason}") from error


def _is_ours(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            return bool(image.getexif().get(ExifTags.Base.Software) == SOFTWARE)
    except (OSError, ValueError, SyntaxError):
        return False


def _colours(strength: NDArray[Any]) -> NDArray[Any]:
    """Values in 0..1 → red, green, blue in 0..1."""
    stops = np.linspace(0, 1, len(INFERNO))
    channels = [np.interp(strength, stops, INFERNO[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=-1) / 255


def _padded(cells: NDArray[Any], side: int, size: tuple[int, int]) -> Image.Image:
    """Cells as an image; the last row and column once more where the image goes on behind them."""
    needed = -(-size[1] // side), -(-size[0] // side)
    rest = [(0, max(0, n - have)) for n, have in zip(needed, cells.shape, strict=True)]
    return Image.fromarray(np.pad(cells.astype(np.float32), rest, mode="edge"))


def _mark_peak(picture: Image.Image, cells: NDArray[Any], side: int) -> None:
    row, column = divmod(int(cells.argmax()), cells.shape[1])
    margin = max(4, side // 2)
    left, top = column * side, row * side
    box = (left - margin, top - margin, left + side + margin, top + side + margin)
    ImageDraw.Draw(picture).rectangle(box, outline=(255, 255, 255))


def _draw_bands(picture: Image.Image, canvas: Canvas, bands: Sequence[Band], factor: int) -> None:
    """Tint what only one image has, and say what became of it where there is room."""
    draw, font = ImageDraw.Draw(picture, "RGBA"), ImageFont.load_default(size=13)
    for band in bands:
        for x, y, width, height in canvas.of_band(band):
            box = x * factor, y * factor, (x + width) * factor - 1, (y + height) * factor - 1
            draw.rectangle(box, fill=(*BANDS[band.kind], 90), outline=BANDS[band.kind])
            if height * factor >= 18 and draw.textlength(band.kind, font) < width * factor - 8:
                draw.text((box[0] + 5, box[1] + 2), band.kind, fill="white", font=font)


def _draw_legend(picture: Image.Image, top: float, start: int) -> None:
    """The colours from 0 to `top`, from that row on, where the picture is wide enough."""
    width, end = picture.size
    height = start + LEGEND
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=13)
    draw.rectangle((0, start, width, end), fill=(24, 24, 24))
    middle = height - LEGEND // 2
    label = f"{top:.2f}"
    left, right = 24, width - 16 - int(draw.textlength(label, font=font))
    if right <= left:
        return
    ramp = (_colours(np.linspace(0, 1, right - left)) * 255).round().astype(np.uint8)
    picture.paste(Image.fromarray(np.repeat(ramp[None], 10, axis=0)), (left, middle - 5))
    draw.text((8, middle), "0", fill="white", font=font, anchor="lm")
    draw.text((right + 8, middle), label, fill="white", font=font, anchor="lm")


def _draw_parts(picture: Image.Image, parts: Mapping[str, float], start: int) -> None:
    """What the peak is made of, the largest first, as large as the width allows."""
    by_size = sorted(parts.items(), key=lambda item: -item[1])
    words = "   ".join(f"{name}={value:.2f}" for name, value in by_size)
    draw = ImageDraw.Draw(picture)
    sizes = (ImageFont.load_default(size=size) for size in range(13, 6, -1))
    font = next((f for f in sizes if draw.textlength(words, f) <= picture.width - 16), None)
    if font:
        draw.text((8, start + LEGEND // 2), words, fill="white", font=font, anchor="lm")


def overlay(of: Map, size: tuple[int, int]) -> Image.Image:
    """The map alone, clear where nothing differs, to lay over an image of that width and height.

    It is smaller than that image, with about two pixels to a cell, and has its shape.
    """
    (width, height), side = size, of.side
    strength = _padded(of.cells / max(float(of.cells.max()), FAINT), side, size)
    factor = min(2 / side, OVERLAY / max(size), 1)
    small = max(1, round(width * factor)), max(1, round(height * factor))
    box = (0, 0, width / side, height / side)
    values = np.asarray(strength.resize(small, Image.Resampling.BILINEAR, box)).clip(0, 1)
    opacity = np.minimum(1, 2 * values)[..., None]
    coloured = np.concatenate([_colours(values), opacity], axis=-1)
    return Image.fromarray((coloured * 255).round().astype(np.uint8))

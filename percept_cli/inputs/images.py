"""Every kind of file Pillow reads → its colours as they look, and notes on what was done."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image, ImageOps

from percept_cli.errors import PerceptError
from percept_cli.inputs.files import background_colour, check_pixels, orientation, reason_of
from percept_cli.inputs.png import plain_pixels
from percept_cli.inputs.profiles import Profile, in_srgb, is_srgb, profile_of

if "PILLOW_BLOCK_SIZE" not in os.environ:
    # Blocks of this size go back to the system once they are freed. Pillow's own, of 16 MiB, may
    # stay: 600 MiB of them after a thread has decoded 150 megapixels.
    Image.core.set_block_size(1 << 26)  # type: ignore[attr-defined]

WITH_ALPHA = ("LA", "RGBA", "RGBa", "PA", "P")
"""Modes that hold transparency, or may."""

STRIP_PIXELS = 1 << 22
"""Most pixels that are copied out of a decoded image at once, but for the rest of a row."""

Pixels = NDArray[Any]
"""H×W×3 red, green, blue: uint8 in 0..255, or float32 in 0..1 from files of more than 8 bits."""


@dataclass(frozen=True)
class Picture:
    """A decoded image."""

    pixels: Pixels
    """Where nothing covers it, a transparent pixel's colour shows what its file hides."""
    notes: tuple[str, ...] = ()
    guessed_span: int | None = None
    """Top of the range that floating-point values were taken to lie in; their file does not say."""
    alpha: NDArray[Any] | None = None
    """Opacity, H×W, of the pixels' type and range; None if all is opaque."""
    reduced: bool = False
    """Whether the file says more of how it looks than is here."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        height, width = self.pixels.shape[:2]
        return width, height

    def on(self, background: str) -> Picture:
        """The picture, opaque, as it looks on that background."""
        if self.alpha is None:
            return self
        behind = background_colour(background)
        return replace(self, pixels=_composited(self.pixels, self.alpha, behind), alpha=None)

    def in_unit_range(self) -> Picture:
        """The same picture, opaque, as float32 in 0..1."""
        return replace(self, pixels=unit_range(self.pixels))

    def in_bytes(self) -> NDArray[np.uint8]:
        """The pixels as uint8 in 0..255."""
        if self.pixels.dtype == np.uint8:
            return self.pixels
        return (self.pixels.clip(0, 1) * 255).round().astype(np.uint8)

    def mapped(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Picture:
        """The picture with its colours and its opacity, H×W×3 and H×W, changed in one way."""
        alpha = None if self.alpha is None else change(self.alpha)
        return replace(self, pixels=change(self.pixels), alpha=alpha)

    def greyed(self, mask: NDArray[np.bool_], grey: int) -> Picture:
        """The same picture with the pixels of an H×W mask of one grey, given of 255."""
        pixels = self.pixels.copy()
        pixels[mask] = grey if pixels.dtype == np.uint8 else np.float32(grey) / np.float32(255)
        return replace(self, pixels=pixels)

    def resized(self, size: tuple[int, int], *, soft: bool = False) -> Picture:
        """The same picture, opaque, at another width and height, antialiased.

        The filter is bicubic, or bilinear where it becomes smaller and `soft`, which keeps less of
        the finest detail.
        """
        if size == self.size:
            return self
        soft &= min(size) < min(self.size)
        kernel = Image.Resampling.BILINEAR if soft else Image.Resampling.BICUBIC
        if self.pixels.dtype == np.uint8:
            pixels = np.asarray(Image.fromarray(self.pixels).resize(size, kernel))
        else:
            channels = (Image.fromarray(self.pixels[..., channel]) for channel in range(3))
            resized = [np.asarray(c.resize(size, kernel)) for c in channels]
            pixels = np.stack(resized, axis=-1).clip(0, 1)
        return replace(self, pixels=pixels)


def unit_range(pixels: Pixels) -> NDArray[np.float32]:
    """The same pixels as float32 in 0..1."""
    return pixels if pixels.dtype == np.float32 else np.divide(pixels, 255, dtype=np.float32)


def decoded(image: Image.Image, name: str) -> Picture:
    """The image, or the frame of it that it stands at; PerceptError if it is damaged."""
    try:
        return _looks(image)
    except PerceptError as error:
        raise PerceptError(f"{name}: {error}") from error
    except MemoryError as error:
        raise PerceptError(f"{name}: not enough memory to decode it: free some") from error
    except Exception as error:  # Pillow's decoders raise anything at all on broken data.
        raise PerceptError(f"{name}: damaged image ({reason_of(error)}): write it again") from error


def from_array(source: ArrayLike, name: str, max_pixels: int) -> Picture:
    """H×W or H×W×(1, 3, 4) array, uint8 in 0..255 or floating point in 0..1 → its picture."""
    array = np.asarray(source)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)):
        raise PerceptError(f"{name}: shape {array.shape} is no image: give H×W, H×W×3 or H×W×4")
    if array.size == 0:
        raise PerceptError(f"{name}: shape {array.shape} has no pixels")
    check_pixels((array.shape[1], array.shape[0]), name, max_pixels)
    if array.dtype == np.uint8:
        return decoded(Image.fromarray(array), name)
    if not np.issubdtype(array.dtype, np.floating):
        raise PerceptError(f"{name}: dtype {array.dtype}: give uint8 in 0..255 or float in 0..1")
    if not (array.min() >= 0 and array.max() <= 1):
        if words := _not_finite(array):
            raise PerceptError(f"{name}: {words}: replace them")
        raise PerceptError(f"{name}: float values outside 0..1: scale them by their range")
    array = array.astype(np.float32)
    if array.ndim == 2:
        return Picture(_grey(array))
    if array.shape[2] == 3 or array[..., 3].min() == 1:
        return Picture(array[..., :3])
    return Picture(array[..., :3], alpha=array[..., 3])


def _looks(image: Image.Image) -> Picture:
    profile, notes = profile_of(image)
    if not profile:
        pixels = plain_pixels(image)
        if pixels is not None:
            return _plain(pixels, notes)
    stored = " ".join(str(tile[3]) for tile in getattr(image, "tile", ()))
    reduced = bool(re.search(r";16|\b65535\b", stored)) and image.mode in ("RGB", "RGBA", "CMYK")
    if reduced:
        notes.append("16-bit colour read with 8 bits")
    if orientation(image) > 1:
        notes.append("turned by its EXIF orientation")
    image.load()
    if reduced and image.mode == "RGB" and "transparency" in image.info:
        # Its colour has 16 bits, of which Pillow takes some for those of 8.
        image = image.copy()
        del image.info["transparency"]
        notes.append("transparency of 16-bit colour ignored")
    # Neither this nor converting copies what is fine as it is: large images are large.
    turned = ImageOps.exif_transpose(image) if orientation(image) > 1 else image
    if turned.mode == "F" or turned.mode.startswith("I"):
        ignored = (
            [f"{profile.name} of deep grey ignored"] if profile and not is_srgb(profile) else []
        )
        if "transparency" in image.info:
            ignored.append("transparency of deep grey ignored")
        deep = _deep(turned)
        return replace(deep, notes=(*notes, *ignored, *deep.notes), reduced=bool(ignored))
    picture = _of_8_bits(turned, profile)
    return replace(picture, notes=(*notes, *picture.notes), reduced=reduced)


def _plain(pixels: Pixels, notes: list[str]) -> Picture:
    """A picture of H×W×3 or H×W×4 in uint8."""
    if pixels.shape[2] == 3:
        return Picture(pixels, tuple(notes))
    colours, alpha = np.ascontiguousarray(pixels[..., :3]), pixels[..., 3]
    opaque = alpha.min() == 255
    return Picture(colours, tuple(notes), alpha=None if opaque else np.ascontiguousarray(alpha))


def _deep(image: Image.Image) -> Picture:
    """Grey of more than 8 bits, scaled by the range of its kind: 16 bits, or 0..1 or 0..255."""
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    spans = (1, 255) if image.mode == "F" else (65535,)
    span = next((span for span in spans if low >= 0 and high <= span), None)
    if span is None:
        if words := _not_finite(values):
            raise PerceptError(f"{words}: replace them")
        ranges = " or ".join(f"0..{span}" for span in spans)
        raise PerceptError(f"values from {low:g} to {high:g}: save them as {ranges}")
    pixels = _grey((values / span).astype(np.float32))
    guessed = span if image.mode == "F" and high > 0 else None  # Black is black in any range.
    return Picture(pixels, (f"grey values scaled from 0..{span}",), guessed)


def _not_finite(values: NDArray[Any]) -> str:
    """How many of the values are NaN or infinite; empty if none is."""
    counts = ((np.isnan(values).sum(), "NaN"), (np.isinf(values).sum(), "infinite"))
    words = " and ".join(f"{count} {what}" for count, what in counts if count)
    return f"{words} of {values.size} values" if words else ""


def _grey(values: NDArray[np.float32]) -> Pixels:
    return np.repeat(values[..., None], 3, axis=2)


def _of_8_bits(image: Image.Image, profile: Profile | None) -> Picture:
    """Up to 8 bits per channel: colours in sRGB, and what of them is transparent."""
    notes = []
    alpha = None
    if image.mode == "La":
        image = image.convert("LA")
    if image.has_transparency_data or image.mode in WITH_ALPHA:
        whole = image if image.mode == "RGBA" else image.convert("RGBA")
        alpha = whole.getchannel("A")
        if alpha.getextrema() == (255, 255):
            alpha = None
        if image.mode in WITH_ALPHA:
            image = whole.convert("L" if image.mode == "LA" else "RGB")
        del whole
    if profile:
        image, note = in_srgb(image, profile)
        notes += note
    if image.mode in ("CMYK", "YCbCr", "LAB", "HSV"):
        notes.append(f"{image.mode} converted to RGB")
    if image.mode != "RGB":
        image = image.convert("RGB")
    return Picture(_array(image), tuple(notes), alpha=np.asarray(alpha) if alpha else None)


def _array(image: Image.Image) -> Pixels:
    """An RGB image → H×W×3, uint8, in strips: Pillow would hold it several times at once."""
    width, height = image.size
    if width * height <= STRIP_PIXELS:
        return np.asarray(image)
    pixels, rows = np.empty((height, width, 3), np.uint8), -(-STRIP_PIXELS // width)
    for top in range(0, height, rows):
        box = (0, top, width, min(top + rows, height))
        pixels[top : box[3]] = np.asarray(image.crop(box))
    return pixels


def _composited(pixels: Pixels, alpha: NDArray[Any], behind: tuple[int, ...]) -> Pixels:
    """H×W×3 under an H×W alpha, on a colour in 0..255."""
    if pixels.dtype != np.uint8:
        opacity = alpha[..., None]
        below = np.array(behind, np.float32) / 255 * (1 - opacity)
        return np.asarray(pixels * opacity + below)
    composited, rows = np.empty_like(pixels), -(-STRIP_PIXELS // pixels.shape[1])
    for top in range(0, len(pixels), rows):
        strip, mask = (Image.fromarray(x[top : top + rows]) for x in (pixels, alpha))
        whole = Image.composite(strip, Image.new("RGB", strip.size, behind), mask)
        composited[top : top + rows] = np.asarray(whole)
    return composited

"""An image file's bytes, what its header says, and whether it decodes; without numpy."""

from __future__ import annotations

import io
import re
import sys
from stat import S_ISDIR, S_ISREG
from typing import BinaryIO

from PIL import Image, ImageColor, UnidentifiedImageError

from percept_cli.errors import PerceptError, shown
from percept_cli.inputs.intact import surely_decodes
from percept_cli.inputs.kinds import FIRST, opened_formats, plugin_for
from percept_cli.inputs.stored import Place, Stored

MAX_BYTES = 1 << 30
"""Most bytes of a file that are read, unless more are asked for."""

LARGE = 1 << 26
"""Bytes of a file from which its header is looked at before all of it is read."""

START_OF_SCAN = b"\xff\xda"
MOST_SCANS = 100
"""Most scans of a JPEG file, each of which decodes the whole image once more; cameras write ten."""


def read_bytes(path: Place, max_bytes: int = MAX_BYTES) -> bytes:
    """The file's content; PerceptError if there is none to read, or more than max_bytes."""
    name = shown(path)
    if isinstance(path, Stored):
        content = path.read(max_bytes)
        if not content:
            raise PerceptError(f"{name}: the file is empty: write it again")
        return content
    try:
        str(path).encode("utf-8")
        status = path.stat()
        mode = status.st_mode
        if S_ISDIR(mode):
            raise PerceptError(f"{name}: a folder where an image is expected: name a file")
        if not S_ISREG(mode):
            raise PerceptError(f"{name}: not a regular file: name an image file")
        if status.st_size > max_bytes:
            raise PerceptError(
                f"{name}: {status.st_size} bytes, over --max-bytes {max_bytes}: "
                "raise it if you trust the file"
            )
        if status.st_size > LARGE:
            with path.open("rb") as stream:
                opened(stream, name, sys.maxsize).close()
        content = path.read_bytes()
    except UnicodeEncodeError as error:
        raise PerceptError(f"{name}: the file name is not UTF-8: rename the file") from error
    except ValueError as error:
        raise PerceptError(f"{name!r}: no path has such a character: check it") from error
    except FileNotFoundError as error:
        if path.is_symlink():
            raise PerceptError(f"{name}: broken symbolic link: restore its target") from error
        raise PerceptError(f"{name}: no such file: check the path") from error
    except OSError as error:
        reason = error.strerror
        raise PerceptError(f"{name}: cannot be read ({reason}): check its rights") from error
    if not content:
        raise PerceptError(f"{name}: the file is empty: write it again")
    return content


def opened(content: bytes | BinaryIO, name: str, max_pixels: int) -> Image.Image:
    """The image with its header read; PerceptError if it is none or has too many pixels."""
    try:
        image = _identified(io.BytesIO(content) if isinstance(content, bytes) else content, name)
    except PerceptError:
        raise
    except UnidentifiedImageError as error:
        head = content[:100] if isinstance(content, bytes) else b""
        raise PerceptError(f"{name}: {_no_image(head)}") from error
    except Image.DecompressionBombError as error:
        raise _too_large(name, error, max_pixels) from error
    except Exception as error:  # Pillow's plugins raise anything at all on broken headers.
        raise _damaged(name, error) from error
    check_pixels(image.size, name, max_pixels)
    if not isinstance(content, bytes) or image.format not in ("JPEG", "MPO"):
        return image
    if content.count(START_OF_SCAN) > MOST_SCANS:
        raise PerceptError(f"{name}: over {MOST_SCANS} scans, which take too long: write it again")
    return image


def _no_image(head: bytes) -> str:
    """What a file is that is no image, by its first bytes, and what to do."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer, not the image: fetch it with 'git lfs pull'"
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page, not an image: fetch the image itself"
    return "not an image of a kind Pillow reads: convert it"


def _identified(stream: BinaryIO, name: str) -> Image.Image:
    Image.preinit()
    try:
        return Image.open(stream, formats=opened_formats())
    except UnidentifiedImageError:
        Image.init()  # All of Pillow's formats take a while to load.
        stream.seek(0)
        if plugin := plugin_for(stream.read(FIRST)):
            plugin.teach(name)
        return Image.open(stream, formats=opened_formats())


def size_of(content: bytes, name: str, max_pixels: int, *, decode: bool = False) -> tuple[int, int]:
    """Width and height as shown; PerceptError for a file of which a frame does not decode.

    With `decode` all frames are decoded, else only where a look at the file does not tell.
    """
    image = opened(content, name, max_pixels)
    try:
        decode = decode or not surely_decodes(content, image.format)
        if decode:
            image.load()
        # To look for EXIF at the end of a PNG file would mean to decode it.
        turnable = image.format != "PNG" or "exif" in image.info
        width, height = image.size
        turned = turnable and orientation(image) > 4
        if decode:
            _decode_others(image, name, max_pixels)
    except PerceptError:
        raise
    except MemoryError as error:
        raise PerceptError(f"{name}: not enough memory to decode it: free some") from error
    except Exception as error:  # As above.
        raise _damaged(name, error) from error
    return (height, width) if turned else (width, height)


def _decode_others(image: Image.Image, name: str, max_pixels: int) -> None:
    """Decode all frames after the first."""
    for number in range(2, frames_of(image, name) + 1):
        seek(image, number, name, max_pixels)
        image.load()


def frames_of(image: Image.Image, name: str) -> int:
    """How many frames an animation has, or pages a file of several; 1 for a still."""
    # What these hold besides the picture are its layers.
    if image.format in ("PSD", "MIC"):
        return 1
    try:
        return getattr(image, "n_frames", 1)
    except Exception as error:  # As above.
        raise _damaged(name, error) from error


def seek(image: Image.Image, number: int, name: str, max_pixels: int) -> None:
    """Go to a frame, from 1 on; PerceptError if it cannot be read or has too many pixels."""
    try:
        image.seek(number - 1)
    except Exception as error:  # As above.
        raise _damaged(name, error) from error
    check_pixels(image.size, name, max_pixels)


def _too_large(name: str, error: Exception, max_pixels: int) -> PerceptError:
    """What Pillow's own limit means, which the command sets to its own."""
    if max_pixels != Image.MAX_IMAGE_PIXELS:
        return PerceptError(
            f"{name}: more pixels than Pillow opens: set PIL.Image.MAX_IMAGE_PIXELS = None first"
        )
    count = re.search(r"\d+ pixels", str(error))
    return PerceptError(
        f"{name}: {count[0] if count else 'it is'}, over --max-pixels {max_pixels}: "
        "raise it if you trust the file"
    )


def _damaged(name: str, error: Exception) -> PerceptError:
    return PerceptError(f"{name}: damaged image ({reason_of(error)}): write it again")


def orientation(image: Image.Image) -> int:
    """How the image is to be turned: 1 not at all, 5 to 8 with its sides exchanged."""
    stored: int = image.getexif().get(0x0112, 1)
    return stored if stored in range(1, 9) else 1


def backgrounds_of(text: str) -> tuple[str, ...]:
    """The colours in a text with commas, such as `white,black`; PerceptError if one is none."""
    colours = tuple(part.strip() for part in re.split(r",(?![^(]*\))", text))
    meant = [background_colour(colour) for colour in colours]
    if doubled := [colour for colour in colours if meant.count(background_colour(colour)) > 1]:
        raise PerceptError(f"background {doubled[-1]} is named twice: name it once")
    return colours


def background_colour(background: str) -> tuple[int, int, int]:
    """Red, green, blue in 0..255 of a colour's name or #hex; PerceptError if it is none."""
    try:
        colour = ImageColor.getrgb(background)
        if len(colour) > 3:
            raise ValueError("a background is opaque")
    except ValueError as error:
        raise PerceptError(
            f"unknown background {background!r}: give a colour's name such as white, or #rrggbb"
        ) from error
    return colour[0], colour[1], colour[2]


def check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    """PerceptError if a width and height make more than max_pixels."""
    width, height = size
    if width * height > max_pixels:
        raise PerceptError(
            f"{name}: {width}x{height} is {width * height} pixels, over --max-pixels {max_pixels}: "
            "raise it if you trust the file"
        )


def reason_of(error: Exception) -> str:
    """The first line of what an exception says."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

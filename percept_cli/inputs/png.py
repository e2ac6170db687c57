"""Plain PNG files by imagecodecs (libspng), where that is installed: Pillow takes longer."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any

from percept_cli.inputs.intact import surely_decodes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

PLAIN = (b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"tIME", b"sBIT", b"bKGD")
"""Chunks before the pixels that change none of them."""

WORDS = (
    *(b"Title", b"Author", b"Description", b"Copyright", b"Creation Time", b"Software"),
    *(b"Disclaimer", b"Warning", b"Source", b"Comment"),
)
"""Keywords of the PNG specification. Of others some mean something to Pillow."""


def plain_pixels(image: Image.Image) -> NDArray[Any] | None:
    """Pixels of an opened file, H×W×3 or H×W×4, uint8; None where it is to be left to Pillow.

    That is any file that holds more than red, green, blue and opacity of 8 bits, and all that are
    damaged, or may be.
    """
    decode = _decoder()
    if decode is None or image.format != "PNG" or image.mode not in ("RGB", "RGBA"):
        return None
    stored = [tile[3] for tile in getattr(image, "tile", ())]
    stream = getattr(image, "fp", None)
    if stored != [image.mode] or not isinstance(stream, io.BytesIO):
        return None
    content = stream.getvalue()
    if not _is_plain(content) or not surely_decodes(content, "PNG"):
        return None
    try:
        return decode(content)
    except Exception:  # Pillow says what is wrong with it.
        return None


@cache
def _decoder() -> Callable[[bytes], NDArray[Any]] | None:
    try:
        from imagecodecs import spng_decode
    except Exception:  # One that fits neither Python nor NumPy raises anything.
        return None
    return spng_decode


def _is_plain(content: bytes) -> bool:
    """Whether a PNG file holds its pixels, and besides nothing that says how they look."""
    place, pixels = 8 + 25, False  # Behind the header.
    while True:
        try:
            length, kind = struct.unpack_from(">I4s", content, place)
        except struct.error:
            return False
        if kind == b"IEND":
            return pixels
        end = place + 8 + length
        if kind == b"IDAT":
            pixels = True
        else:
            word = content[place + 8 : end].partition(b"\0")[0]
            if pixels or not (kind in PLAIN or (kind == b"tEXt" and word in WORDS)):
                return False
        place = end + 4

"""Plain PNG files by imagecodecs (libspng), where that is installed: Pillow takes longer."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

from percept_cli.inputs.intact import surely_decodes

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

TURNING = ("exif", "xmp")
"""What names of a file's own words have that may say how it is to be turned."""


def plain_pixels(image: Image.Image) -> NDArray[Any] | None:
    """Pixels of an opened file, H×W×3 or H×W×4, uint8; None where it is to be left to Pillow.

    That is any file that holds more than red, green, blue and opacity of 8 bits, that is to be
    turned, or that is damaged, or may be.
    """
    stored = [tile[3] for tile in getattr(image, "tile", ())]
    if image.format != "PNG" or image.mode not in ("RGB", "RGBA") or stored != [image.mode]:
        return None
    words = " ".join(map(str, image.info)).lower()
    if "transparency" in words or any(word in words for word in TURNING):
        return None
    stream = getattr(image, "fp", None)
    if getattr(image, "is_animated", False) or not isinstance(stream, io.BytesIO):
        return None
    content = stream.getvalue()
    if not _ends_with_pixels(content) or not surely_decodes(content, "PNG"):
        return None
    try:
        from imagecodecs import spng_decode
    except ImportError:
        return None
    try:
        return spng_decode(content)
    except Exception:  # Pillow says what is wrong with it.
        return None


def _ends_with_pixels(content: bytes) -> bool:
    """Whether nothing follows a PNG file's pixels, of which its beginning does not tell."""
    place, kind, pixels = 8, b"", False
    while kind != b"IEND":
        try:
            length, kind = struct.unpack_from(">I4s", content, place)
        except struct.error:
            return False
        if pixels and kind not in (b"IDAT", b"IEND"):
            return False
        pixels |= kind == b"IDAT"
        place += 12 + length
    return True

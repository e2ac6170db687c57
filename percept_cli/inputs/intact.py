"""Whether a file decodes: told from outside where its format allows that, else by decoding it."""

from __future__ import annotations

import io
import re
import struct
from zlib import crc32

from PIL import Image

SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7]")
"""The marker after a scan of a JPEG file, in whose data 0xFF stands before 0 or a restart."""


def surely_decodes(content: bytes, kind: str | None) -> bool:
    """Whether a file of that kind, as Pillow names it, decodes; False where only decoding tells.

    PNG has checksums, and of broken data in JPEG scans libjpeg only warns; in other formats nothing
    but decoding tells broken data.
    """
    check = {"PNG": _png, "JPEG": _jpeg}.get(kind or "")
    try:
        return check is not None and check(content)
    except (struct.error, IndexError):
        return False


def _png(content: bytes) -> bool:
    """All checksums are right, up to the end chunk; EXIF data after the pixels are not sure."""
    place, stored, view = 8, 0, memoryview(content)
    while True:
        length, kind = struct.unpack_from(">I4s", content, place)
        end = place + 8 + length
        if crc32(view[place + 4 : end]) != struct.unpack_from(">I", content, end)[0]:
            return False
        if kind == b"IEND" or (stored and kind == b"eXIf"):
            return stored > 0 and kind == b"IEND"
        stored += length if kind == b"IDAT" else 0
        place = end + 4


def _jpeg(content: bytes) -> bool:
    """One scan whose header libjpeg takes, up to the end marker: broken data it only warns of."""
    place = 2
    while (marker := content[place + 1]) != 0xDA:
        # Baseline frames, tables, restart interval, applications' data, comments.
        known = marker in (0xC0, 0xC1, 0xC4, 0xDB, 0xDD, 0xFE) or 0xE0 <= marker <= 0xEF
        if content[place] != 0xFF or not known:
            return False
        place += 2 + struct.unpack_from(">H", content, place + 2)[0]
    data = place + 2 + struct.unpack_from(">H", content, place + 2)[0]
    end = SCAN_END.search(content, data)
    return end is not None and end[0] == b"\xff\xd9" and _decodes_small(content[:data] + end[0])


def _decodes_small(content: bytes) -> bool:
    try:
        image = Image.open(io.BytesIO(content))
        image.draft(None, (1, 1))
        image.load()
    except Exception:  # Pillow's plugins raise anything at all on broken headers.
        return False
    return True

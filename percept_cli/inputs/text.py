"""Text files as people's programs write them."""

from __future__ import annotations

import codecs
from pathlib import Path

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Marks at the beginning of a file, and what it is written in."""


def encoding_of(file: Path) -> str:
    """UTF-8, or what the file's mark says; OSError if it cannot be read."""
    with file.open("rb") as stream:
        head = stream.read(3)
    return next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8")

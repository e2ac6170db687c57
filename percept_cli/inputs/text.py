"""Text files as people's programs write them."""

from __future__ import annotations

import codecs
import io
from pathlib import Path

from percept_cli.inputs.stored import Remote

MOST = 1 << 32
"""Most bytes of a text that is somewhere else."""

MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""Marks at the beginning of a file, and what it is written in."""


def opened_text(file: Path | Remote, errors: str = "strict") -> io.TextIOWrapper:
    """The file's text, in UTF-8 or what its mark says; lines end as they do in the file.

    It is read once, so that it may be a pipe. Raises OSError if it cannot be read.
    """
    raw = io.BytesIO(file.read(MOST)) if isinstance(file, Remote) else file.open("rb", buffering=0)
    stream = io.BufferedReader(raw)
    head = stream.peek(3)
    encoding = next((name for mark, name in MARKS.items() if head.startswith(mark)), "utf-8")
    return io.TextIOWrapper(stream, encoding, errors, newline="")

"""The errors percept raises for its users; everything else is a defect and keeps its traceback."""

from __future__ import annotations

from errno import ENOTDIR
from os import strerror


class PerceptError(Exception):
    """A user's error, as one line: what is wrong, where, and what to do."""


class ShapesDiffer(PerceptError):  # noqa: N818 -- to a check no error, but a change
    """Two images have different sizes, and none is to be resized, or not the same frames."""


class OutOfMemory(PerceptError):  # noqa: N818 -- the name torch uses too
    """The device cannot hold even a small part of an image."""


class PipeClosed(Exception):  # noqa: N818 -- no error: the reader has seen enough
    """Whoever read the output has stopped reading."""


class OutputError(PerceptError):
    """Results could not be written."""


def unwritable(error: OSError) -> str:
    """Why a file or its folder cannot be written; the folder may be a file that exists."""
    if isinstance(error, FileExistsError):
        return strerror(ENOTDIR)
    return error.strerror or str(error)


def one_line(text: str) -> str:
    """The text with everything escaped that moves a cursor, turns a line, or commands a CI."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return f"\\{line}" if line.lstrip().startswith(("::", "##")) else line


def shown(path: object) -> str:
    """The path as text that any message and any output can carry."""
    return str(path).encode("utf-8", "backslashreplace").decode()

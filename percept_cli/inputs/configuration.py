"""Settings from the nearest percept.toml, or [tool.percept] in pyproject.toml."""

from __future__ import annotations

import difflib
import math
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from percept_cli.errors import PerceptError, shown
from percept_cli.inputs.text import opened_text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


NUMBER, TEXT, YES_OR_NO = (int, float), (str,), ((bool,), "true or false")
TYPES: dict[str, tuple[tuple[type, ...], str]] = {
    "preset": (TEXT, "a name"),
    "layers": ((list, str), "a list of names"),
    "layer-weight": ((dict,), "a table such as {conv3_1 = 2}"),
    "distance": (TEXT, "a name"),
    "raw": YES_OR_NO,
    "blur": (NUMBER, "a number"),
    "tolerance": ((int,), "a whole number"),
    "floor": (NUMBER, "a number"),
    "area": (NUMBER, "a number"),
    "colour": (NUMBER, "a number"),
    "shrink": ((int,), "a whole number"),
    "weights": (TEXT, "a name or a path"),
    "resize": ((int, str), "a name, a number or WIDTHxHEIGHT"),
    "align": (TEXT, "rows, columns, auto or none"),
    "size-tolerance": ((int,), "a whole number"),
    "background": (TEXT, "a colour, or several with commas"),
    "frame": ((int,), "a whole number"),
    "ignore": ((list, str), 'a list such as ["x,y,width,height", "mask.png"]'),
    "max-pixels": ((int,), "a whole number"),
    "max-bytes": ((int,), "a whole number"),
    "workers": ((int,), "a whole number"),
    "precision": (TEXT, "a name"),
    "device": (TEXT, "a name"),
    "also": ((list, str), 'a list such as ["psnr", "ssim"]'),
    "peak-threshold": ((*NUMBER, str), "a number or a name"),
    "jnd": (NUMBER, "a number"),
    "threshold": (NUMBER, "a number"),
    "layer-threshold": ((dict,), "a table such as {conv3_1 = 0.1}"),
    "allow-new": YES_OR_NO,
    "csv-safe": YES_OR_NO,
    "allow-unpaired": YES_OR_NO,
    "images": ((dict,), 'tables such as [images."GLOB"]'),
}
"""What each key may hold, and that in words."""


def check_type(where: str, key: str, value: Any) -> None:
    """PerceptError if a key cannot hold such a value."""
    kinds, words = TYPES[key]
    numbers = list(value.values()) if isinstance(value, dict) and key != "images" else [value]
    names = value if isinstance(value, list) else ()
    if (
        not isinstance(value, kinds)
        or (isinstance(value, bool) and bool not in kinds)
        or (isinstance(value, dict) and not all(type(n) in (int, float, dict) for n in numbers))
        or not all(isinstance(name, str) or _is_box(key, name) for name in names)
        or not all(math.isfinite(n) for n in numbers if isinstance(n, float))
    ):
        raise PerceptError(f"{where}: {key} = {value!r}: give {words}")


def _is_box(key: str, entry: Any) -> bool:
    """Whether an ignored region is a list [x, y, width, height]."""
    box = key == "ignore" and isinstance(entry, list) and len(entry) == 4
    return box and all(type(number) is int for number in entry)


def configured(folder: Path, keys: Collection[str]) -> tuple[Path | None, dict[str, Any]]:
    """The file that holds for a folder, its own or a parent's, and what it says by key.

    Raises PerceptError for a file that cannot be read, or is of another user, for a key that is
    not one of `keys`, and for a value of another type.
    """
    for place in (folder, *folder.parents):
        for name in ("percept.toml", "pyproject.toml"):
            file = place / name
            if file.is_file():
                _check_owner(file, folder)
                values: Any = _read(file)
                if name == "pyproject.toml":
                    tools = values.get("tool")
                    values = tools.get("percept") if isinstance(tools, dict) else None
                if values is not None:
                    if not isinstance(values, dict):
                        raise PerceptError(f"{shown(file)}: tool.percept is no table: make it one")
                    _check(values, keys, file)
                    return file, dict(values)
    return None, {}


def _check_owner(file: Path, folder: Path) -> None:
    """PerceptError for another user's file: whoever owns it would decide what passes.

    Whose the folder is may have it: in a container that is often another user.
    """
    trusted = {0, folder.stat().st_uid, *([os.getuid()] if hasattr(os, "getuid") else ())}
    if file.stat().st_uid not in trusted:
        raise PerceptError(
            f"{shown(file)} belongs to another user, who would decide what passes: "
            "make it yours, or remove it"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        with opened_text(file) as text:
            return tomllib.loads(text.read())
    except (OSError, ValueError, RecursionError) as error:
        raise PerceptError(f"{shown(file)}: not readable as TOML: {error}") from error


def _check(values: dict[str, Any], keys: Collection[str], file: Path) -> None:
    for key, value in values.items():
        if key in keys:
            check_type(shown(file), key, value)
        else:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(keys))}"
            raise PerceptError(f"{shown(file)}: unknown key {key!r}: {hint}")

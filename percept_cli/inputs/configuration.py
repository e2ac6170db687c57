"""Settings from the nearest percept.toml, or [tool.percept] in pyproject.toml."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from percept_cli.errors import PerceptError, shown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def configured(folder: Path, keys: Collection[str]) -> tuple[Path | None, dict[str, Any]]:
    """The file that holds for a folder, its own or a parent's, and what it says by key.

    Raises PerceptError for a file that cannot be read, and for a key that is not one of `keys`.
    """
    for place in (folder, *folder.parents):
        for name in ("percept.toml", "pyproject.toml"):
            file = place / name
            if file.is_file():
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


def _read(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise PerceptError(f"{shown(file)}: not readable as TOML: {error}") from error


def _check(values: dict[str, Any], keys: Collection[str], file: Path) -> None:
    for key in values:
        if key not in keys:
            near = difflib.get_close_matches(key, keys, n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(keys))}"
            raise PerceptError(f"{shown(file)}: unknown key {key!r}: {hint}")

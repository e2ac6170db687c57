"""What the fixture's options mean, and what a picture comes to."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from percept_cli.errors import PerceptError
from percept_cli.gate.rules import KEYS, SHARED, Rules, by_jnd
from percept_cli.inputs.configuration import check_type, configured
from percept_cli.inputs.ignore import NUMBERS, beside

NAMES = {key.replace("-", "_"): key for key in (*KEYS, *SHARED)}
NAMES |= {"layer_weights": NAMES.pop("layer_weight")}
NAMES |= {"layer_thresholds": NAMES.pop("layer_threshold")}
"""The fixture's options, and the command's."""

OWN = "*" * 16
"""The glob that stands for what a call says itself; nobody writes it so in a configuration."""

BASE = {"preset": "rendering", "resize": "none", "align": "auto"}


def rules_for(folder: Path, peak_threshold: str, options: Mapping[str, Any]) -> Rules:
    """How one picture is judged, with settings of the folder's percept.toml and of the call.

    Raises PerceptError for options that mean nothing, in the fixture's words.
    """
    try:
        base, images, file = _configured(folder)
        if peak_threshold:
            base["peak-threshold"] = peak_threshold
        own = {_key(name): _plain(value) for name, value in options.items() if value is not None}
        for key, value in own.items():
            check_type("percept_snapshot", key, value)
        if "ignore" in own:
            regions = own["ignore"] if isinstance(own["ignore"], list) else [own["ignore"]]
            own["ignore"] = [_from_here(region) for region in regions]
        shared = {key: own.pop(key) for key in SHARED if key in own}
        if "resize" in shared:
            shared["resize"] = str(shared["resize"])
        return Rules({**base, **shared}, {**images, OWN: own}, file)
    except PerceptError as error:
        raise PerceptError(in_own_words(str(error))) from None


def in_own_words(message: str) -> str:
    """What the command says of its flags, said of the fixture's options."""
    message = re.sub(rf'^.*?images\."{re.escape(OWN)}": ', "percept_snapshot: ", message)
    named = {key: name for name, key in NAMES.items()}
    return re.sub(
        r"--([a-z]+(?:-[a-z]+)*)(?: (\d+|[a-z]+\b(?= brings| compares)))?",
        lambda flag: f"{named[flag[1]]}={flag[2] or '…'}" if flag[1] in named else flag[0],
        message,
    )


def _configured(folder: Path) -> tuple[dict[str, Any], dict[str, Any], Path | None]:
    """The settings that hold for all pictures, the tables of single ones, and their file."""
    known = {*KEYS, *SHARED, "images", "workers", "allow-new", "csv-safe", "allow-unpaired"}
    file, values = configured(folder, known)
    images = values.pop("images", {})
    base = BASE | {key: value for key, value in values.items() if key in NAMES.values()}
    if file and "ignore" in base:
        regions = base["ignore"] if isinstance(base["ignore"], list) else [base["ignore"]]
        base["ignore"] = tuple(beside(region, file) for region in regions)
    if file and base.get("weights") not in (None, "bundled", "torchvision"):
        base["weights"] = str(file.parent / base["weights"])
    base["resize"] = str(base["resize"])
    if base.get("jnd") is not None and "preset" not in values:
        base |= by_jnd(base)
    return base, images, file


def _key(name: str) -> str:
    if name not in NAMES:
        near = difflib.get_close_matches(name, NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(NAMES)}"
        raise PerceptError(f"percept_snapshot: unknown option {name!r}: {hint}")
    return NAMES[name]


def _plain(value: Any) -> Any:
    """The value as a configuration file would have it."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _from_here(region: Any) -> str:
    """A region as text; a mask's path from the current folder, not a configuration file's."""
    text = ",".join(map(str, region)) if isinstance(region, list) else str(region)
    return text if re.fullmatch(NUMBERS, text) else os.path.abspath(text)

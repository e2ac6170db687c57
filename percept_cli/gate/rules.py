"""Settings for single images, by glob, from the configuration file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from percept_cli.errors import PerceptError, shown
from percept_cli.gate.baselines import matches
from percept_cli.gate.thresholds import NAMED, thresholds_of
from percept_cli.inputs.configuration import check_type
from percept_cli.inputs.ignore import NUMBERS, beside
from percept_cli.network.layers import chosen
from percept_cli.results import Thresholds
from percept_cli.scoring.options import Options

THRESHOLDS = {
    "peak-threshold": "peak",
    "threshold": "total",
    "jnd": "jnd",
    "layer-threshold": "layers",
}
MEASURED = (
    *("layers", "layer-weight", "distance", "raw"),
    *("shrink", "blur", "tolerance", "floor", "area", "colour"),
)
SHARED = ("weights", "resize", "max-pixels", "max-bytes", "precision", "device", "also")
"""Settings that no single image has of its own."""
CHOICES = ("preset", *MEASURED, "align", "size-tolerance", "background", "frame", "ignore")
KEYS = (*CHOICES, *THRESHOLDS)


@dataclass(frozen=True)
class Recipe:
    """How one image is compared and judged."""

    options: Options
    thresholds: Thresholds
    overrides: Mapping[str, Any]
    """What the configuration says about this image alone."""


class Rules:
    """A recipe for each image: the run's, changed by all globs that match, the last one winning.

    `base` holds the run's settings by key, None where the preset decides; those named in `fixed`
    come from flags or the environment, which no configuration overrides. Raises PerceptError for
    tables that mean nothing.
    """

    def __init__(
        self,
        base: Mapping[str, Any],
        tables: Any = None,
        file: Path | None = None,
        fixed: Collection[str] = (),
    ) -> None:
        self._base = base
        self._fixed = frozenset(fixed)
        self._file = file
        self._tables: dict[str, dict[str, Any]] = _checked(tables or {}, file)
        self._recipes: dict[tuple[str, ...], Recipe] = {}
        self.recipe_of_others = self._recipe(())
        for glob in self._tables:
            self._recipe((glob,))

    @property
    def wording(self) -> str:
        """All that was said of any image; equal texts are equal rules."""
        base = sorted(self._base.items())
        return repr((base, sorted(self._tables.items()), sorted(self._fixed)))

    @property
    def masks(self) -> list[Path]:
        """Images of what is ignored."""
        regions = {region for each in self._recipes.values() for region in each.options.ignore}
        return [Path(region) for region in sorted(regions) if not re.fullmatch(NUMBERS, region)]

    def recipe_for(self, name: str) -> Recipe:
        """How the image of that name is compared and judged."""
        return self._recipe(self.globs_for(name))

    def globs_for(self, name: str) -> tuple[str, ...]:
        """The globs that match an image's name."""
        return tuple(glob for glob in self._tables if matches(name, glob))

    def check_used(self, names: Collection[str]) -> None:
        """PerceptError for a glob that matches none of these images."""
        for glob in self._tables:
            if not any(matches(name, glob) for name in names):
                near = difflib.get_close_matches(glob, names, n=1, cutoff=0.4)
                hint = f"did you mean {near[0]!r}?" if near else "mend or remove it"
                raise PerceptError(f"{self._where(glob)} matches no image: {hint}")

    def _recipe(self, globs: tuple[str, ...]) -> Recipe:
        if globs not in self._recipes:
            overrides = {
                key: value
                for glob in globs
                for key, value in self._tables[glob].items()
                if key not in self._fixed
            }
            try:
                self._recipes[globs] = _made(self._base, overrides, self._file, self._fixed)
            except PerceptError as error:
                if not globs:
                    raise
                raise PerceptError(f"{self._where(globs[-1])}: {error}") from error
        return self._recipes[globs]

    def _where(self, glob: str) -> str:
        return f'{shown(self._file or Path())}: images."{glob}"'


def _made(
    base: Mapping[str, Any],
    overrides: Mapping[str, Any],
    file: Path | None,
    fixed: Collection[str],
) -> Recipe:
    if overrides.get("jnd") is not None and "preset" not in {*overrides, *fixed}:
        overrides = {**by_jnd(base), **overrides}
    merged = {**base, **overrides}
    if "preset" in overrides:
        # Another preset brings its own choices, but for those made beside it.
        merged |= {key: overrides.get(key) for key in MEASURED if key not in fixed}
        if overrides["preset"] != base["preset"]:
            merged["jnd"] = overrides.get("jnd")
    if {"preset", "layers"} & overrides.keys():
        # What the run says of other layers does not hold here.
        for key in {"layer-weight", "layer-threshold"} - overrides.keys() - set(fixed):
            merged[key] = None
    thresholds = {short: merged.pop(key, None) for key, short in THRESHOLDS.items()}
    if isinstance(merged.get("layers"), str | list):
        merged["layers"] = chosen(merged["layers"])
    if "ignore" in overrides:
        regions = merged["ignore"] if isinstance(merged["ignore"], list) else [merged["ignore"]]
        merged["ignore"] = tuple(beside(region, file or Path()) for region in regions)
    named = {key.replace("-", "_"): value for key, value in merged.items()}
    named["layer_weights"] = named.pop("layer_weight", None)
    options = Options.of(**named)
    return Recipe(options, thresholds_of(options, **thresholds), overrides)


def by_jnd(base: Mapping[str, Any]) -> dict[str, Any]:
    """What judging by just noticeable differences chooses, where nothing else was said.

    A peak threshold with a name is of another preset.
    """
    named = base.get("peak-threshold") in NAMED
    return {"preset": "quality"} | ({"peak-threshold": None} if named else {})


def _checked(tables: Any, file: Path | None) -> dict[str, dict[str, Any]]:
    where = shown(file or Path())
    if not isinstance(tables, dict):
        raise PerceptError(f'{where}: images is no table: write [images."GLOB"]')
    for glob, table in tables.items():
        if not isinstance(table, dict):
            raise PerceptError(f'{where}: images."{glob}" is no table: write [images."{glob}"]')
        for key in table:
            if key not in KEYS:
                near = difflib.get_close_matches(key, KEYS, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(KEYS)}"
                raise PerceptError(f'{where}: images."{glob}": unknown key {key!r}: {hint}')
            check_type(f'{where}: images."{glob}"', key, table[key])
    return tables

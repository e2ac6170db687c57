"""`--heatmap`: which picture is written where."""

from __future__ import annotations

from pathlib import Path, PurePath
from typing import TYPE_CHECKING

from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.inputs.pairs import Pair
from percept_cli.scoring.options import Options
from percept_cli.scoring.scored import Scored

if TYPE_CHECKING:
    from percept_cli.outputs.heatmap import Map

PICTURES = (".png", ".jpg", ".jpeg", ".webp")


class Heatmaps:
    """Writes the heat map of each compared pair to a file, or to a folder under the pair's name.

    A target that does not end like a picture is a folder.
    """

    def __init__(self, target: Path, options: Options, *, single: bool) -> None:
        if not options.has_map:
            raise PerceptError(f"no heat map: {options.distance} of these layers has no positions")
        is_picture = target.suffix.lower() in PICTURES
        if not single and not target.is_dir() and (is_picture or target.exists()):
            raise PerceptError(f"{shown(target)}: name a folder for the heat maps of several pairs")
        self._target = target
        self._single = single and is_picture and not target.is_dir()
        self._used: set[str] = set()

    def write(self, pair: Pair, scored: Scored) -> str | None:
        """Write a pair's heat map, if it has one; its path."""
        found = map_of(scored)
        if found is None or scored.candidate is None:
            return None
        from percept_cli.outputs.heatmap import save_heatmap

        path = self._target if self._single else self._path(pair)
        if path.exists() and any(p and p.samefile(path) for p in (pair.baseline, pair.file)):
            raise OutputError(f"{shown(path)} is an image of this pair: name another folder")
        root = path.parent if self._single else self._target
        save_heatmap(path, scored.candidate, found, root)
        return shown(path)

    def _path(self, pair: Pair) -> Path:
        """A path in the folder that no earlier pair has."""
        name = PurePath(pair.name)
        parts = [part for part in name.parts if part not in ("..", name.anchor)]
        inside = self._target.joinpath(*parts)
        path = inside if inside.suffix == ".png" else inside.with_name(f"{inside.name}.png")
        number = 2
        # Other systems take A.png and a.png for one file.
        while str(path).casefold() in self._used:
            path = inside.with_name(f"{inside.name}-{number}.png")
            number += 1
        self._used.add(str(path).casefold())
        return path


def map_of(scored: Scored) -> Map | None:
    """A pair's map as pictures show it, of aligned images on their canvas; None if it has none."""
    from percept_cli.outputs.heatmap import Map

    layer, result = scored.options.cell_layer, scored.result
    if scored.map is None or layer is None:
        return None
    found = Map(scored.map, layer.stride, result.peak_parts, scored.canvas, result.bands)
    return found.placed(scored.evaluated) if scored.canvas else found

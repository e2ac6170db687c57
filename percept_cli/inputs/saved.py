"""Results that a run has saved, as JSON or JSON Lines."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from percept_cli.canvas import canvas_of
from percept_cli.errors import PerceptError, one_line, shown
from percept_cli.inputs.stored import Remote
from percept_cli.results import SCORING_VERSION, VERSION, Result, Settings
from percept_cli.summary import Summary

MOST_BYTES = 1 << 40
"""Of results elsewhere: no bound, but a number that every file system takes."""

LONGEST = 200
"""Most characters of what is said to be wrong in a file."""


@dataclass(frozen=True)
class Saved:
    """The results of a run."""

    file: Path | Remote
    settings: Settings
    results: tuple[Result, ...]
    summary: Summary
    names: tuple[tuple[str | None, str | None], ...] = ()
    """Reference and candidate of each result as the file has them, wherever they are found now."""


def read_saved(file: Path | Remote) -> Saved:
    """A run's results; PerceptError for a file that holds none, or not all of them."""
    name = shown(file)
    try:
        content = file.read(MOST_BYTES) if isinstance(file, Remote) else file.read_bytes()
        text = content.decode()
    except OSError as error:
        raise PerceptError(f"{name}: cannot be read ({error.strerror}): check the path") from error
    except UnicodeDecodeError as error:
        raise PerceptError(f"{name}: not UTF-8: give JSON that percept wrote") from error
    try:
        document = _document(text)
        if document.get("version", VERSION) != VERSION:
            raise PerceptError(
                f"{name}: results of version {document['version']}, not {VERSION}: make them again"
            )
        _check(document, name)
        settings = Settings.of(document["settings"])
        if set(settings.layers) - set(settings.layer_weights):
            raise ValueError("a layer without a weight")
        if settings.scoring_version != SCORING_VERSION:
            raise PerceptError(
                f"{name}: figures of scoring version {settings.scoring_version}, this percept's is "
                f"{SCORING_VERSION}: they do not compare, make them again"
            )
        results = tuple(map(Result.of, document["pairs"]))
        names = tuple((result.reference, result.candidate) for result in results)
        if isinstance(file, Path):
            results = tuple(_beside(file, result) for result in results)
        for result in results:
            _check_places(result)
        summary = Summary.over(results, document["summary"].get("by"))
        summary.complete = document["summary"]["complete"]
        summary.left_out = tuple(document["summary"].get("left_out", ()))
        summary.verdict = document["summary"]["verdict"]
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise PerceptError(
            f"{name}: no results of percept in JSON: give what --json, or --output NAME.json, wrote"
        ) from error
    return Saved(file, settings, results, summary, names)


def _check_places(result: Result) -> None:
    """ValueError for bands that fit no image, for regions outside of it, and frames of none."""
    if result.frames and None in (result.reference, result.candidate):
        raise ValueError("frames without their images")
    width, height = result.width or 0, result.height or 0
    canvas_of(result.bands, (width, height))
    for region in result.regions:
        if region.x + region.width > width or region.y + region.height > height:
            raise ValueError("a region outside of its image")


def _document(text: str) -> dict[str, Any]:
    """A document of one piece, from one or from JSON Lines with their closing line."""
    try:
        document: dict[str, Any] = json.loads(text, parse_constant=_no_number)
    except ValueError:
        *pairs, closing = (
            json.loads(line, parse_constant=_no_number) for line in text.split("\n") if line.strip()
        )
        return {**closing, "pairs": pairs}
    return document if "pairs" in document else {**document, "pairs": []}


def _no_number(constant: str) -> None:
    raise TypeError(f"{constant} is no number")


def _check(document: dict[str, Any], name: str) -> None:
    """PerceptError for a document that is not what percept writes; the first field is named."""
    import fastjsonschema

    try:
        _validator()(document)
    except fastjsonschema.JsonSchemaValueException as error:
        said = one_line(error.message.removeprefix("data.").removeprefix("data "))
        raise PerceptError(
            f"{name}: no results of percept: {said[:LONGEST]}: give what --json or --output wrote"
        ) from error


@cache
def _validator() -> Any:
    import fastjsonschema

    text = (resources.files("percept_cli.outputs") / "results.schema.json").read_text("utf-8")
    definitions = json.loads(text)["$defs"]
    return fastjsonschema.compile({"$ref": "#/$defs/document", "$defs": definitions})


def _beside(file: Path, result: Result) -> Result:
    """The result with its files found from here, or else from where its JSON file lies."""
    names = ("reference", "candidate", "heatmap_file", "overlay")
    files: dict[str, Any] = {name: _moved(file, getattr(result, name)) for name in names}
    frames = tuple(replace(f, overlay=_moved(file, f.overlay)) for f in result.frames)
    return replace(result, frames=frames, **files)


def _moved(file: Path, path: str | None) -> str | None:
    moved = path and not Path(path).exists() and (file.parent / path).exists()
    return shown(file.parent / path) if path and moved else path

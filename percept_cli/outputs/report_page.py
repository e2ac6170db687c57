"""The report's page: its template filled with results as data, which only its script shows."""

from __future__ import annotations

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from glob import escape
from importlib import resources
from pathlib import PurePath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from percept_cli.canvas import bands_in_words, canvas_of
from percept_cli.errors import one_line
from percept_cli.outputs.words import command_line, jnd_words, settings_line, summary_line
from percept_cli.results import STATUSES, Result, Settings
from percept_cli.summary import Summary


def page_of(
    results: Sequence[Result],
    pictures: Sequence[dict[str, Any]],
    summary: Summary,
    settings: Settings,
) -> str:
    """The page as HTML; `pictures` has the addresses of each pair's, relative to it."""
    environment = Environment(
        loader=PackageLoader("percept_cli.outputs"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    # Layers stand in the order of the network.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    script, style = (_asset(name) for name in ("report.js", "report.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page: str = environment.get_template("report.html").render(
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        style=Markup(style),
        summary=summary,
        summary_line=summary_line(summary),
        settings=_settings(settings),
        left_out=[one_line(file) for file in summary.left_out],
        settings_line=settings_line(settings),
        title=_title(settings),
        layers=settings.layers,
        has_jnd=any(result.jnd for result in results),
        statuses=[(status, summary.counts[status]) for status in STATUSES],
        data=_data(results, pictures, settings),
    )
    return page


def _asset(name: str) -> str:
    return (resources.files("percept_cli.outputs") / "templates" / name).read_text("utf-8")


def _title(settings: Settings) -> tuple[str, str] | None:
    if settings.references is None or settings.candidates is None:
        return None
    return one_line(settings.references), one_line(settings.candidates)


def _settings(settings: Settings) -> list[tuple[str, str]]:
    """Each setting's name and value, for people."""
    rows = []
    for name, value in (settings.document() | {"shard": settings.shard}).items():
        if isinstance(value, dict):
            value = ", ".join(
                f"{key} {part:g}" if isinstance(part, float) else f"{key} {part}"
                for key, part in value.items()
            )
        elif isinstance(value, list):
            value = ", ".join(map(str, value))
        text = "" if value is None else str(value)
        rows.append((name.replace("_", " "), one_line(text) or "none"))
    return rows


def _data(
    results: Sequence[Result], pictures: Sequence[dict[str, Any]], settings: Settings
) -> dict[str, Any]:
    """What the page's script shows."""
    folder = _common_folder([result.name for result in results])
    uses: Counter[str] = Counter()
    pairs = []
    for result, urls in zip(results, pictures, strict=True):
        uses[result.name] += 1
        number = uses[result.name]
        name = one_line(result.name)
        document = result.document() | {
            "id": name if number == 1 else f"{name} ({number})",
            "label": name.removeprefix(folder),
            "reference": one_line(result.reference) if result.reference else None,
            "candidate": one_line(result.candidate) if result.candidate else None,
            "visibility": jnd_words(result.jnd) if result.jnd else None,
            "failing": bool(result.failures) or result.status == "error",
            "approve": approval(result, settings),
            "pictures": urls,
            **_drawn(result),
        }
        pairs.append(document)
    return {
        "pairs": pairs,
        "layers": list(settings.layers),
        "weights": dict(settings.layer_weights),
        # The first of several, for what is equal on all of them.
        "background": (re.match(r"[^,(]+(\([^)]*\))?", settings.background) or [""])[0],
        "measure": _measure(results),
    }


def _drawn(result: Result) -> dict[str, Any]:
    """The size of what the pictures show, and where in it bands and regions are."""
    regions = [vars(region) for region in result.regions]
    if not result.bands:
        return {"canvas": [result.width, result.height], "marks": regions}
    canvas = canvas_of(result.bands, (result.width or 0, result.height or 0))
    marks = [
        dict(zip(("x", "y", "width", "height"), box, strict=True))
        | {"kind": band.kind, "words": next(bands_in_words([band]))}
        for band in result.bands
        for box in canvas.of_band(band)
    ]
    for region in regions:
        box = (region["x"], region["y"], region["width"], region["height"])
        x, y, width, height = canvas.of_candidate(box)
        at = (
            f"at {region['x']},{region['y']} of the candidate, {region['width']}×{region['height']}"
        )
        marks.append(
            {"x": x, "y": y, "width": width, "height": height, "peak": region["peak"], "at": at}
        )
    return {"canvas": list(canvas.size), "marks": marks}


def _measure(results: Sequence[Result]) -> str:
    """What pairs are sorted by at first: what the gate judges, else the peak where there is one."""
    if any(result.thresholds and result.thresholds.jnd is not None for result in results):
        return "jnd"
    return "peak" if any(result.peak is not None for result in results) else "total"


def approval(result: Result, settings: Settings) -> str | None:
    """The command that accepts what fails, for a shell; None where none would."""
    baseline, candidate = settings.references, settings.candidates
    if not result.failures or baseline is None or candidate is None:
        return None
    paths = [baseline, candidate]
    if result.candidate != candidate:
        path, root = result.candidate or result.reference or "", candidate
        if not result.candidate:
            root = baseline
        try:
            name = str(PurePath(path).relative_to(root))
        except ValueError:  # One baseline for a folder of candidates.
            return None
        if result.reference == baseline:
            return None
        paths.append(escape(name))
    # What the check was told by flags, `approve` does not know.
    options = ("--all",) if result.candidate else ("--prune",)
    return command_line("approve", *paths, options=options)


def _common_folder(names: Sequence[str]) -> str:
    """What all names begin with, up to a slash."""
    first, last = min(names, default=""), max(names, default="")
    pairs = enumerate(zip(first, last, strict=False))
    same = next((place for place, (a, b) in pairs if a != b), min(len(first), len(last)))
    return one_line(first[: first.rfind("/", 0, same) + 1])

"""Results as a page that opens from disk: one HTML file, with its pictures in folders beside it."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import os
import re
import shlex
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from glob import escape
from importlib import resources
from pathlib import Path, PurePath
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from percept_cli.errors import OutputError, one_line, shown
from percept_cli.outputs.words import settings_line, summary_line
from percept_cli.results import STATUSES, Result, Settings, Summary

PAGE = "index.html"
GENERATOR = '<meta name="generator" content="percept">'
"""What tells a page of ours, which may be written over, from another one."""

PREVIEW = 720
"""Side of the square that has as many pixels as the pictures that stand in for originals."""
MOST_WEBP = 16383
"""Most pixels along a side of a WebP file."""
THUMBNAIL = 96
"""Most pixels along a side of the pictures in the list."""

SHOWN_BY_BROWSERS = (".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png", ".webp")
OURS = re.compile(r"[0-9a-f]{20}\.\w+")
"""Names of the files beside the page: a hash of what they hold, so that none is there twice."""

Decode = Callable[[str], "Image.Image | None"]
"""The picture of an image file as it was compared, or None if it cannot be had."""


@dataclass
class Report:
    """Writes the page of a run, `folder`/index.html; OutputError if it cannot be written.

    The page links the originals, or with `copy` has its own of all images that differ.
    """

    folder: Path
    decode: Decode
    copy: bool = False
    _written: set[str] = field(default_factory=set)

    def write(self, results: Sequence[Result], summary: Summary, settings: Settings) -> None:
        """Write the page and its pictures, and remove those of an earlier page."""
        with failures(self.folder):
            check_free(self.folder)
            self.folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                pictures = list(pool.map(self._pictures, results))
            page = _page(results, pictures, summary, settings)
            (self.folder / PAGE).write_text(page, encoding="utf-8", errors="backslashreplace")
            self._remove_others()

    def _pictures(self, result: Result) -> dict[str, str | None]:
        """URLs of a pair's pictures, relative to the page."""
        found: dict[str, str | None] = {"overlay": None, "heatmap": None, "thumbnail": None}
        same = result.status == "identical"
        for side in ("reference", "candidate"):
            file = getattr(result, side)
            if file and not (same and side == "reference"):
                picture = self.decode(file)
                if picture:
                    found[side] = self._preview(picture)
                    found["thumbnail"] = self._thumbnail(picture)
                    found[f"{side}_original"] = self._original(file, copied=self.copy and not same)
        if same and "candidate" in found:
            found["reference"] = found["candidate"]
            found["reference_original"] = self._original(result.reference or "", copied=False)
        if overlay := _overlay(result):
            found["overlay"] = self._kept(overlay, ".webp")
        elif result.heatmap and (picture := self.decode(result.heatmap)):
            found["heatmap"] = self._preview(picture)
        return found

    def _preview(self, picture: Image.Image) -> str:
        """As many pixels as a square of that side, so that long pages keep some width."""
        width, height = picture.size
        factor = min(1.0, PREVIEW / math.sqrt(width * height), MOST_WEBP / max(width, height))
        size = max(1, round(width * factor)), max(1, round(height * factor))
        return self._kept(encoded(picture.resize(size, Image.Resampling.BICUBIC)), ".webp")

    def _thumbnail(self, picture: Image.Image) -> str:
        small = picture.copy()
        small.thumbnail((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)
        return self._kept(encoded(small), ".webp")

    def _original(self, file: str, *, copied: bool) -> str | None:
        path = Path(file)
        if path.suffix.lower() not in SHOWN_BY_BROWSERS or not path.is_file():
            return None
        if copied:
            return self._kept(path.read_bytes(), path.suffix.lower(), "originals")
        try:
            return quote(PurePath(os.path.relpath(path, self.folder)).as_posix())
        except ValueError:  # On another drive.
            return path.resolve().as_uri()

    def _kept(self, content: bytes, suffix: str, folder: str = "pictures") -> str:
        """Write a file beside the page; its URL."""
        url = keep(self.folder, content, suffix, folder)
        self._written.add(url)
        return url

    def _remove_others(self) -> None:
        for folder in ("pictures", "originals"):
            for file in (self.folder / folder).glob("*"):
                if OURS.fullmatch(file.name) and f"{folder}/{file.name}" not in self._written:
                    file.unlink()


def _overlay(result: Result) -> bytes | None:
    """The map alone, if its file is still there and holds a picture of ours."""
    if not result.overlay or not os.path.isfile(result.overlay):
        return None
    content = Path(result.overlay).read_bytes()
    return content if content[8:12] == b"WEBP" else None


def check_free(folder: Path) -> None:
    """OutputError if a report in that folder would replace something else."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"cannot write a report to {shown(folder)}: it is a file: name a folder")
    page = folder / PAGE
    if page.exists() and GENERATOR not in page.read_text(encoding="utf-8", errors="replace")[:2000]:
        raise OutputError(
            f"cannot write a report to {shown(folder)}: its {PAGE} is not percept's: "
            "name another folder"
        )


@contextmanager
def failures(folder: Path) -> Iterator[None]:
    """Turn what goes wrong in writing below a folder into an OutputError."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise OutputError(f"cannot write a report to {shown(folder)}: {reason}") from error


def keep(folder: Path, content: bytes, suffix: str, below: str = "pictures") -> str:
    """Write a file of a report under the hash of its content; its path in the report."""
    name = f"{hashlib.sha256(content).hexdigest()[:20]}{suffix}"
    file = folder / below / name
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    return f"{below}/{name}"


def encoded(picture: Image.Image) -> bytes:
    """The picture as WebP, in few bytes."""
    stream = io.BytesIO()
    picture.save(stream, "WEBP", quality=80, method=2)
    return stream.getvalue()


def _page(
    results: Sequence[Result],
    pictures: Sequence[dict[str, str | None]],
    summary: Summary,
    settings: Settings,
) -> str:
    environment = Environment(
        loader=PackageLoader("percept_cli.outputs"), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    # Layers stand in the order of the network.
    environment.policies["json.dumps_kwargs"] = {"sort_keys": False}
    script, style = (_asset(name) for name in ("report.js", "report.css"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    failing = sum(bool(result.failures) for result in results)
    page: str = environment.get_template("report.html").render(
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        style=Markup(style),
        summary=summary,
        failing=failing,
        summary_line=summary_line(summary),
        settings=_settings(settings),
        settings_line=settings_line(settings),
        title=_title(settings),
        layers=settings.layers,
        statuses=[(status, summary.counts[status]) for status in STATUSES],
        judged=any(result.thresholds for result in results),
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
    results: Sequence[Result], pictures: Sequence[dict[str, str | None]], settings: Settings
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
            "failing": bool(result.failures) or result.status == "error",
            "approve": approval(result, settings),
            "pictures": urls,
        }
        pairs.append(document)
    return {
        "pairs": pairs,
        "layers": list(settings.layers),
        "weights": dict(settings.layer_weights),
        "background": settings.background,
        "measure": "peak" if any(r.peak is not None for r in results) else "total",
    }


def approval(result: Result, settings: Settings) -> str | None:
    """The command that accepts what fails, for a shell; None where none would."""
    baseline, candidate = settings.references, settings.candidates
    if not result.failures or baseline is None or candidate is None:
        return None
    command = ["percept", "approve", baseline, candidate]
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
        command.append(escape(name))
    if not result.candidate:
        command.append("--prune")
    return shlex.join(command)


def _common_folder(names: Sequence[str]) -> str:
    """What all names begin with, up to a slash."""
    first, last = min(names, default=""), max(names, default="")
    pairs = enumerate(zip(first, last, strict=False))
    same = next((place for place, (a, b) in pairs if a != b), min(len(first), len(last)))
    return one_line(first[: first.rfind("/", 0, same) + 1])

"""`--report`: the page of a run, and what its pictures are made from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from percept_cli.cli.heatmaps import map_of
from percept_cli.cli.sources import Source, refuse_inputs
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.inputs.pairs import Pair
from percept_cli.inputs.saved import Saved
from percept_cli.inputs.stored import URL, Place, Remote, Stored
from percept_cli.results import Result, Settings
from percept_cli.scoring.options import MAX_PIXELS
from percept_cli.scoring.scored import Scored
from percept_cli.summary import Summary

if TYPE_CHECKING:
    from PIL import Image

    from percept_cli.outputs.html_report import Report


@dataclass
class Reports:
    """Keeps the results of a run, and writes the report at its end.

    Raises OutputError for a folder that holds something else.
    """

    folder: Path
    settings: Callable[[], Settings]
    copy: bool = False
    _results: list[Result] = field(default_factory=list)
    _stored: dict[str, Place] = field(default_factory=dict)
    _alike: set[str] = field(default_factory=set)
    """Names of several stored images, whose URLs differ where they are not shown."""

    def __post_init__(self) -> None:
        from percept_cli.outputs.html_report import check_free

        check_free(self.folder)

    def with_overlay(self, scored: Scored) -> Result:
        """The result, knowing where its map was written, if it has one."""
        frames = tuple(
            replace(frame, overlay=self._overlay(one))
            for frame, one in zip(scored.result.frames, scored.frames, strict=True)
        )
        return replace(scored.result, overlay=self._overlay(scored), frames=frames)

    def _overlay(self, scored: Scored) -> str | None:
        """Where the map was written, if there is one."""
        result, found = scored.result, map_of(scored)
        if found is None or not (result.width and result.height):
            return None
        from percept_cli.outputs.heatmap import overlay
        from percept_cli.outputs.html_report import encoded, failures, keep

        size = scored.canvas.size if scored.canvas else (result.width, result.height)
        with failures(self.folder):
            picture = overlay(found, size)
            return shown(self.folder / keep(self.folder, encoded(picture), ".webp"))

    def write(self, result: Result, pair: Pair | None = None) -> None:
        """Keep the result, and where images of the pair are that are no files of this machine."""
        self._results.append(result)
        for place in (pair.reference, pair.candidate) if pair else ():
            name = shown(place)
            if isinstance(place, Stored) and self._stored.setdefault(name, place) != place:
                self._alike.add(name)

    def close(self, summary: Summary) -> None:
        """Write the report; OutputError if that fails."""
        made = self.settings()
        stored = {name: p for name, p in self._stored.items() if name not in self._alike}
        report = _report(self.folder, made, made.max_pixels, copy=self.copy, stored=stored)
        report.write(self._results, summary, made)


def report_for(
    folder: Path | None,
    source: Source,
    settings: Callable[[], Settings],
    *,
    copy: bool,
    opened: bool,
) -> Reports | None:
    """The report that was asked for; PerceptError where its flags mean nothing."""
    if folder is None:
        for given, flag in ((copy, "--report-copy"), (opened, "--open")):
            if given:
                raise PerceptError(f"{flag}: name the folder with --report DIR")
        return None
    if source.live:
        raise PerceptError("--pairs - answers each line at once: a report needs a file of pairs")
    for written in (folder, folder / "pictures", folder / "originals"):
        refuse_inputs(written, source)
    return Reports(folder, settings, copy)


def report_of_saved(
    folder: Path,
    saved: Saved,
    files: Sequence[Path | Remote],
    roots: Sequence[Path],
    talk: Talk,
    *,
    copy: bool,
) -> None:
    """Write the report of results that these files hold; OutputError if that fails.

    It shows pictures below the roots, else below the current folder and the folders of the files.
    """
    from percept_cli.outputs.html_report import check_free

    check_free(folder)
    own = [file.parent for file in files if isinstance(file, Path)]
    below = list(roots) or [Path(), *own]
    report = _report(folder, saved.settings, MAX_PIXELS, copy=copy, roots=below)
    report.write(saved.results, saved.summary, saved.settings)
    places = ", ".join(dict.fromkeys(shown(root) for root in below))
    elsewhere = {file for file in report.missing if URL.match(file)}
    for files_not_shown, what in (
        (elsewhere, "elsewhere: the report of the run itself shows them (check --report)"),
        (report.missing - elsewhere, "not there: restore them, or run this where they are"),
        (report.outside, f"not below {places}: --root DIR shows those of a folder"),
    ):
        if files_not_shown:
            first = min(files_not_shown)
            talk.note(f"pictures not shown: {len(files_not_shown)}, such as {first}, {what}")
    talk.note(f"report: {shown(folder / 'index.html')}")


def _report(
    folder: Path,
    settings: Settings,
    max_pixels: int,
    *,
    copy: bool,
    roots: Sequence[Path] | None = None,
    stored: Mapping[str, Place] = MappingProxyType({}),
) -> Report:
    from percept_cli.inputs.files import read_bytes
    from percept_cli.outputs.html_report import Report

    def decode(file: str, frame: int | None, background: str | None) -> Image.Image | None:
        place = stored.get(file, Path(file))
        return picture_of(place, settings, max_pixels, frame, background)

    contents = {name: partial(read_bytes, place) for name, place in stored.items()}
    return Report(folder, decode, copy, roots, contents)


def picture_of(
    place: Place,
    settings: Settings,
    max_pixels: int,
    frame: int | None = None,
    background: str | None = None,
) -> Image.Image | None:
    """An image as it was compared, before resizing; None if it cannot be read."""
    import numpy as np
    from PIL import Image

    from percept_cli.inputs.files import backgrounds_of, opened, read_bytes, seek
    from percept_cli.inputs.images import decoded, unit_range

    try:
        name = shown(place)
        image = opened(read_bytes(place), name, max_pixels)
        if frame:
            seek(image, frame, name, max_pixels)
        behind = background or backgrounds_of(settings.background)[0]
        pixels = decoded(image, name).on(behind).pixels
    except (PerceptError, OutputError):
        return None
    if pixels.dtype != np.uint8:
        pixels = (unit_range(pixels).clip(0, 1) * 255).round().astype(np.uint8)
    return Image.fromarray(pixels)

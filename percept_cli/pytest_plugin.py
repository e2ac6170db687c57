"""The pytest fixture `percept_snapshot`: an image must look like its baseline.

Nothing here imports more than pytest before a snapshot is taken, nor torch before one has changed.
"""

from __future__ import annotations

import io
import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np
    from numpy.typing import NDArray

    from percept_cli.scoring.score import Scored

BASELINES = "baselines"
"""Folder beside the tests that holds their baselines."""

SHOWN_REGIONS = 3
MAX_PIXELS = 200_000_000
LONGEST = 150
"""Most characters of a file's name that come from a test's."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("percept", "images that must look like their baselines")
    group.addoption(
        "--percept-update", action="store_true", help="accept the images of this run as baselines"
    )
    group.addoption(
        "--percept-output",
        metavar="DIR",
        default="percept-failures",
        help="folder for candidates and heat maps of failures (default: %(default)s)",
    )
    parser.addini("percept_peak_threshold", "largest peak that passes", default="normal")
    parser.addini("percept_workers", "threads that compare (default: the cores there are)")


@pytest.fixture
def percept_snapshot(request: pytest.FixtureRequest) -> Snapshot:
    """Call it with an image: it fails unless the image looks like its baseline."""
    return Snapshot(request)


class Snapshot:
    """Compares images of one test with their baselines, `baselines/<file>/<test>.png` beside it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        config, path = request.config, request.path
        self._baselines = path.parent / BASELINES
        self._folder = self._baselines / path.stem
        below = path.relative_to(config.rootpath) if config.rootpath in path.parents else path
        self._failures = config.rootpath / str(config.getoption("--percept-output"))
        self._output = self._failures / below.with_suffix("").relative_to(below.anchor)
        self._update = bool(config.getoption("--percept-update"))
        self._threshold = config.getini("percept_peak_threshold")
        self._workers = config.getini("percept_workers")
        self._test = _file_name(request.node.nodeid.partition("::")[2])
        self._taken: list[str] = []

    def __call__(
        self, image: Any, name: str | None = None, threshold: float | str | None = None
    ) -> None:
        """Fail unless the image looks like the baseline of that name; by default the test's.

        The image is a path, PNG or other encoded bytes, a Pillow image, a Matplotlib figure, an
        H×W(×C) array, or a C×H×W or H×W×C tensor: uint8, or floating point in 0..1. The threshold
        is the largest peak that passes: a number, or strict, normal or lenient.
        """
        __tracebackhide__ = True
        file = self._name(name)
        candidate = _png(image)
        if problem := _problem(candidate, decode=self._update):
            pytest.fail(problem, pytrace=False)
        baseline = self._folder / file
        if self._update:
            self._accept(candidate, baseline)
            return
        if not baseline.exists():
            where = self._written(file, candidate)
            pytest.fail(f"no baseline {baseline}: --percept-update accepts {where}", pytrace=False)
        failure = self._failure(baseline, file, candidate, threshold)
        if failure:
            pytest.fail(failure, pytrace=False)

    def _name(self, name: str | None) -> str:
        """The file's name: the test's with the name given, or numbered from its second image on."""
        stem = f"{self._test}.{_file_name(name)}" if name else self._test
        if name and stem in self._taken:
            pytest.fail(f"percept_snapshot: {name!r} is taken twice in this test", pytrace=False)
        count = self._taken.count(stem) + 1
        self._taken.append(stem)
        return f"{stem}.png" if count == 1 else f"{stem}.{count}.png"

    def _accept(self, candidate: bytes, baseline: Path) -> None:
        from percept_cli.writing import write_whole

        if not baseline.exists() or baseline.read_bytes() != candidate:
            write_whole(candidate, baseline, self._baselines)

    def _written(self, file: str, candidate: bytes) -> Path:
        from percept_cli.writing import write_whole

        path = self._output / file
        write_whole(candidate, path, self._failures)
        return path

    def _failure(
        self, baseline: Path, file: str, candidate: bytes, threshold: float | str | None
    ) -> str | None:
        """Why the candidate does not look like its baseline, and where to see it."""
        if baseline.read_bytes() == candidate:
            return None
        from percept_cli.errors import PerceptError
        from percept_cli.gate.check import PASSES, Check
        from percept_cli.gate.rules import Rules
        from percept_cli.inputs.pairs import Pair

        written = self._written(file, candidate)
        limit = self._threshold if threshold is None else threshold
        try:
            rules = Rules(
                {"preset": "rendering", "peak-threshold": limit, "resize": "none", "align": "auto"}
            )
            check = Check(rules, workers=_whole_number("percept_workers", self._workers))
        except PerceptError as error:
            return str(error)
        ((_, scored),) = check.results([Pair(baseline, written, file)])
        if scored.result.status in PASSES:
            written.unlink()
            return None
        return "\n".join(_report(scored, baseline, written, self._failures))


def _report(scored: Scored, baseline: Path, candidate: Path, root: Path) -> Iterator[str]:
    """A failure in words; its heat map is written beside the candidate."""
    result = scored.result
    reasons = result.error or "; ".join(result.failures)
    yield f"{candidate.name} does not look like its baseline: {reasons}"
    for region in result.regions[:SHOWN_REGIONS]:
        place = f"{region.x},{region.y} {region.width}x{region.height}"
        yield f"  at {place}, peak {region.peak:.4g}"
    yield f"  baseline:  {baseline}"
    yield f"  candidate: {candidate}"
    if scored.map is not None and scored.candidate is not None:
        from percept_cli.cli.heatmaps import map_of
        from percept_cli.outputs.heatmap import save_heatmap

        heatmap = candidate.with_name(f"{candidate.stem}-heatmap.png")
        if found := map_of(scored):
            save_heatmap(heatmap, scored.candidate, found, root)
        yield f"  heat map:  {heatmap}"
    yield "  --percept-update accepts the candidate"


def _whole_number(name: str, text: str) -> int | None:
    from percept_cli.errors import PerceptError

    if text and not text.strip().isdigit():
        raise PerceptError(f"{name} = {text}: give a whole number")
    return int(text) if text else None


def _problem(candidate: bytes, *, decode: bool) -> str | None:
    """What is wrong with the bytes of an image, if anything; `decode` as `size_of` takes it."""
    from percept_cli.errors import PerceptError
    from percept_cli.inputs.files import size_of

    try:
        size_of(candidate, "percept_snapshot", MAX_PIXELS, decode=decode)
    except PerceptError as error:
        return str(error)
    return None


def _file_name(text: str) -> str:
    """The text as a file's name; where it had to be changed, a hash keeps it apart from others."""
    plain = re.sub(r"\[([\w.=+-]+)\]$", r"-\1", text.replace("::", "."))
    name = re.sub(r"[^\w.=+-]+", "-", plain).strip("-.")[:LONGEST]
    return name if name == plain else f"{name}-{zlib.crc32(text.encode()):08x}"


def _png(image: Any) -> bytes:
    """Any kind of image as the bytes of a file."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | Path):
        return Path(image).read_bytes()
    encoded = io.BytesIO()
    if hasattr(image, "savefig"):
        image.savefig(encoded, format="png")
        return encoded.getvalue()
    if hasattr(image, "save"):
        image.save(encoded, format="PNG")
        return encoded.getvalue()
    from PIL import Image

    Image.fromarray(_pixels(image.detach().cpu() if hasattr(image, "detach") else image)).save(
        encoded, format="PNG"
    )
    return encoded.getvalue()


def _pixels(image: Any) -> NDArray[np.uint8]:
    """An array or tensor as H×W or H×W×C in 0..255."""
    import numpy as np

    array = np.asarray(image)
    if array.ndim == 3 and array.shape[0] in (1, 3, 4) and array.shape[2] not in (3, 4):
        array = array.transpose(1, 2, 0)
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[..., 0]
    if np.issubdtype(array.dtype, np.floating):
        if not (array.min() >= 0 and array.max() <= 1):
            if not np.isfinite(array).all():
                raise ValueError("percept_snapshot: NaN or infinite values: replace them")
            raise ValueError("percept_snapshot: floating-point values outside 0..1: scale them")
        array = (array * 255).round()
    elif array.dtype != np.uint8:
        raise ValueError(f"percept_snapshot: dtype {array.dtype}: give uint8, or float in 0..1")
    return np.ascontiguousarray(array.astype(np.uint8))

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.gate.thresholds import NAMED, judged, thresholds_of
from percept_cli.results import Result, Thresholds
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

RENDERING = Options.of("rendering")
COMPARED = Result("a.png", "b.png", "compared", 0.1, 0.4, (4, 4), {"conv1_1": 0.1, "conv4_1": 0.2})


def test_names_stand_for_measured_peaks_of_the_preset_rendering() -> None:
    assert thresholds_of(RENDERING) == Thresholds(NAMED["normal"])
    assert thresholds_of(RENDERING, "strict").peak == NAMED["strict"] < NAMED["normal"]
    assert thresholds_of(RENDERING, "lenient").peak == NAMED["lenient"] > NAMED["normal"]
    assert thresholds_of(RENDERING, "0.25").peak == 0.25
    assert thresholds_of(RENDERING, "none", 0.5) == Thresholds(None, 0.5)


@pytest.mark.parametrize(
    ("options", "given", "message"),
    [
        (RENDERING, {"peak": "loose"}, r"'loose': give a number from 0 on, strict"),
        (RENDERING, {"peak": "-1"}, "give a number from 0 on"),
        (RENDERING, {"peak": "inf"}, "give a number from 0 on"),
        (RENDERING, {"peak": "none"}, "nothing is judged"),
        (RENDERING, {"total": -0.5}, "threshold -0.5: give a number"),
        (RENDERING, {"layers": {"conv5_1": 1}}, "conv5_1, which is not among the chosen layers"),
        (RENDERING, {"layers": {"conv9_1": 1}}, "unknown layer 'conv9_1'"),
        (Options.of("photo"), {"peak": "normal"}, "measured for the preset rendering"),
        (Options.of("rendering", blur=2.0), {"peak": "normal"}, "measured for the preset"),
        (Options.of("rendering", blur=2.0), {}, "not for rendering with other choices"),
        (Options.of("photo", distance="gram"), {"peak": "0.1"}, "gram of these layers has no peak"),
    ],
)
def test_thresholds_that_mean_nothing_are_refused(
    options: Options, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(PerceptError, match=message):
        thresholds_of(options, **given)


@pytest.mark.parametrize(
    ("thresholds", "failures"),
    [
        (Thresholds(0.4), ()),
        (Thresholds(0.39), ("peak 0.4 > 0.39",)),
        (Thresholds(None, 0.1), ()),
        (Thresholds(0.5, 0.05), ("total 0.1 > 0.05",)),
        (Thresholds(0.5, None, {"conv4_1": 0.1}), ("conv4_1 0.2 > 0.1",)),
    ],
)
def test_a_pair_passes_up_to_its_thresholds(
    thresholds: Thresholds, failures: tuple[str, ...]
) -> None:
    result = judged(COMPARED, thresholds)
    assert (result.status, result.failures) == ("failed" if failures else "passed", failures)
    assert result.thresholds == thresholds


def test_what_was_not_compared_is_judged_too() -> None:
    limit = Thresholds(0.3)
    assert judged(Result("a.png", None, "missing"), limit).failures
    assert judged(Result(None, "b.png", "new"), limit).failures
    assert not judged(Result(None, "b.png", "new"), limit, allow_new=True).failures
    assert judged(Result("a", "b", "error", error="broken"), limit).status == "error"
    assert judged(Result("a", "b", "identical", 0.0, 0.0), limit).status == "identical"


def animated(folder: Path) -> list[Path]:
    """Three frames: in the second much changes in one place, in the third a little everywhere."""
    with Image.open(SAMPLES / "references/coffee.png") as file:
        frame = file.convert("RGB").resize((128, 128))
    local = frame.copy()
    local.paste((255, 0, 255), (40, 40, 50, 50))
    noise = np.random.default_rng(0).integers(-30, 31, (128, 128, 3))
    noisy = Image.fromarray(np.clip(np.asarray(frame) + noise, 0, 255).astype(np.uint8))
    files = []
    for name, frames in (("a", [frame] * 3), ("b", [frame, local, noisy])):
        files.append(folder / f"{name}.tiff")
        frames[0].save(files[-1], save_all=True, append_images=frames[1:])
    return files


def transparent(folder: Path) -> list[Path]:
    """On white much changes in one place, on black a little everywhere."""
    files = [folder / "a.png", folder / "b.png"]
    before = Image.new("RGBA", (128, 128))
    after = Image.new("RGBA", (128, 128), (255, 255, 255, 80))
    after.paste((0, 0, 0, 255), (40, 40, 44, 44))
    before.save(files[0])
    after.save(files[1])
    return files


@pytest.mark.parametrize("preset", ["photo", "quality", "rendering"])
@pytest.mark.parametrize(
    ("made", "alone", "words"),
    [
        (animated, [{"frame": number} for number in (1, 2, 3)], "in frame"),
        (transparent, [{"background": "white"}, {"background": "black"}], "on "),
    ],
)
def test_every_frame_and_background_is_judged(
    made: Callable[[Path], list[Path]],
    alone: list[dict[str, Any]],
    words: str,
    preset: str,
    tmp_path: Path,
) -> None:
    files = made(tmp_path)
    whole = Scorer(Options.of(preset)).compare(*files).result
    each = [Scorer(Options.of(preset, **one)).compare(*files).result for one in alone]
    assert whole.elsewhere, "no single one has all of the largest figures"
    said = []
    for name in whole.figures():
        most = max(result.figures()[name] for result in each)
        for limit, status in ((1.001 * most, "passed"), (0.999 * most, "failed")):
            own = name in ("total", "peak", "jnd")
            thresholds = Thresholds(**({name: limit} if own else {"layers": {name: limit}}))
            result = judged(Result.of(whole.document()), thresholds)
            assert result.status == status, (name, result.failures)
            said += result.failures
    assert {words in failure for failure in said} == {True, False}

from __future__ import annotations

from typing import Any

import pytest

from percept_cli.errors import PerceptError
from percept_cli.gate.thresholds import NAMED, judged, thresholds_of
from percept_cli.results import Result, Thresholds
from percept_cli.scoring.options import Options

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

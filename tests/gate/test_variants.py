"""Which variant of a baseline counts, what is judged, and what a run comes to."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from percept_cli.gate.check import Check, verdict
from percept_cli.gate.rules import Rules
from percept_cli.inputs.pairs import Pair
from percept_cli.results import Result
from percept_cli.scoring.scored import Scored
from percept_cli.summary import Summary

BASE: dict[str, Any] = {"preset": "rendering", "resize": "none", "align": "auto"}


@pytest.fixture
def images(tmp_path: Path) -> dict[str, Path]:
    """A page, and it with a little, more and a large change; one of another size, one broken."""
    page = np.full((96, 128, 3), 240, np.uint8)
    page[20:60, 20:70] = 90, 120, 200
    made = {"same": page.copy(), "page": page}
    for name, colour in (
        ("little", (96, 126, 206)),
        ("more", (60, 90, 150)),
        ("large", (250, 0, 0)),
    ):
        made[name] = page.copy()
        made[name][20:60, 20:70] = colour
    made["two"] = made["large"].copy()
    made["two"][70:90, 100:124] = 232, 235, 237
    made["taller"] = np.concatenate([page, page[:7]])
    paths = {name: tmp_path / f"{name}.png" for name in made}
    for name, pixels in made.items():
        Image.fromarray(pixels).save(paths[name])
    paths["broken"] = tmp_path / "broken.png"
    paths["broken"].write_bytes(paths["page"].read_bytes()[:200])
    return paths


def judged(check: Check, candidate: Path | None, *baselines: Path | None) -> tuple[Pair, Scored]:
    pairs = [Pair(baseline, candidate, "page.png") for baseline in baselines]
    ((pair, scored),) = check.results(pairs)
    return pair, scored


def test_the_variant_that_passes_counts_then_one_in_error_then_the_nearest(
    images: dict[str, Path],
) -> None:
    check, page = Check(Rules(BASE)), images["page"]

    def chosen(*names: str) -> tuple[str, str]:
        pair, scored = judged(check, page, *(images[name] for name in names))
        assert pair.reference
        return pair.reference.stem, scored.result.status

    assert chosen("large", "little", "more") == ("little", "passed")
    assert chosen("large", "same", "little") == ("same", "identical")
    assert chosen("large", "more") == ("more", "failed")
    assert chosen("more", "large") == ("more", "failed")
    assert chosen("large", "broken") == ("broken", "error")
    assert chosen("little", "broken") == ("little", "passed")
    assert chosen("taller", "large") == ("taller", "failed")


def test_another_size_fails_with_what_happened(images: dict[str, Path]) -> None:
    _, scored = judged(Check(Rules(BASE)), images["taller"], images["page"])
    result = scored.result
    assert result.status == "failed" and result.error is None
    assert any("sizes differ" in reason for reason in result.failures)
    _, scored = judged(Check(Rules(BASE | {"align": "none"})), images["taller"], images["page"])
    result = scored.result
    assert result.status == "failed" and result.error is None and result.thresholds
    assert "sizes differ: reference 128x96, candidate 128x103" in result.failures[0]


def test_regions_are_all_that_the_threshold_is_passed_by_half(images: dict[str, Path]) -> None:
    """Of the largest peak one region is near; of the threshold's half both changes are."""
    _, strict = judged(Check(Rules(BASE)), images["two"], images["page"])
    assert len(strict.result.regions) == 2
    assert strict.result.regions[0].peak > 2 * strict.result.regions[1].peak
    _, lax = judged(Check(Rules(BASE | {"peak-threshold": 2.0})), images["two"], images["page"])
    assert len(lax.result.regions) == 1


def test_each_image_has_its_own_rules(images: dict[str, Path]) -> None:
    rules = Rules(BASE, {"page.png": {"peak-threshold": 100.0}})
    _, scored = judged(Check(rules), images["large"], images["page"])
    assert scored.result.status == "passed"
    assert dict(scored.result.overrides) == {"peak-threshold": 100.0}


def test_new_and_missing_images_fail_unless_new_ones_are_allowed(images: dict[str, Path]) -> None:
    for allow, status, failing in ((False, "new", True), (True, "new", False)):
        _, scored = judged(Check(Rules(BASE), allow_new=allow), images["page"], None)
        assert (scored.result.status, bool(scored.result.failures)) == (status, failing)
    _, scored = judged(Check(Rules(BASE)), None, images["page"])
    assert scored.result.status == "missing" and scored.result.failures


def summary(*statuses: Any, complete: bool = True) -> Summary:
    made = Summary.over(
        Result("a", "b", status, total=None if status in ("new", "error") else 1.0)
        for status in statuses
    )
    made.complete = complete
    return made


@pytest.mark.parametrize(
    ("made", "failing", "more", "expected"),
    [
        (summary("passed", "identical"), 0, {}, "passed"),
        (summary("passed", "failed"), 1, {}, "failed"),
        (summary("passed", "error"), 0, {}, "incomplete"),
        (summary("failed", "error"), 1, {}, "incomplete"),
        (summary("passed", complete=False), 0, {}, "incomplete"),
        (summary("passed"), 0, {"broken": True}, "incomplete"),
        (summary("failed"), 1, {"broken": True}, "incomplete"),
        (summary(), 0, {}, "incomplete"),
        (summary(), 0, {"part": True}, "passed"),
        (summary("new"), 0, {}, "incomplete"),
        (summary("new"), 1, {}, "failed"),
    ],
)
def test_what_a_run_comes_to(
    made: Summary, failing: int, more: dict[str, bool], expected: str
) -> None:
    assert verdict(made, failing, **more) == expected


@pytest.mark.parametrize("order", [(None, 0.5, 0.3), (0.3, None, 0.5), (0.5, 0.3, None)])
def test_a_mean_is_of_the_totals_that_there_are(order: tuple[float | None, ...]) -> None:
    made = Summary.over(Result("a", "b", "failed", total=total) for total in order)
    assert made.mean_total == pytest.approx(0.4) and made.scored == 3

"""What a first configuration says of peaks, or of just noticeable differences."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import REFERENCES
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.gate.beginning import are_rendered, beginning
from percept_cli.gate.thresholds import NAMED

MAX_PIXELS = 10**9


def peaks(*values: float) -> dict[str, float]:
    return {f"{number}.png": value for number, value in enumerate(values)}


def test_photographs_and_pages_are_told_apart(tmp_path: Path) -> None:
    named = {path.stem: path for path in REFERENCES}
    photographs = [named[name] for name in ("astronaut", "chelsea", "coffee")]
    pages = [named[name] for name in ("article", "dashboard")]
    assert not are_rendered(photographs, MAX_PIXELS) and are_rendered(pages, MAX_PIXELS)
    assert are_rendered([*pages, photographs[0]], MAX_PIXELS)
    (tmp_path / "none.png").write_bytes(b"none")
    assert are_rendered([tmp_path / "none.png", *pages], MAX_PIXELS)
    with pytest.raises(PerceptError, match="no image can be read"):
        are_rendered([tmp_path / "none.png"], MAX_PIXELS)
    clear = np.zeros((40, 40, 4), np.uint8)
    clear[..., :3] = np.random.default_rng(0).integers(0, 256, (40, 40, 3))
    Image.fromarray(clear).save(tmp_path / "clear.png")
    assert are_rendered([tmp_path / "clear.png"], MAX_PIXELS), "it looks all white"


def test_of_many_images_some_are_looked_at_from_all_over() -> None:
    page, photograph = (path for path in REFERENCES if path.stem in ("article", "chelsea"))
    assert are_rendered([photograph] * 3 + [page] * 97, MAX_PIXELS)
    assert not are_rendered([page] * 40 + [photograph] * 60, MAX_PIXELS)


@pytest.mark.parametrize("scores", [{}, peaks(0, 0, 0)])
def test_without_a_difference_the_usual_threshold_is_named(scores: dict[str, float]) -> None:
    found = beginning(True, scores)
    assert (found.preset, found.key, found.threshold) == ("rendering", "peak-threshold", "normal")
    assert "no pair differs yet" in found.reason and not found.above
    found = beginning(False, scores)
    assert (found.preset, found.key, found.threshold) == ("quality", "jnd", 1)


def test_where_few_are_above_the_usual_threshold_it_stays_and_they_are_named() -> None:
    usual = NAMED["normal"]
    scores = peaks(*[0.01] * 17, usual, usual * 1.1, usual * 3)
    found = beginning(True, scores)
    assert found.threshold == "normal"
    assert list(found.above) == ["19.png", "18.png"]
    assert "18 of 20 pairs pass" in found.reason


def test_where_many_are_a_little_above_it_is_wider_but_passes_no_plain_change() -> None:
    usual, widest = NAMED["normal"], NAMED["lenient"]
    scores = peaks(*[0.01] * 10, *[usual * 1.1] * 5, widest * 2)
    found = beginning(True, scores)
    assert isinstance(found.threshold, float) and usual * 1.1 < found.threshold <= widest
    assert list(found.above) == ["15.png"] and "5 of 16 pairs just above" in found.reason
    found = beginning(False, peaks(*[0.2] * 10, *[1.3] * 5, 5.0))
    assert isinstance(found.threshold, float) and 1.3 < found.threshold <= 2
    assert list(found.above) == ["15.png"]


def test_one_of_ten_is_few() -> None:
    usual = NAMED["normal"]
    assert beginning(True, peaks(*[0.01] * 9, usual * 1.1)).threshold == "normal"
    assert beginning(True, peaks(*[0.01] * 8, usual * 1.1)).threshold != "normal"

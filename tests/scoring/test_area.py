"""What surrounds a cell counts as well, so that a large change is seen sooner than a small one."""

from __future__ import annotations

import numpy as np
import pytest

import percept_cli
from percept_cli.scoring.area import WINDOW, count_areas

WEIGHT = 2.0


def counted(cells: np.ndarray) -> np.ndarray:
    found = cells.copy()
    count_areas(found, WEIGHT)
    return found


def test_a_large_change_counts_more_and_a_small_one_what_it_has() -> None:
    cells = np.zeros((60, 80))
    cells[4:24, 4:24] = 0.3  # Larger than a window: its middle counts WEIGHT times as much.
    cells[40:42, 40:42] = 0.9  # A window around it has a mean of 4/81 of that.
    found = counted(cells)
    assert found.max() == 0.9 and found[4 + WINDOW, 4 + WINDOW] == pytest.approx(0.3 * WEIGHT)
    assert np.array_equal(found[38:44, 38:44], cells[38:44, 38:44])
    # At its corner a window is half full along both axes: five of nine cells.
    assert found[4, 4] == pytest.approx(max(0.3, WEIGHT * 0.3 * 25 / 81))


def test_what_differs_less_than_its_surroundings_stays() -> None:
    cells = np.full((30, 30), 0.5)
    cells[10, 10] = cells[20] = 0.0
    found = counted(cells)
    assert found[10, 10] == 0 and not found[20].any() and (found >= cells).all()


def test_where_it_stands_and_how_small_the_map_is_changes_nothing_else() -> None:
    for shape in ((1, 1), (1, 40), (5, 3)):
        cells = np.full(shape, 0.2)
        window = min(shape[0], WINDOW // 2 + 1) * min(shape[1], WINDOW // 2 + 1) / WINDOW**2
        assert counted(cells)[0, 0] == pytest.approx(max(0.2, WEIGHT * 0.2 * window))
        assert np.array_equal(cells, np.full(shape, 0.2))
        count_areas(cells, 0.0)
        assert np.array_equal(cells, np.full(shape, 0.2))


def test_the_option_weighs_it() -> None:
    rng = np.random.default_rng(0)
    before = rng.integers(100, 110, (160, 160, 3), np.uint8)
    after = rng.integers(100, 110, (160, 160, 3), np.uint8)
    plain, weighed = (
        percept_cli.compare(before, after, layers="conv2_1", area=area) for area in (0, 3)
    )
    assert plain.total == weighed.total and plain.peak and weighed.peak
    assert weighed.peak > 1.5 * plain.peak
    assert weighed.map is not None and weighed.map.max() == weighed.peak

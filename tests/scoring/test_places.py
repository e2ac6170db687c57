from __future__ import annotations

import numpy as np

from percept_cli.results import Region
from percept_cli.scoring.places import MOST_REGIONS, peak_of, regions_of


def test_the_peak_is_the_middle_of_its_cell() -> None:
    cells = np.zeros((3, 4))
    cells[1, 2] = cells[2, 0] = 0.5
    assert peak_of(cells, 8) == (0.5, (20, 12))


def test_touching_cells_are_one_region_and_others_are_not() -> None:
    cells = np.zeros((6, 8))
    cells[0, 0], cells[1, 1] = 0.4, 0.9  # They touch at a corner.
    cells[4, 5] = cells[4, 6] = 0.5
    assert regions_of(cells, 8, (64, 48)) == (
        Region(0, 0, 16, 16, 0.9), Region(40, 32, 16, 8, 0.5),
    )  # fmt: skip


def test_cells_that_touch_by_others_further_down_are_one_region() -> None:
    rows = ("#.#.#", "#.#.#", "###.#", "....#", "#.###")
    cells = np.array([[float(mark == "#") for mark in row] for row in rows])
    assert regions_of(cells, 8, (40, 40)) == (
        Region(0, 0, 24, 24, 1.0), Region(16, 0, 24, 40, 1.0), Region(0, 32, 8, 8, 1.0),
    )  # fmt: skip


def test_the_level_decides_what_belongs_to_a_region() -> None:
    cells = np.array([[1.0, 0.6, 0.3, 0.1]])
    assert regions_of(cells, 4, (16, 4))[0].width == 12  # A quarter of the peak.
    assert regions_of(cells, 4, (16, 4), 0.5)[0].width == 8
    assert regions_of(cells, 4, (16, 4), 2.0) == ()
    assert regions_of(np.zeros((2, 2)), 4, (8, 8), 0.0) == ()


def test_regions_at_the_border_reach_to_it() -> None:
    cells = np.zeros((2, 3))
    cells[1, 2] = 1.0
    assert regions_of(cells, 8, (29, 23)) == (Region(16, 8, 13, 15, 1.0),)


def test_the_largest_peaks_come_first_and_no_more_than_the_most() -> None:
    cells = np.zeros((20, 20))
    cells[::2, ::2] = np.arange(100).reshape(10, 10) + 100
    found = regions_of(cells, 8, (160, 160))
    assert [region.peak for region in found] == [199.0 - n for n in range(MOST_REGIONS)]

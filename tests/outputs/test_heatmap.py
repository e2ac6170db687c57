from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image

from percept_cli.errors import OutputError
from percept_cli.outputs import heatmap as module
from percept_cli.outputs.heatmap import LEGEND, Map, heatmap, save_heatmap

CANDIDATE = np.asarray(Image.open(SAMPLES / "references/dashboard.png"))


def cells() -> np.ndarray:
    values = np.zeros((30, 40))
    values[10, 20] = 0.8
    return values


def test_only_what_differs_is_coloured() -> None:
    picture = np.asarray(heatmap(CANDIDATE, Map(cells(), 8))).astype(int)
    assert picture.shape == (240 + LEGEND, 320, 3)
    colourful = picture[:240].max(axis=2) - picture[:240].min(axis=2) > 20
    rows, columns = np.nonzero(colourful)
    assert rows.min() >= 72 and rows.max() < 96 and columns.min() >= 152 and columns.max() < 176


def test_larger_differences_are_lighter_without_colour_vision_too() -> None:
    black = np.zeros((64, 256, 3), np.uint8)
    ramp = np.tile(np.arange(32) / 31, (8, 1))
    grey = np.asarray(heatmap(black, Map(ramp, 8)).convert("L")).astype(int)
    # One row through the middle, clear of the square around the peak.
    steps = np.diff(grey[40, 8:230:8])
    assert (steps >= -1).all() and steps.sum() > 120


def test_narrow_candidates_are_enlarged_to_read_the_scale() -> None:
    small = np.zeros((17, 20, 3), np.float32)
    assert heatmap(small, Map(np.ones((2, 2)), 8)).size == (320, 16 * 17 + LEGEND)


def test_pictures_too_narrow_for_a_legend_have_none() -> None:
    assert heatmap(np.zeros((1300, 40, 3), np.uint8), Map(np.ones((162, 5)), 8)).size == (40, 1328)


def test_strips_of_a_heat_map_make_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).random((30, 40))
    whole = np.asarray(heatmap(CANDIDATE[:237, :317], Map(values[:29, :39], 8))).astype(int)
    monkeypatch.setattr(module, "STRIP_PIXELS", 5000)
    strips = np.asarray(heatmap(CANDIDATE[:237, :317], Map(values[:29, :39], 8))).astype(int)
    assert np.abs(strips - whole).max() <= 1  # Of 255: where a strip begins is rounded.


def test_a_heat_map_too_large_for_the_memory_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(module, "heatmap", full)
    with pytest.raises(OutputError, match=r"cannot write the heat map .*a.png: not enough memory"):
        save_heatmap(tmp_path / "a.png", CANDIDATE, Map(cells(), 8))


def test_a_picture_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write the heat map .*file/a.png: Not a dir"):
        save_heatmap(tmp_path / "file" / "a.png", CANDIDATE, Map(cells(), 8))
    with pytest.raises(OutputError, match=r"cannot write the heat map .*a.docx"):
        save_heatmap(tmp_path / "a.docx", CANDIDATE, Map(cells(), 8))

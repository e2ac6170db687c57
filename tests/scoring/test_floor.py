"""What differs in content all over the page is taken from the map; a change in one place is not."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from percept_cli.scoring.floor import FEWEST_CELLS, subtract_floor
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

SIDE = 4


def text(size: tuple[int, int] = (480, 400)) -> np.ndarray:
    """Rows of strokes on white, with an empty strip below."""
    image = np.full((size[1], size[0], 3), 255, np.uint8)
    image[10 : size[1] // 2 : 10, ::6] = 0
    return image


def cells_of(image: np.ndarray, value: float, share: float) -> np.ndarray:
    """So much in the cells of the upper share of the image, and nothing below."""
    cells = np.zeros((image.shape[0] // SIDE, image.shape[1] // SIDE))
    cells[: round(share * len(cells))] = value
    return cells


def test_what_a_quarter_of_the_content_has_close_by_is_the_floor() -> None:
    image = text()  # Its upper half has content; AROUND reaches a sixth of that further.
    for share, floor in ((0.02, 0.0), (0.04, 0.0), (0.06, 0.5), (0.5, 0.5)):
        assert subtract_floor(cells_of(image, 0.5, share), (image, image), SIDE, 1.0) == floor
    assert subtract_floor(cells_of(image, 0.5, 1), (image, image), SIDE, 0.3) == 0.3
    assert subtract_floor(cells_of(image, 0.5, 1), (image, image), SIDE, 0.0) == 0


def test_only_what_has_content_loses_it() -> None:
    image = text()
    cells = cells_of(image, 0.5, 1)
    subtract_floor(cells, (image, image), SIDE, 0.2)
    assert set(cells[-20:].flat) == {0.5}  # Empty there.
    assert cells[:40].min() == pytest.approx(0.3)


def test_content_of_either_image_counts() -> None:
    image, empty = text(), np.full((400, 480, 3), 255, np.uint8)
    for images in ((image, empty), (empty, image)):
        assert subtract_floor(cells_of(image, 0.5, 1), images, SIDE, 0.2) == 0.2


def test_images_of_any_type_and_height_are_looked_at_in_strips() -> None:
    image = text((480, 1203))
    one, other = (cells_of(image, 0.5, 1) for _ in range(2))
    floating = image.astype(np.float32) / 255
    assert subtract_floor(one, (image, image), SIDE, 0.2) == 0.2
    assert subtract_floor(other, (floating, floating), SIDE, 0.2) == 0.2
    assert np.array_equal(one, other)


def test_on_a_page_with_little_content_nothing_is_all_over_it() -> None:
    image = np.full((400, 480, 3), 255, np.uint8)
    image[8:20, 8:200:6] = 0
    cells = np.full((100, 120), 0.5)
    assert subtract_floor(cells, (image, image), SIDE, 0.2) == 0 and cells.size > FEWEST_CELLS


SCORER = Scorer(Options.of("rendering", resize="none"))
WORDS = ImageFont.load_default(size=16)


def page(size: tuple[int, int], left: int, top: int, words: str) -> Image.Image:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    for row in range(40, size[1] - 60, 24):
        draw.text((24, row), f"A line of text that stays, with the number {row}", "#333333", WORDS)
    draw.rectangle((left, top, left + 150, top + 30), outline="#888888", fill="white")
    draw.text((left + 8, top + 6), words, "black", WORDS)
    return image


@pytest.mark.parametrize("size", [(480, 320), (640, 400)])
@pytest.mark.parametrize("upright", [False, True])
def test_the_same_change_has_the_same_peak_wherever_it_is(
    size: tuple[int, int], upright: bool
) -> None:
    peaks = []
    for left in range(4, size[0] - 160, 28):
        for top in (4, size[1] - 44):
            pair = [page(size, left, top, words) for words in ("Total 168.30", "Total 163.80")]
            if upright:
                pair = [image.transpose(Image.Transpose.TRANSPOSE) for image in pair]
            result = SCORER.compare(*pair).result
            assert result.floor == 0
            peaks.append(result.peak)
    # The box covers part of other lines where it lies over them, and pooling depends on the phase.
    assert max(peaks) < 1.15 * min(peaks)


def test_without_a_floor_nothing_is_reported_or_taken() -> None:
    blank = np.full((400, 480, 3), 255, np.uint8)
    for image, share in ((text(), 0.02), (blank, 1.0)):
        cells = cells_of(image, 0.5, share)
        before = cells.copy()
        assert subtract_floor(cells, (image, image), SIDE, 0.2) == 0
        assert np.array_equal(cells, before)


def test_on_a_small_page_a_quarter_is_no_more_than_one_place() -> None:
    image = text((200, 200))  # AROUND alone reaches a third of its content.
    for share, floor in ((0.02, 0.0), (0.2, 0.5)):
        assert subtract_floor(cells_of(image, 0.5, share), (image, image), SIDE, 1.0) == floor


@pytest.mark.parametrize("words", ["Safe changes", "Save charges", "Have changes"])
def test_a_letter_of_a_button_on_a_small_page_loses_nothing(words: str) -> None:
    pair = [page((320, 240), 84, 180, text) for text in ("Save changes", words)]
    assert SCORER.compare(*pair).result.floor == 0

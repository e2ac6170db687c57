from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.inputs.ignore import GREY, beside, check_regions, region_of, without
from percept_cli.inputs.images import Picture
from percept_cli.scoring.load import Contents, load
from percept_cli.scoring.options import Options

EIGHT_BIT = Picture(np.full((6, 8, 3), 7, np.uint8))
DEEP = Picture(np.full((6, 8, 3), 0.25, np.float32))


def grey_pixels(*regions: str) -> set[tuple[int, int]]:
    """Columns and rows that became grey, in both kinds of pixels."""
    found = []
    for picture, grey in zip(
        without((EIGHT_BIT, DEEP), regions, 1000), (GREY, np.float32(GREY / 255)), strict=True
    ):
        rows, columns = np.nonzero((picture.pixels == grey).all(axis=2))
        found.append(set(zip(columns.tolist(), rows.tolist(), strict=True)))
    assert found[0] == found[1]
    return found[0]


def test_a_box_counts_from_its_left_top_and_is_cut_at_the_border() -> None:
    assert grey_pixels("1,2,3,1") == {(1, 2), (2, 2), (3, 2)}
    assert grey_pixels("7,5,9,9", "0,0,1,1") == {(7, 5), (0, 0)}


def test_light_pixels_of_a_mask_are_ignored(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[3, 4], mask[0, 0] = 255, 100
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert grey_pixels(str(tmp_path / "mask.png")) == {(4, 3)}


def test_the_pictures_themselves_stay_as_they_are() -> None:
    without((EIGHT_BIT, EIGHT_BIT), ("0,0,8,5",), 1000)
    assert (EIGHT_BIT.pixels == 7).all()


@pytest.mark.parametrize("text", ["1,2,3", "1,2,3,4,5", "1,2,0,4", "-1,2,3,4", "1,2,3,-4", "5"])
def test_a_box_needs_four_sensible_numbers(text: str) -> None:
    with pytest.raises(PerceptError, match="give x,y,width,height in pixels"):
        region_of(text)


def test_a_region_outside_the_image_or_of_another_size_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PerceptError, match=r"8,0,1,1: outside the image of 8x6"):
        grey_pixels("8,0,1,1")
    Image.new("L", (9, 6)).save(tmp_path / "mask.png")
    with pytest.raises(PerceptError, match=r"a mask of 9x6 for an image of 8x6"):
        grey_pixels(str(tmp_path / "mask.png"))
    with pytest.raises(PerceptError, match="or a mask image that is there"):
        region_of("nowhere.png")


def test_a_mask_is_looked_for_beside_the_configuration() -> None:
    file = Path("/some/percept.toml")
    assert beside("1, 2,3,4", file) == "1, 2,3,4"
    assert beside([1, 2, 3, 4], file) == "1,2,3,4"
    assert beside("masks/a.png", file) == str(Path("/some/masks/a.png"))


def test_ignoring_everything_is_an_error() -> None:
    for check in (lambda: grey_pixels("0,0,99,99"), lambda: check_regions(["0,0,8,6"], (8, 6), 99)):
        with pytest.raises(PerceptError, match="all of the image is ignored"):
            check()


def test_a_region_grows_by_what_resizing_spread() -> None:
    (picture,) = without((EIGHT_BIT,), ("3,3,1,1",), 1000, spread=1)
    assert (picture.pixels[2:5, 2:5] == GREY).all() and (picture.pixels == GREY).sum() == 27


@pytest.mark.parametrize("size", [(40, 30), (200, 150)])
def test_what_is_ignored_stays_so_after_resizing(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (60, 80, 3), np.uint8) for _ in range(2)]
    images[1][:] = images[0]
    images[1][20:40, 30:50] = 255 - images[0][20:40, 30:50]
    box = [round(n * size[0] / 80) for n in (30, 20, 20, 20)]
    resize = "{}x{}".format(*size)
    options = Options(resize=resize, ignore=(",".join(map(str, box)),))
    (frame,) = load(Contents.of(*images, options), options).frames
    assert not frame.views and not frame.identical

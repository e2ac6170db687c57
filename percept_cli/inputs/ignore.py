"""Regions of an image that do not count: rectangles, or a mask image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from percept_cli.errors import PerceptError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from percept_cli.inputs.images import Picture

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

NUMBERS = r"\s*-?\d+(\s*,\s*-?\d+)*\s*"

GREY = 128
"""What ignored pixels become in both images, of 255."""


def beside(region: Any, file: Path) -> str:
    """A region as a configuration file says it; the path of a mask is relative to that file."""
    if isinstance(region, list):
        return ",".join(map(str, region))
    is_box = re.fullmatch(NUMBERS, str(region))
    return str(region) if is_box else str(file.parent / str(region))


def region_of(text: str) -> Box | Path:
    """`x,y,width,height`, or the path of a mask; PerceptError if it is neither."""
    if re.fullmatch(NUMBERS, text):
        numbers = [int(number) for number in text.split(",")]
        if len(numbers) != 4 or min(numbers) < 0 or 0 in numbers[2:]:
            raise PerceptError(f"ignored region {text!r}: give x,y,width,height in pixels")
        left, top, width, height = numbers
        return left, top, width, height
    path = Path(text)
    if not path.is_file():
        raise PerceptError(
            f"ignored region {text!r}: give x,y,width,height, or a mask image that is there"
        )
    return path


def without(
    pictures: Sequence[Picture], regions: Sequence[str], max_pixels: int, spread: int = 0
) -> list[Picture]:
    """The pictures, of equal size, with the ignored pixels grey in all of them.

    `spread` is how many pixels around a region its content has reached into, by resizing. Raises
    PerceptError for a region outside the pictures, a mask of another size, and if nothing is left.
    """
    import numpy as np
    from PIL import Image, ImageFilter

    ignored = ignored_pixels(regions, pictures[0].size, max_pixels)
    if spread:
        grown = Image.fromarray(ignored).convert("L").filter(ImageFilter.MaxFilter(2 * spread + 1))
        ignored = np.asarray(grown) > 0
        _check_rest(ignored)
    return [picture.greyed(ignored, GREY) for picture in pictures]


def check_regions(regions: Sequence[str], size: tuple[int, int], max_pixels: int) -> None:
    """PerceptError where `without` would raise it for pictures of that size."""
    if regions:
        ignored_pixels(regions, size, max_pixels)


def ignored_pixels(
    regions: Sequence[str], size: tuple[int, int], max_pixels: int
) -> NDArray[np.bool_]:
    """Which pixels of an image of that size do not count, H×W; PerceptError as `without`."""
    ignored = _mask(regions, size, max_pixels)
    _check_rest(ignored)
    return ignored


def _check_rest(ignored: NDArray[np.bool_]) -> None:
    if ignored.all():
        raise PerceptError("all of the image is ignored, so nothing is compared: leave some of it")


def _mask(regions: Sequence[str], size: tuple[int, int], max_pixels: int) -> NDArray[np.bool_]:
    import numpy as np

    width, height = size
    mask = np.zeros((height, width), bool)
    for text in regions:
        region = region_of(text)
        if isinstance(region, Path):
            mask |= _mask_in(region, size, max_pixels)
            continue
        left, top, columns, rows = region
        if left >= width or top >= height:
            raise PerceptError(f"ignored region {text}: outside the image of {width}x{height}")
        mask[top : top + rows, left : left + columns] = True
    return mask


def _mask_in(path: Path, size: tuple[int, int], max_pixels: int) -> NDArray[np.bool_]:
    """A mask image's light pixels."""
    import numpy as np

    from percept_cli.inputs import files, images

    opened = files.opened(files.read_bytes(path), str(path), max_pixels)
    mask = images.decoded(opened, str(path)).on("black")
    if mask.size != size:
        raise PerceptError(
            "{}: a mask of {}x{} for an image of {}x{}: make it equally large".format(
                path, *mask.size, *size
            )
        )
    half = 3 * (255 if mask.pixels.dtype == np.uint8 else 1) / 2
    light: NDArray[np.bool_] = np.add.reduce(mask.pixels, axis=2, dtype=np.float32) >= half
    return light

"""What moved by a pixel or two is put back; everything else stays where it is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from percept_cli.network import displacement
from percept_cli.network.displacement import BLUR, CLEARLY, SURROUNDINGS, _nearest_first, put_back

RANDOM = np.random.default_rng(0)


def page(x: int, y: int) -> np.ndarray:
    image = Image.new("RGB", (160, 120), "white")
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((x, y, x + 80, y + 30), 6, fill="#2563eb")
    draw.text((x + 12, y + 8), "Save changes", fill="white")
    return np.asarray(image)


def by_formula(base: np.ndarray, other: np.ndarray, tolerance: int) -> np.ndarray:
    """Each pixel by itself, shift by shift."""
    height, width, _ = base.shape
    taps = np.exp(-(np.arange(-3, 4) ** 2) / (2 * BLUR**2))

    def smooth(image: np.ndarray) -> np.ndarray:
        for axis in (0, 1):
            pad = [(3, 3) if a == axis else (0, 0) for a in range(3)]
            image = np.apply_along_axis(
                np.convolve, axis, np.pad(image, pad, "edge"), taps / taps.sum(), "valid"
            )
        return image

    def padded(image: np.ndarray) -> np.ndarray:
        return np.pad(image, ((tolerance,) * 2, (tolerance,) * 2, (0, 0)), "edge")

    smooth_base, smooth_other = smooth(base.astype(float)), padded(smooth(other.astype(float)))
    steps = range(-tolerance, tolerance + 1)
    shifts = sorted(((v, u) for v in steps for u in steps), key=lambda s: s[0] ** 2 + s[1] ** 2)
    outcome = np.empty_like(base)
    for y in range(height):
        for x in range(width):
            rows = slice(max(y - SURROUNDINGS, 0), y + SURROUNDINGS + 1)
            columns = slice(max(x - SURROUNDINGS, 0), x + SURROUNDINGS + 1)
            least = np.inf
            for v, u in shifts:
                moved = smooth_other[tolerance + v :, tolerance + u :][:height, :width]
                apart = ((smooth_base - moved)[rows, columns] ** 2).sum()
                if apart < least - CLEARLY:
                    least = apart
                    outcome[y, x] = padded(other)[y + tolerance + v, x + tolerance + u]
    return outcome


@pytest.mark.parametrize("tolerance", [1, 2])
def test_each_pixel_comes_from_where_its_surroundings_look_most_alike(
    tolerance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(displacement, "ROWS", 7)  # In strips, as large images.
    base = RANDOM.integers(0, 256, (33, 29, 3), dtype=np.uint8)
    other = np.roll(base, (1, -1), (0, 1))
    other[10:14] = RANDOM.integers(0, 256, (4, 29, 3), dtype=np.uint8)
    assert np.array_equal(put_back(base, other, tolerance), by_formula(base, other, tolerance))


def test_pixels_of_any_type_are_put_back() -> None:
    base, other = page(20, 30), page(21, 29)
    found = put_back(base / np.float32(255), other / np.float32(255), 1)
    assert found.dtype == np.float32
    assert np.array_equal(found, put_back(base, other, 1) / np.float32(255))


@pytest.mark.parametrize("shift", [(1, 0), (0, -1), (1, 1), (-1, 1)])
def test_what_moved_within_the_tolerance_is_where_it_was(shift: tuple[int, int]) -> None:
    base, other = page(20, 30), page(20 + shift[0], 30 + shift[1])
    assert np.array_equal(put_back(base, other, 1), base)


def test_what_moved_further_is_not() -> None:
    base, other = page(20, 30), page(24, 30)
    assert (put_back(base, other, 1) != base).any(2).sum() > 500


def test_of_equals_the_nearest_is_taken() -> None:
    base = np.full((40, 40, 3), 255, np.uint8)
    other = base.copy()
    other[:, 20] = 0  # A line in the middle of nothing: no shift makes it look more alike.
    assert np.array_equal(put_back(base, other, 1)[:, 20], other[:, 20])


def test_the_nearest_displacement_is_tried_first() -> None:
    shifts = _nearest_first(2)
    far = [down**2 + right**2 for down, right in shifts]
    assert shifts[0] == (0, 0) and len(set(shifts)) == 25 and far == sorted(far)

from __future__ import annotations

import numpy as np
import pytest
import torch
from rounding import worst

from percept_cli.network.blur import blur_radius, blurred

pytestmark = pytest.mark.numeric


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_the_blur_is_a_gaussian_with_repeated_borders(sigma: float) -> None:
    """Against numpy, row by row and column by column, from the formula."""
    image = np.random.default_rng(0).random((3, 17, 23))
    places = np.arange(-blur_radius(sigma), blur_radius(sigma) + 1)
    kernel = np.exp(-(places**2) / (2 * sigma**2))
    kernel /= kernel.sum()
    expected = np.pad(image, [(0, 0), *[(blur_radius(sigma),) * 2] * 2], mode="edge")
    for axis in (1, 2):
        expected = np.apply_along_axis(np.convolve, axis, expected, kernel, "valid")
    found = blurred(torch.from_numpy(image)[None], sigma)[0].numpy()
    terms = 2 * (2 * blur_radius(sigma) + 1)
    assert found == pytest.approx(expected, rel=worst(terms, torch.float64))


def test_a_blurred_part_is_a_part_of_the_blurred_whole() -> None:
    image = torch.rand(1, 3, 60, 50)
    radius = blur_radius(1.0)
    whole, part = blurred(image, 1.0), blurred(image[:, :, 10:40, 5:35], 1.0)
    inner = slice(radius, 30 - radius)
    found, expected = (x[:, :, inner, inner] for x in (part, whole[:, :, 10:40, 5:35]))
    torch.testing.assert_close(found, expected, rtol=worst(2 * (2 * radius + 1)), atol=0)

from __future__ import annotations

import numpy as np
import pytest
import torch

from percept_cli.network.colour import COLOUR_REACH, FLARE, STROKES, colour_change, oklab

# Ottosson 2020, "A perceptual color space for image processing", by his own code, without flare.
PUBLISHED = {
    (1.0, 1.0, 1.0): (1.0, 0.0, 0.0),
    (1.0, 0.0, 0.0): (0.62796, 0.22486, 0.12585),
    (0.0, 1.0, 0.0): (0.86644, -0.23389, 0.17950),
    (0.0, 0.0, 1.0): (0.45201, -0.03246, -0.31153),
}


def image(*colour: float, size: tuple[int, int] = (24, 32)) -> torch.Tensor:
    return torch.tensor(colour, dtype=torch.float64)[None, :, None, None].expand(1, 3, *size)


@pytest.mark.parametrize(("colour", "lab"), PUBLISHED.items())
def test_oklab_is_as_published(
    colour: tuple[float, ...], lab: tuple[float, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("percept_cli.network.colour.FLARE", 0.0)
    found = oklab(image(*colour, size=(1, 1)))[0, :, 0, 0].tolist()
    assert found == pytest.approx(lab, abs=1e-5), "as many digits as are published"


def test_flare_makes_blacks_alike_that_a_screen_shows_alike() -> None:
    black, nearly = (oklab(image(*[level / 255] * 3)) for level in (0, 2))
    assert black.abs().max() == pytest.approx(0, abs=1e-12)
    linear = 2 / 255 / 12.92
    expected = (linear + FLARE) ** (1 / 3) - FLARE ** (1 / 3)
    assert float((nearly - black)[0, 0].max()) == pytest.approx(expected, rel=1e-6)


def test_an_area_that_changed_has_the_distance_of_its_colours() -> None:
    before, after = image(0.2, 0.3, 0.4), image(0.3, 0.3, 0.4)
    expected = (oklab(before) - oklab(after)).square().sum(1).sqrt()
    assert torch.allclose(colour_change(before, after), expected, rtol=1e-9)


def test_what_is_thinner_than_the_window_is_no_area() -> None:
    before = image(1.0, 1.0, 1.0).clone()
    after = before.clone()
    after[..., 12] = 0.0
    line_moved = after.roll(1, 3)
    # Another pattern: neither an area, nor strokes of the same pattern; 0.02 is just visible.
    assert float(colour_change(after, line_moved)[:, :, 8:18].max()) < 0.02


def test_strokes_that_changed_their_colour_are_found_though_no_area_is() -> None:
    mask = (torch.from_numpy(np.random.default_rng(0).random((24, 32))) > 0.7).double()
    white = image(1.0, 1.0, 1.0)

    def text(colour: tuple[float, float, float]) -> torch.Tensor:
        return white * (1 - mask) + image(*colour) * mask

    def reach(colour: tuple[float, float, float], other: tuple[float, float, float]) -> float:
        return float(colour_change(text(colour), text(other)).max())

    one, other = (99 / 255, 124 / 255, 149 / 255), (77 / 255, 97 / 255, 116 / 255)
    apart = float((oklab(image(*one)) - oklab(image(*other))).square().sum(1).sqrt().max())
    assert 0.3 * apart < reach(one, other) <= STROKES * apart
    assert reach(one, other) == pytest.approx(reach(other, one), rel=1e-9)
    assert reach(one, one) == 0


def test_a_part_gives_what_the_whole_does() -> None:
    rng = np.random.default_rng(1)
    before = torch.from_numpy(rng.random((1, 3, 60, 70)))
    after = torch.from_numpy(np.clip(before.numpy() + rng.normal(0, 0.1, before.shape), 0, 1))
    whole = colour_change(before, after)
    inner = slice(20, 40)
    around = slice(20 - COLOUR_REACH, 40 + COLOUR_REACH)
    part = colour_change(before[:, :, around, around], after[:, :, around, around])
    own = slice(COLOUR_REACH, -COLOUR_REACH)
    assert torch.allclose(part[:, own, own], whole[:, inner, inner], rtol=1e-6, atol=1e-9)

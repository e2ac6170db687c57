"""What anybody sees at once fails at `normal`, wherever it is and however large; what nobody
sees passes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from percept_cli.gate.thresholds import NAMED
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

NORMAL = NAMED["normal"]
SCORER = Scorer(Options.of("rendering", resize="none"))


def peak(before: Image.Image, after: Image.Image) -> float:
    found = SCORER.compare(before, after).result.peak
    assert found is not None
    return found


def page(background: str = "white", text: str = "#222222") -> Image.Image:
    image = Image.new("RGB", (480, 240), background)
    for row in range(5):
        write(image, f"Line {row} of ordinary text, with words and {37 * row}", 20 + 32 * row, text)
    return image


def write(image: Image.Image, words: str, top: int, colour: str, size: int = 15) -> None:
    font = ImageFont.load_default(size=size)
    ImageDraw.Draw(image).text((20, top), words, fill=colour, font=font)


def button(colour: str) -> Image.Image:
    image = page()
    ImageDraw.Draw(image).rounded_rectangle((340, 190, 460, 226), 6, fill=colour)
    font = ImageFont.load_default(size=15)
    ImageDraw.Draw(image).text((356, 199), "Save changes", fill="white", font=font)
    return image


def note(colour: str, size: int) -> Image.Image:
    image = page()
    write(image, "A line of secondary text that people read", 200, colour, size)
    return image


def chart(colour: str, width: float) -> Image.Image:
    large = Image.new("RGB", (1600, 960), "white")
    draw = ImageDraw.Draw(large)
    for row in range(160, 960, 160):
        draw.line((160, row, 1440, row), fill="#e0e0e0", width=4)
    points = [(160 + 60 * i, 480 - 240 * np.sin(i / 2.5)) for i in range(22)]
    draw.line(points, fill=colour, width=int(4 * width), joint="curve")
    return large.resize((400, 240), Image.Resampling.LANCZOS)


def card(shadow: float) -> Image.Image:
    image = page()
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((200, 54, 440, 174), 8, fill=round(255 * shadow))
    image.paste("black", mask=mask.filter(ImageFilter.GaussianBlur(8)))
    ImageDraw.Draw(image).rounded_rectangle((200, 50, 440, 170), 8, fill="white")
    return image


def faded(image: Image.Image, opacity: float) -> Image.Image:
    return Image.blend(Image.new("RGB", image.size, "white"), image, opacity)


def flat(colour: str) -> Image.Image:
    return Image.new("RGB", (320, 240), colour)


def plain() -> Iterator[tuple[str, Image.Image, Image.Image]]:
    for text in ("#dddddd", "#888888"):
        yield "page made black", page("#1a1a1a", text), page("#000000", text)
    yield "flat page made black", flat("#1a1a1a"), flat("#000000")
    for red, darker in (("#ff0000", "#880000"), ("#ff0000", "#cc0000"), ("#00ff00", "#00b000")):
        yield f"flat {red} to {darker}", flat(red), flat(darker)
    for one, other in (
        ("#dc2626", "#991b1b"),
        ("#2563eb", "#1e40af"),
        ("#16a34a", "#15703a"),
        ("#7c3aed", "#5b21b6"),
    ):
        yield f"button {one} to {other}", button(one), button(other)
    for size in (12, 13, 14, 15, 16, 18, 20, 24):
        yield f"text of {size} px darker", note("#637c95", size), note("#4d6174", size)
        yield f"text of {size} px bluer", note("#637c95", size), note("#4f6fc9", size)
    for width in (1.5, 2, 3):
        yield f"line of {width} px darker", chart("#60a5fa", width), chart("#2563eb", width)
    for strength in (0.25, 0.35, 0.5):
        yield f"shadow of {strength} removed", card(strength), card(0)
    for opacity in (0.7, 0.8):
        yield f"page of opacity {opacity}", page(), faded(page(), opacity)


def hardly_visible() -> Iterator[tuple[str, Image.Image, Image.Image]]:
    yield "#efefef to #ededed", flat("#efefef"), flat("#ededed")
    yield "button", button("#2563eb"), button("#2a67ed")
    rng = np.random.default_rng(0)
    for name, image in (
        ("button", button("#2563eb")),
        ("dark page", page("#1a1a1a", "#dddddd")),
        ("black page", page("#000000", "#dddddd")),
        ("chart", chart("#2563eb", 2)),
    ):
        levels = np.asarray(image).astype(int)
        for what, most in (("rounding", 1), ("noise of 2 levels", 2)):
            noisy = (levels + rng.integers(-most, most + 1, levels.shape)).clip(0, 255)
            yield f"{what} on a {name}", image, Image.fromarray(noisy.astype(np.uint8))


@pytest.mark.parametrize(
    ("before", "after"), [pytest.param(b, a, id=name) for name, b, a in plain()]
)
def test_a_plain_change_of_lightness_or_colour_fails(
    before: Image.Image, after: Image.Image
) -> None:
    assert peak(before, after) > NORMAL


@pytest.mark.parametrize(
    ("before", "after"), [pytest.param(b, a, id=name) for name, b, a in hardly_visible()]
)
def test_a_change_that_is_hardly_visible_passes(before: Image.Image, after: Image.Image) -> None:
    assert peak(before, after) < 0.75 * NORMAL


@pytest.mark.parametrize("size", [(480, 96), (640, 96)])
@pytest.mark.parametrize("upright", [False, True])
def test_a_panel_fails_however_wide_and_wherever_it_is(
    size: tuple[int, int], upright: bool
) -> None:
    def panel(width: int, colour: str) -> Image.Image:
        image = Image.new("RGB", size, "white")
        write(image, "Above the panel", 8, "#222222")
        left = (width * 7) % (size[0] - width)
        ImageDraw.Draw(image).rectangle((left, 36, left + width - 1, 84), fill=colour)
        return image.transpose(Image.Transpose.TRANSPOSE) if upright else image

    peaks = {
        width: peak(panel(width, "#efefef"), panel(width, "#d6d6d6"))
        for width in range(100, 404, 4)
    }
    assert {width for width, found in peaks.items() if found <= NORMAL} == set()


def test_where_colour_makes_the_peak_the_result_says_so() -> None:
    result = SCORER.compare(flat("#ff0000"), flat("#880000")).result
    assert result.peak == pytest.approx(result.peak_parts["colour"])
    assert set(result.peak_parts) == {"conv1_2", "conv2_1", "conv3_1", "colour"}

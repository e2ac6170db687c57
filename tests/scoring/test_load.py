from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from contextlib import nullcontext
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import percept_cli
from percept_cli.errors import PerceptError, ShapesDiffer
from percept_cli.inputs.images import from_array
from percept_cli.results import Result

LOGO = (slice(20, 44), slice(16, 48))
LOGO_PAGE = np.full((64, 64, 4), 255, np.uint8)


def transparent(colour: tuple[int, int, int], opacity: int, hidden: int = 0) -> Image.Image:
    """A logo on transparency, under which another colour may hide."""
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[..., :3] = hidden
    pixels[LOGO] = *colour, opacity
    return Image.fromarray(pixels)


def as_palette(image: Image.Image) -> Image.Image:
    """With transparency as PNG's tRNS has it."""
    opaque = np.asarray(image)[..., 3] > 127
    palette = Image.new("P", image.size, 0)
    palette.putpalette([0, 0, 0, *image.getpixel((30, 30))[:3]])
    palette.paste(1, mask=Image.fromarray(opaque))
    palette.info["transparency"] = 0
    return palette


FORMS: dict[str, Callable[[Image.Image], Any]] = {
    "RGBA": lambda image: image,
    "LA": lambda image: image.convert("LA"),
    "P": as_palette,
    "bytes": np.asarray,
    "floats": lambda image: np.asarray(image) / 255.0,
}


def compared(one: Any, other: Any, **options: Any) -> Result:
    chosen = {"preset": "rendering", "resize": "none", **options}
    result = percept_cli.compare(one, other, **chosen)
    swapped = percept_cli.compare(other, one, **chosen)
    assert (result.peak, result.total) == (swapped.peak, swapped.total)
    return result


@pytest.mark.parametrize(("form", "colour"), list(product(FORMS, ("white", "black", "grey"))))
def test_a_logo_that_vanishes_is_seen_whatever_its_colour(form: str, colour: str) -> None:
    level = {"white": 255, "black": 0, "grey": 128}[colour]
    there, gone = transparent((level,) * 3, 255), transparent((0, 0, 0), 0)
    make = FORMS[form]
    # With no opaque pixel left a palette would be empty: it keeps a corner.
    corner = [image.copy() for image in (there, gone)]
    for image in corner:
        image.putpixel((0, 0), (level, level, level, 255))
    result = compared(*map(make, corner))
    assert result.status == "compared" and result.peak and result.peak > 0.25
    seen_on = {"white": ("black",), "black": ("white",), "grey": ("white", "black")}
    assert result.background in seen_on[colour]
    assert "transparency composited on white and on black" in result.notes


@pytest.mark.parametrize("form", ["RGBA", "LA", "bytes", "floats"])
def test_a_logo_that_lost_its_transparency_is_seen(form: str) -> None:
    logo = transparent((255, 255, 255), 255)
    on_white = Image.alpha_composite(Image.new("RGBA", logo.size, "white"), logo)
    result = compared(*map(FORMS[form], (logo, on_white)))
    assert result.peak and result.peak > 0.25 and result.background == "black"


@pytest.mark.parametrize("form", FORMS)
def test_colour_hidden_under_full_transparency_counts_for_nothing(form: str) -> None:
    make = FORMS[form]
    one, other = transparent((9, 9, 9), 255, hidden=0), transparent((9, 9, 9), 255, hidden=200)
    result = compared(make(one), make(other))
    assert result.status == "identical"


@pytest.mark.parametrize("background", ["white", "#ffffff", "rgb(255,255,255)"])
def test_a_named_background_may_hide_a_change_but_does_not_make_it_identical(
    background: str,
) -> None:
    there, gone = transparent((255, 255, 255), 255), transparent((255, 255, 255), 0)
    result = compared(there, gone, background=background)
    assert (result.status, result.total, result.peak) == ("compared", 0, 0)
    assert f"they differ in what {background} behind transparent pixels hides" in result.notes
    assert compared(there, gone, background=f"{background},#102030").peak


def test_a_background_is_named_once_only() -> None:
    with pytest.raises(PerceptError, match="background white is named twice"):
        percept_cli.compare("a", "b", background="white,black,white")


SOME = [Image.new("RGB", (64, 64), (value, value, value)) for value in (10, 90, 200)]
OTHERS = [Image.new("RGB", (64, 64), (value, value, value)) for value in (10, 140, 190)]

ANIMATED = {
    "gif": {},
    "png": {},
    "webp": {"lossless": True},
    "tiff": {},
    "mpo": {"quality": 95},
}


def written(frames: list[Image.Image], file: Path) -> Path:
    options = ANIMATED[file.suffix[1:]]
    # An image that was saved once keeps its encoder's settings.
    frames = [frame.copy() for frame in frames]
    frames[0].save(file, save_all=True, append_images=frames[1:], **options)
    return file


@pytest.fixture(params=ANIMATED)
def files(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, Path]:
    return tuple(
        written(frames, tmp_path / f"{name}.{request.param}")
        for name, frames in (("a", SOME), ("b", OTHERS))
    )


def test_the_worst_frame_is_the_result(files: tuple[Path, Path]) -> None:
    result = compared(*files)
    assert result.frame == 2 and [frame.number for frame in result.frames][-2:] == [2, 3]
    assert result.peak == max(frame.peak for frame in result.frames if frame.peak is not None)
    stills = percept_cli.compare(files[0], files[1], preset="rendering", frame=2)
    assert (stills.peak, stills.total, stills.frame) == (result.peak, result.total, 2)


def test_frames_that_one_does_not_have_are_an_error(files: tuple[Path, Path]) -> None:
    fewer = written(OTHERS[:2], files[1].with_name(f"c{files[1].suffix}"))
    with pytest.raises(ShapesDiffer, match="frames differ: reference 3, candidate 2"):
        percept_cli.compare(files[0], fewer)
    with pytest.raises(PerceptError, match="no frame 3 to compare: reference 3, candidate 2"):
        percept_cli.compare(files[0], fewer, frame=3)
    assert percept_cli.compare(files[0], fewer, frame=2).total


def test_equal_frames_in_other_files_are_identical(tmp_path: Path) -> None:
    one, other = written(SOME, tmp_path / "a.gif"), written(SOME, tmp_path / "b.tiff")
    result = compared(one, other)
    assert result.status == "identical" and result.notes == ("0 of 3 frames differ",)


def test_a_frame_that_is_damaged_is_named(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)
    one = written([Image.fromarray(x) for x in noise], tmp_path / "a.tiff")
    cut = tmp_path / "b.tiff"
    content = bytearray(one.read_bytes())
    with Image.open(one) as image:
        image.seek(1)
        image.load()
        offset = image.tag_v2[273][0]
        content[:8] = content[:8]
    cut.write_bytes(bytes(content[: offset + 100]))
    with pytest.raises(PerceptError, match=r"b\.tiff.*damaged image"):
        percept_cli.compare(one, cut)


def test_what_shrinking_makes_equal_is_not_identical() -> None:
    reference = np.full((600, 600, 3), 120, np.uint8)
    candidate = reference.copy()
    candidate[300, 300] = 121
    found = percept_cli.compare(reference, candidate, preset="quality")
    assert (found.status, found.total) == ("compared", 0.0)
    assert "resized from 600x600 to 224x224" in found.notes[0]
    assert percept_cli.compare(reference, reference.copy(), preset="quality").status == "identical"


def test_only_the_image_that_was_resized_is_said_to_be() -> None:
    rng = np.random.default_rng(0)
    large, small = (rng.integers(0, 256, (side, 40, 3), np.uint8) for side in (60, 30))
    found = percept_cli.compare(large, small, layers=("conv1_1",))
    assert found.notes == ("candidate resized from 40x30 to 40x60",)


def pages(*sizes: tuple[int, int]) -> list[np.ndarray[Any, Any]]:
    """Left upper parts of one picture, of these widths and heights."""
    whole = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
    whole = whole.repeat(8, axis=0).repeat(8, axis=1)
    return [whole[:height, :width] for width, height in sizes]


@pytest.mark.parametrize(
    "sizes", [((96, 90), (96, 92)), ((92, 90), (90, 92)), ((90, 92), (90, 90))]
)
def test_sizes_may_differ_by_as_many_pixels_as_allowed(sizes: tuple[tuple[int, int], ...]) -> None:
    result = percept_cli.compare(*pages(*sizes), resize="none", size_tolerance=2)
    width, height = map(min, zip(*sizes, strict=True))
    assert (result.width, result.height, result.total) == (width, height, 0)
    (left, upper), (right, lower) = sizes
    note = f"sizes differ: reference {left}x{upper}, candidate {right}x{lower}"
    assert result.notes == (f"{note}: what both have was compared",)
    assert result.status == "compared", "some of one was not"
    for align in ("none", "auto"):
        with (
            pytest.raises(PerceptError, match="sizes differ") if align == "none" else nullcontext()
        ):
            percept_cli.compare(
                *pages(*sizes), resize="none", size_tolerance=1, align=align, layers="conv1_1"
            )


@pytest.mark.parametrize("sizes", [((96, 80), (96, 100)), ((96, 100), (96, 80))])
def test_of_aligned_images_the_sizes_are_told_if_they_differ(
    sizes: tuple[tuple[int, int], ...],
) -> None:
    result = percept_cli.compare(*pages(*sizes), resize="none", align="auto", layers="conv1_1")
    (_, upper), (_, lower) = sizes
    assert result.notes == (f"sizes differ: reference 96x{upper}, candidate 96x{lower}",)
    (band,) = result.bands
    assert band.kind == ("inserted" if lower > upper else "removed")
    assert (result.width, result.height) == sizes[1]
    (page,) = pages((96, 100))
    moved = np.concatenate([page[24:64], page[:24], page[64:]])
    result = percept_cli.compare(page, moved, resize="none", align="rows", layers="conv1_1")
    assert result.bands and not result.notes


def test_transparent_images_are_aligned_on_the_first_background() -> None:
    """White on nothing: rows of it are seen on black alone."""
    page = np.full((90, 64, 4), 255, np.uint8)
    page[..., 3] = np.random.default_rng(1).integers(0, 2, (90, 8)).repeat(8, axis=1) * 255
    grown = np.insert(page, [40] * 12, page[:12][::-1], axis=0)
    options: dict[str, Any] = {"resize": "none", "align": "auto", "layers": "conv1_1"}
    on_black = percept_cli.compare(page, grown, background="black,white", **options)
    (band,) = on_black.bands
    assert band.reference == (40, 40) and band.candidate == (40, 52)
    on_white = percept_cli.compare(page, grown, background="white,black", **options)
    assert [b.kind for b in on_white.bands] == ["inserted"] and on_white.bands != on_black.bands


@pytest.mark.parametrize(("shrink", "soft"), [(0, False), (64, True)])
def test_shrunk_images_lose_more_of_the_finest_detail(shrink: int, soft: bool) -> None:
    fine = np.random.default_rng(0).integers(0, 256, (128, 128, 3), np.uint8)
    flat = np.full_like(fine, 128)
    result = percept_cli.compare(fine, flat, resize="64", shrink=shrink, layers="conv1_1")
    resized = from_array(fine, "fine", 10**6).resized((64, 64), soft=soft).pixels
    alone = percept_cli.compare(resized, flat[:64, :64], layers="conv1_1")
    assert result.total == alone.total


def deep(values: Any, path: Path, key: tuple[int, ...] = ()) -> Path:
    """A PNG of 16-bit colour, which Pillow cannot write, with a key that is transparent."""
    pixels = np.asarray(values, ">u2")
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        checked = struct.pack(">I", zlib.crc32(kind + content))
        return struct.pack(">I", len(content)) + kind + content + checked

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    keyed = chunk(b"tRNS", struct.pack(">HHH", *key)) if key else b""
    parts = chunk(b"IHDR", head), keyed, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))
    return path


def test_identical_is_said_of_nothing_that_differs_as_stored(tmp_path: Path) -> None:
    """Not of what masks, a background, fewer bits or a profile's neglect hide."""
    rng = np.random.default_rng(0)
    page = rng.integers(0, 256, (64, 64, 3), np.uint8)
    spoilt = page.copy()
    spoilt[:16, :16] = 255 - spoilt[:16, :16]
    black = np.zeros((64, 64, 4), np.uint8)
    opaque = [
        np.where(np.arange(4) == 3, opacity, black).astype(np.uint8) for opacity in (253, 254)
    ]
    fine = rng.integers(0, 255, (64, 64, 3)) * 256
    stored = [deep(fine + low, tmp_path / f"{low}.png") for low in (3, 7)]
    grey = [tmp_path / f"{name}.png" for name in ("plain", "keyed")]
    for file, key in zip(grey, ({}, {"transparency": 9}), strict=True):
        Image.fromarray(page[..., 0].astype(np.uint16) * 256).save(file, **key)
    cases: list[tuple[Any, Any, dict[str, Any]]] = [
        (page, spoilt, {"ignore": ("0,0,16,16",)}),
        (page, spoilt, {"ignore": ("0,0,16,16",), "align": "rows"}),
        (*opaque, {"background": "gray"}),
        (*stored, {}),
        (*grey, {}),
    ]
    for one, other, options in cases:
        found = percept_cli.compare(one, other, layers="conv1_1", **options)
        assert (found.status, found.total, found.peak) == ("compared", 0, 0), options
        again = percept_cli.compare(one, one if isinstance(one, Path) else one.copy(), **options)
        assert again.status == "identical"


def test_a_colour_that_is_named_twice_is_no_second_background() -> None:
    with pytest.raises(PerceptError, match="background #fff is named twice"):
        percept_cli.compare(LOGO_PAGE, LOGO_PAGE, background="white,#fff")


def test_black_is_in_any_range_of_floating_point(tmp_path: Path) -> None:
    values = np.zeros((64, 64), np.float32)
    Image.fromarray(values).save(tmp_path / "black.tif")
    values[20:30] = 200
    Image.fromarray(values).save(tmp_path / "stripe.tif")
    found = percept_cli.compare(tmp_path / "black.tif", tmp_path / "stripe.tif")
    assert found.total and "candidate grey values scaled from 0..255" in found.notes


@pytest.mark.parametrize("key", [0xFFFF, 0x1234])
def test_what_is_transparent_by_16_bits_is_not_so_by_some_of_them(key: int, tmp_path: Path) -> None:
    values = np.full((64, 64, 3), 0x34FF, ">u2")
    values[:32] = 0xFFFF
    plain, keyed = deep(values, tmp_path / "a.png"), deep(values, tmp_path / "b.png", (key,) * 3)
    found = percept_cli.compare(plain, keyed, layers="conv1_1")
    assert (found.status, found.total) == ("compared", 0)
    assert "candidate transparency of 16-bit colour ignored" in found.notes


def test_an_animation_is_identical_only_if_all_of_its_frames_are(tmp_path: Path) -> None:
    page = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    spoilt = page.copy()
    spoilt[:16, :16] = 0
    for name, second in (("a", page), ("b", spoilt)):
        first, other = Image.fromarray(page), Image.fromarray(second)
        first.save(tmp_path / f"{name}.tif", save_all=True, append_images=[other])
    files = tmp_path / "a.tif", tmp_path / "b.tif"
    found = percept_cli.compare(*files, layers="conv1_1", ignore=[(0, 0, 16, 16)])
    assert (found.status, found.total, found.frame, found.frames) == ("compared", 0, None, ())
    assert "0 of 2 frames differ" in found.notes
    found = percept_cli.compare(*files, layers="conv1_1")
    assert found.status == "compared" and found.frame == 2 and "1 of 2 frames differ" in found.notes


def test_hidden_colours_count_for_nothing_with_a_mask_too() -> None:
    one, other = (np.array(transparent((9, 9, 9), 255, hidden)) for hidden in (0, 200))
    other = np.where(one[..., 3:] > 0, one, other)
    for options in ({}, {"ignore": "0,0,4,4"}):
        assert compared(one, other, **options).status == "identical"

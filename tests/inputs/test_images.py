from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import REFERENCES
from PIL import Image, ImageCms

from percept_cli.errors import PerceptError
from percept_cli.inputs import files, images
from percept_cli.inputs.images import Picture

MAX = 10_000_000


def read(path: Path, background: str = "white", max_pixels: int = MAX) -> Picture:
    content = files.read_bytes(path)
    opened = files.opened(content, path.name, max_pixels)
    return images.decoded(opened, path.name).on(background)


def saved(image: Image.Image, path: Path, **options: Any) -> Picture:
    image.save(path, **options)
    return read(path)


@pytest.fixture
def photograph() -> Image.Image:
    with Image.open(REFERENCES[2]) as image:
        return image.convert("RGB").crop((0, 0, 60, 40))


def test_plain_images_keep_their_pixels(tmp_path: Path, photograph: Image.Image) -> None:
    for name in ("a.png", "a.bmp", "a.tiff", "a.ppm"):
        picture = saved(photograph, tmp_path / name)
        assert np.array_equal(picture.pixels, np.asarray(photograph))
        assert picture.notes == ()
    assert picture.size == (60, 40)
    webp = saved(photograph, tmp_path / "a.webp", lossless=True)
    assert np.array_equal(webp.pixels, np.asarray(photograph))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "La", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK"])
def test_a_grey_is_that_grey_in_every_mode(mode: str) -> None:
    grey = Image.new("LA", (16, 16), (255, 255))
    image = grey.convert({"La": "La", "PA": "PA"}.get(mode, "RGBA"))
    shown = images.decoded(image.convert(mode), "image").on("black")
    assert (shown.pixels == 255).all() and shown.pixels.shape == (16, 16, 3)


def test_large_images_keep_their_pixels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "STRIP_PIXELS", 1 << 16)
    with Image.open(REFERENCES[2]) as image:
        large = image.convert("RGB").resize((531, 317))
    picture = saved(large, tmp_path / "a.png")
    assert np.array_equal(picture.pixels, np.asarray(large))
    large.putalpha(large.convert("L"))
    strips = saved(large, tmp_path / "a.png")
    monkeypatch.undo()
    assert np.array_equal(strips.pixels, read(tmp_path / "a.png").pixels)


def test_exif_orientation_is_applied(tmp_path: Path, photograph: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture = saved(photograph, tmp_path / "a.png", exif=exif)
    assert np.array_equal(picture.pixels, np.rot90(np.asarray(photograph), -1))
    assert picture.notes == ("turned by its EXIF orientation",)


def test_transparency_shows_the_background(tmp_path: Path) -> None:
    image = Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    image.paste((0, 0, 0, 255), (0, 0, 4, 8))
    palette = image.convert("RGB").quantize(2)
    image.save(tmp_path / "rgba.png")
    image.convert("LA").save(tmp_path / "la.png")
    palette.save(tmp_path / "p.png", transparency=palette.getpixel((7, 0)))
    for path in tmp_path.iterdir():
        picture = read(path)
        assert (picture.pixels[:, 4:] == 255).all() and (picture.pixels[:, :4] == 0).all()
        assert (read(path, "#0000ff").pixels[:, 4:] == (0, 0, 255)).all()


def test_half_transparent_arrays_equal_half_transparent_files(tmp_path: Path) -> None:
    rgba = np.random.default_rng(0).integers(0, 256, (9, 9, 4), np.uint8)
    from_file = saved(Image.fromarray(rgba), tmp_path / "a.png").pixels
    from_bytes = images.from_array(rgba, "a", MAX).on("white").pixels
    from_floats = images.from_array(rgba / 255.0, "a", MAX).on("white").pixels
    assert np.array_equal(from_file, from_bytes)
    assert np.abs(from_floats * 255 - from_file).max() <= 1


def test_embedded_profile_is_converted_to_srgb(tmp_path: Path, photograph: Image.Image) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    lab = ImageCms.createProfile("LAB")
    as_lab = ImageCms.profileToProfile(photograph, srgb, lab, outputMode="LAB")
    assert as_lab is not None
    profile = ImageCms.ImageCmsProfile(lab).tobytes()
    picture = saved(as_lab, tmp_path / "a.tiff", icc_profile=profile)
    error = np.abs(picture.pixels.astype(int) - np.asarray(photograph))
    # Half a step of L, a and b in 8 bits moves a channel by half a level, or by one in blue.
    assert np.median(error) <= 2
    assert any("converted to sRGB" in note for note in picture.notes)
    untouched = saved(photograph, tmp_path / "b.png", icc_profile=srgb.tobytes())
    assert np.array_equal(untouched.pixels, np.asarray(photograph)) and not untouched.notes


def test_a_broken_profile_is_ignored_and_noted(tmp_path: Path, photograph: Image.Image) -> None:
    picture = saved(photograph, tmp_path / "a.png", icc_profile=b"nonsense")
    assert np.array_equal(picture.pixels, np.asarray(photograph))
    assert picture.notes[0].startswith("ICC profile ignored")


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 64, dtype=np.uint16).reshape(8, 8)
    for name in ("a.png", "a.tiff"):
        picture = saved(Image.fromarray(values), tmp_path / name)
        assert picture.pixels.dtype == np.float32
        expected = np.repeat(values[..., None], 3, 2) / np.float32(65535)
        assert np.array_equal(picture.pixels, expected)
        assert picture.notes == ("grey values scaled from 0..65535",)


def test_sixteen_bit_colour_is_read_with_a_note(tmp_path: Path) -> None:
    # The smallest 16-bit RGB image there is: a binary PPM with a maximum of 65535.
    values = np.array([[[65535, 32768, 0]] * 8] * 8, dtype=">u2")
    (tmp_path / "a.ppm").write_bytes(b"P6 8 8 65535\n" + values.tobytes())
    picture = read(tmp_path / "a.ppm")
    assert tuple(picture.pixels[0, 0]) == (255, 128, 0)
    assert picture.notes == ("16-bit colour read with 8 bits",)


@pytest.mark.parametrize("top", [1.0, 255.0])
def test_float_images_are_scaled_by_their_range(tmp_path: Path, top: float) -> None:
    values = (np.linspace(0, 1, 64, dtype=np.float32) * np.float32(top)).reshape(8, 8)
    picture = saved(Image.fromarray(values), tmp_path / "a.tiff")
    # The range is divided away here and there: two roundings.
    np.testing.assert_allclose(picture.pixels[..., 0], values / top, 2 * np.finfo(np.float32).eps)


@pytest.mark.parametrize("value", [-1.0, 300.0])
def test_float_images_of_unknown_range_are_refused(tmp_path: Path, value: float) -> None:
    values = np.full((8, 8), value, np.float32)
    with pytest.raises(PerceptError, match=r"a.tiff: values .*save them as"):
        saved(Image.fromarray(values), tmp_path / "a.tiff")


@pytest.mark.parametrize(
    ("odd", "words"),
    [
        ([np.nan], "1 NaN of 64 values: replace them"),
        ([np.inf], "1 infinite of 64 values: replace them"),
        ([-np.inf, np.inf], "2 infinite of 64 values: replace them"),
        ([np.nan, np.inf, np.nan], "2 NaN and 1 infinite of 64 values: replace them"),
        ([np.nan, -5.0], "1 NaN of 64 values: replace them"),
    ],
)
def test_nan_and_infinities_are_called_what_they_are(
    tmp_path: Path, odd: list[float], words: str
) -> None:
    values = np.linspace(0, 1, 64, dtype=np.float32)
    values[5 : 5 + len(odd)] = odd
    with pytest.raises(PerceptError, match=f"a.tiff: {words}"):
        saved(Image.fromarray(values.reshape(8, 8)), tmp_path / "a.tiff")
    for kind in (np.float16, np.float32, np.float64):
        with pytest.raises(PerceptError, match=f"candidate: {words}"):
            images.from_array(values.reshape(8, 8).astype(kind), "candidate", MAX)


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV"])
def test_other_modes_become_rgb(tmp_path: Path, photograph: Image.Image, mode: str) -> None:
    grey = photograph.convert("L").point(lambda value: 255 * (value > 128))
    image = grey.convert("RGB").convert(mode)
    suffix = {"1": "png", "L": "png", "P": "gif", "CMYK": "jpg", "YCbCr": "jpg"}.get(mode, "tiff")
    if mode == "HSV":
        picture = images.decoded(image, "a").on("white")
    else:
        picture = saved(image, tmp_path / f"a.{suffix}")
    assert picture.pixels.shape == (40, 60, 3) and picture.pixels.dtype == np.uint8
    error = np.abs(picture.pixels.astype(int) - np.asarray(grey)[..., None])
    # JPEG rounds what lies at the edges; in the squares without one it keeps the level.
    assert (np.median(error) if suffix == "jpg" else error.max()) == 0


def test_resizing_is_antialiased() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    for pixels in (stripes, stripes / np.float32(255)):
        smaller = Picture(pixels).resized((16, 16))
        middle = images.unit_range(smaller.pixels)[4:12, 4:12]
        # Half a level for bytes, and a rounding to float32.
        room = 0.5 / 255 if pixels.dtype == np.uint8 else 0
        assert np.abs(middle - 0.5).max() <= room + np.finfo(np.float32).eps


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), "is no image"),
        (np.zeros(4, np.uint8), "is no image"),
        (np.zeros((0, 4, 3), np.uint8), "has no pixels"),
        (np.zeros((4, 4), np.int32), "dtype int32"),
        (np.full((4, 4), 1.5), "outside 0..1"),
        (np.zeros((4000, 4000), np.uint8), "16000000 pixels, over --max-pixels"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array: Any, message: str) -> None:
    with pytest.raises(PerceptError, match=f"candidate: .*{message}"):
        images.from_array(array, "candidate", MAX).on("white")


def test_every_kind_of_damage_is_one_error(photograph: Image.Image) -> None:
    rng = np.random.default_rng(0)
    for suffix in ("png", "jpg", "gif", "tiff", "bmp", "webp"):
        buffer = io.BytesIO()
        photograph.save(buffer, "jpeg" if suffix == "jpg" else suffix)
        whole = buffer.getvalue()
        outcomes = set()
        for trial in range(40):
            content = bytearray(whole)
            if trial < 20:
                content = content[: int(rng.integers(1, len(whole) * 0.8))]
            for place in rng.integers(0, min(60, len(content)), 8):
                content[place] = int(rng.integers(0, 256))
            try:
                image = files.opened(bytes(content), "bad", MAX)
                images.decoded(image, "bad")
                outcomes.add("read")
            except PerceptError as error:
                assert str(error).startswith("bad: ") and "\n" not in str(error)
                outcomes.add("refused")
        assert "refused" in outcomes, suffix


def test_unknown_background_is_refused() -> None:
    with pytest.raises(PerceptError, match="unknown background 'purplish'"):
        files.background_colour("purplish")


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    makers: dict[str, Callable[[Path], object]] = {
        "no such file": str,
        "broken symbolic link": lambda path: path.symlink_to(tmp_path / "nothing"),
        "a folder where an image": lambda path: path.mkdir(),
        "the file is empty": lambda path: path.touch(),
    }
    for number, (message, make) in enumerate(makers.items()):
        path = tmp_path / f"{number}.png"
        make(path)
        with pytest.raises(PerceptError, match=f"{number}.png: {message}"):
            files.read_bytes(path)


def test_equal_files_are_measured_as_they_are_shown(
    tmp_path: Path, photograph: Image.Image
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    photograph.save(tmp_path / "a.jpg", exif=exif)
    content = (tmp_path / "a.jpg").read_bytes()
    assert files.size_of(content, "a", MAX) == read(tmp_path / "a.jpg").size == (40, 60)


def test_damage_in_equal_files_is_noticed(tmp_path: Path, photograph: Image.Image) -> None:
    photograph.save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    with pytest.raises(PerceptError, match="a: damaged image"):
        files.size_of(content[: len(content) // 2], "a", MAX)


def test_an_odd_row_length_is_not_taken_for_sixteen_bits(tmp_path: Path) -> None:
    assert saved(Image.new("RGB", (56, 8)), tmp_path / "a.bmp").notes == ()

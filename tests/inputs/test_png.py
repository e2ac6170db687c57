"""PNG files by imagecodecs have the pixels of Pillow, and what it does not read goes to Pillow."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from PIL import Image, ImageCms, PngImagePlugin

from percept_cli.errors import PerceptError
from percept_cli.inputs import files, png
from percept_cli.inputs.images import Picture, decoded
from percept_cli.inputs.png import plain_pixels

ORIENTATION = 0x0112


def picture(mode: str, *, opaque: bool = False) -> Image.Image:
    """A picture with all levels, smooth above and noisy below: so every filter of PNG is used."""
    channels = len(mode)
    smooth = np.add.outer(np.arange(40), np.arange(67))[..., None] * np.arange(1, channels + 1)
    noisy = np.random.default_rng(0).integers(0, 256, (41, 67, channels))
    pixels = np.concatenate([smooth % 256, noisy]).astype(np.uint8)
    if opaque:
        pixels[..., -1] = 255
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels, mode)


def encoded(image: Image.Image, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def with_chunk(content: bytes, kind: bytes, data: bytes, before: bytes) -> bytes:
    """The file with one more chunk before the first of another kind."""
    place = content.index(before) - 4
    return content[:place] + chunk(kind, data) + content[place:]


SRGB_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def turned() -> bytes:
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    return exif.tobytes().removeprefix(b"Exif\0\0")


def said(key: str, value: str) -> PngImagePlugin.PngInfo:
    info = PngImagePlugin.PngInfo()
    info.add_text(key, value)
    return info


def parts(content: bytes) -> Iterator[bytes]:
    """The pixels of a file once more, in small chunks of which one is empty."""
    place = content.index(b"IDAT")
    (length,) = struct.unpack(">I", content[place - 4 : place])
    data = content[place + 4 : place + 4 + length]
    yield chunk(b"IDAT", b"")
    yield from (chunk(b"IDAT", data[at : at + 1000]) for at in range(0, length, 1000))


RGB = encoded(picture("RGB"))
PLAIN = {
    **{f"RGB, level {n}": encoded(picture("RGB"), compress_level=n) for n in (0, 1, 6, 9)},
    "RGBA": encoded(picture("RGBA")),
    "opaque RGBA": encoded(picture("RGBA", opaque=True)),
    "sRGB": with_chunk(RGB, b"sRGB", b"\0", b"IDAT"),
    "with words before": encoded(picture("RGB"), pnginfo=said("Software", "a test")),
    "in many parts": RGB[:33] + b"".join(parts(RGB)) + RGB[-12:],
}
LEFT = {
    "grey": encoded(picture("L")),
    "palette": encoded(picture("RGB").quantize(16)),
    "one transparent colour": encoded(picture("RGB"), transparency=(0, 0, 0)),
    "grey of 16 bits": encoded(Image.fromarray(np.arange(4096, dtype=np.uint16).reshape(64, 64))),
    "colours of 16 bits": (
        RGB[:8]
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 2, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(bytes(range(13))))
        + RGB[-12:]
    ),
    "a profile": encoded(picture("RGB"), icc_profile=SRGB_PROFILE),
    "words of Pillow's": encoded(picture("RGB"), pnginfo=said("bbox", "1")),
    "one part of an animation": with_chunk(
        RGB, b"fcTL", struct.pack(">IIIIIHHBB", 0, 67, 40, 0, 0, 1, 10, 0, 0), b"IDAT"
    ),
    "turned before": with_chunk(RGB, b"eXIf", turned(), b"IDAT"),
    "turned behind": with_chunk(RGB, b"eXIf", turned(), b"IEND"),
    "words behind": with_chunk(RGB, b"tEXt", b"Comment\0behind", b"IEND"),
    "animated": encoded(picture("RGB"), save_all=True, append_images=[picture("RGB").rotate(90)]),
}


def looks(content: bytes) -> Picture | str:
    try:
        return decoded(files.opened(content, "a.png", 10**6), "a.png")
    except PerceptError as error:
        return str(error)


def equal(one: Picture | str, other: Picture | str) -> bool:
    if isinstance(one, str) or isinstance(other, str):
        return one == other
    same = one.pixels.dtype == other.pixels.dtype and np.array_equal(one.pixels, other.pixels)
    alphas = one.alpha is other.alpha is None or (
        one.alpha is not None and other.alpha is not None and np.array_equal(one.alpha, other.alpha)
    )
    return same and alphas and one.notes == other.notes


@pytest.fixture()
def pillow(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], Picture | str]:
    """What Pillow alone makes of a file."""

    def alone(content: bytes) -> Picture | str:
        with monkeypatch.context() as patch:
            patch.setattr(png, "_decoder", lambda: None)
            assert plain_pixels(files.opened(content, "a.png", 10**6)) is None
            return looks(content)

    return alone


@pytest.mark.parametrize("kind", PLAIN)
def test_plain_files_have_pillows_pixels(
    kind: str, pillow: Callable[[bytes], Picture | str]
) -> None:
    content = PLAIN[kind]
    assert plain_pixels(files.opened(content, "a.png", 10**6)) is not None
    assert equal(looks(content), pillow(content))


@pytest.mark.parametrize("kind", LEFT)
def test_others_are_left_to_pillow(kind: str, pillow: Callable[[bytes], Picture | str]) -> None:
    content = LEFT[kind]
    assert plain_pixels(files.opened(content, "a.png", 10**6)) is None
    assert equal(looks(content), pillow(content))


def test_colours_that_are_not_those_of_srgb_are_converted_as_ever(
    pillow: Callable[[bytes], Picture | str],
) -> None:
    gamma = with_chunk(RGB, b"gAMA", struct.pack(">I", 100000), b"IDAT")
    found = looks(gamma)
    assert isinstance(found, Picture) and found.notes and equal(found, pillow(gamma))


def test_damaged_files_are_what_pillow_makes_of_them(
    pillow: Callable[[bytes], Picture | str],
) -> None:
    wrong = bytearray(RGB)
    wrong[len(wrong) // 2] ^= 1
    # Sound from outside, with fewer rows than its header says.
    end = RGB.index(b"IDAT") - 4
    rows = zlib.compress(bytes(10 * (1 + 3 * 67)))
    short = RGB[:end] + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    for content in (RGB[: len(RGB) // 2], bytes(wrong), short):
        assert plain_pixels(files.opened(content, "a.png", 10**6)) is None
        assert equal(looks(content), pillow(content))
    assert isinstance(looks(bytes(wrong)), str)

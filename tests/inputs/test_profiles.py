"""Colours against the formulas that the standards print, in float64."""

from __future__ import annotations

import io
import struct
import zlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageCms

from percept_cli.inputs import files, images
from percept_cli.inputs.images import Picture

D65 = (0.3127, 0.3290)
SRGB = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
P3 = (*D65, 0.68, 0.32, 0.265, 0.69, 0.15, 0.06)
ADOBE = (*D65, 0.64, 0.33, 0.21, 0.71, 0.15, 0.06)
BT2020 = (*D65, 0.708, 0.292, 0.17, 0.797, 0.131, 0.046)
WARM = (0.3457, 0.3585, 0.7347, 0.2653, 0.1596, 0.8404, 0.0366, 0.0001)

TRANSFERS = {1: "709", 4: 2.2, 5: 2.8, 6: "709", 8: 1.0, 13: "srgb", 14: "709", 15: "709"}
CICP_PRIMARIES = {1: SRGB, 9: BT2020, 12: P3}

LEVELS = 2
"""A half each for the rounding of the file, of the profile's matrix and of the result, and the
curves' tables."""


@pytest.fixture
def colours() -> NDArray[np.uint8]:
    """Greys, primaries and colours at random, 20×30."""
    greys = np.repeat(np.arange(0, 256, 2.55).astype(np.uint8)[:100, None], 3, axis=1)
    corners = np.array([*product((0, 255), repeat=3)], np.uint8)
    rest = np.random.default_rng(0).integers(0, 256, (600 - len(greys) - len(corners), 3), np.uint8)
    return np.concatenate([greys, corners, rest]).reshape(20, 30, 3)


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def gama(gamma: float) -> bytes:
    return chunk(b"gAMA", struct.pack(">I", round(gamma * 1e5)))


def chrm(primaries: tuple[float, ...]) -> bytes:
    return chunk(b"cHRM", struct.pack(">8I", *(round(value * 1e5) for value in primaries)))


def iccp(profile: bytes) -> bytes:
    return chunk(b"iCCP", b"a profile\0\0" + zlib.compress(profile))


def png(pixels: NDArray[np.uint8] | Image.Image, *chunks: bytes) -> bytes:
    """A PNG file with chunks of ours before its pixels."""
    stream = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(stream, "PNG")
    content = stream.getvalue()
    after_header = 8 + 25
    return content[:after_header] + b"".join(chunks) + content[after_header:]


def shown(content: bytes) -> Picture:
    return images.decoded(files.opened(content, "a", 10**6), "a")


def to_light(values: NDArray[np.float64], transfer: float | str) -> NDArray[np.float64]:
    if transfer == "srgb":
        return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    if transfer == "709":
        return np.where(values < 0.081, values / 4.5, ((values + 0.099) / 1.099) ** (1 / 0.45))
    return values ** float(transfer)


def xyz(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """Light of red, green and blue → X, Y, Z; as Lindbloom writes it."""
    pairs = zip(primaries[::2], primaries[1::2], strict=True)
    white, *rgb = [np.array([x / y, 1, (1 - x - y) / y]) for x, y in pairs]
    columns = np.stack(rgb, axis=1)
    return columns * (np.linalg.inv(columns) @ white)


def by_formula(
    pixels: NDArray[np.uint8], transfer: float | str, primaries: tuple[float, ...]
) -> NDArray[np.float64]:
    """0..255 in sRGB: to light, by Bradford to sRGB's white, by the matrix, to sRGB's curve."""
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    cones = [bradford @ xyz(which).sum(axis=1) for which in (primaries, SRGB)]
    adapt = np.linalg.inv(bradford) @ np.diag(cones[1] / cones[0]) @ bradford
    matrix = np.linalg.inv(xyz(SRGB)) @ adapt @ xyz(primaries)
    light = (to_light(pixels / 255, transfer) @ matrix.T).clip(0, 1)
    return 255 * np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("gamma", [0.35, 0.45455, 0.55556, 0.7, 1.0, 1.4])
@pytest.mark.parametrize("primaries", [None, SRGB, P3, ADOBE, BT2020, WARM])
def test_gama_and_chrm_are_converted_as_the_formula_says(
    colours: NDArray[np.uint8], gamma: float, primaries: tuple[float, ...] | None
) -> None:
    chunks = [gama(gamma), *([chrm(primaries)] if primaries else [])]
    picture = shown(png(colours, *chunks))
    if gamma == 0.45455 and primaries in (None, SRGB):
        assert np.array_equal(picture.pixels, colours) and picture.notes == ()
        return
    expected = by_formula(colours, 1 / gamma, primaries or SRGB)
    assert np.abs(picture.pixels - expected).max() <= LEVELS
    name = "gAMA and cHRM" if primaries else "gAMA"
    assert picture.notes == (f"{name} converted to sRGB",)


@pytest.mark.parametrize("primaries", [SRGB, P3, ADOBE])
def test_chrm_without_gama_has_the_curve_of_srgb(
    colours: NDArray[np.uint8], primaries: tuple[float, ...]
) -> None:
    picture = shown(png(colours, chrm(primaries)))
    assert np.abs(picture.pixels - by_formula(colours, "srgb", primaries)).max() <= LEVELS
    assert picture.notes == (() if primaries == SRGB else ("cHRM converted to sRGB",))


@pytest.mark.parametrize(("code", "primaries"), CICP_PRIMARIES.items())
@pytest.mark.parametrize(("transfer", "curve"), TRANSFERS.items())
def test_cicp_is_converted_as_the_formula_says(
    colours: NDArray[np.uint8],
    code: int,
    primaries: tuple[float, ...],
    transfer: int,
    curve: float | str,
) -> None:
    picture = shown(png(colours, chunk(b"cICP", bytes((code, transfer, 0, 1)))))
    assert np.abs(picture.pixels - by_formula(colours, curve, primaries)).max() <= LEVELS
    is_srgb = (code, transfer) == (1, 13)
    assert picture.notes == (() if is_srgb else ("cICP converted to sRGB",))


@pytest.mark.parametrize(
    ("cicp", "why"),
    [
        ((9, 16, 0, 1), "PQ"),
        ((9, 18, 0, 1), "HLG"),
        ((2, 2, 0, 1), "primaries 2, transfer 2"),
        ((1, 13, 0, 0), "not RGB of full range"),
        ((1, 13, 1, 1), "not RGB of full range"),
        ((1, 13, 0), "not of four bytes"),
    ],
)
def test_what_cicp_says_in_vain_is_noted_and_the_next_chunk_holds(
    colours: NDArray[np.uint8], cicp: tuple[int, ...], why: str
) -> None:
    vain = chunk(b"cICP", bytes(cicp))
    alone, with_gama = shown(png(colours, vain)), shown(png(colours, vain, gama(1.0)))
    assert np.array_equal(alone.pixels, colours) and alone.notes == (f"cICP ignored ({why})",)
    assert np.abs(with_gama.pixels - by_formula(colours, 1.0, SRGB)).max() <= LEVELS
    assert with_gama.notes == (*alone.notes, "gAMA converted to sRGB")


def linear_named_srgb() -> bytes:
    """littleCMS's own sRGB, with a gamma of 1 in place of its curve: the name stays."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    places = [at for at in range(len(profile)) if profile[at : at + 4] == b"para"]
    assert places and "sRGB".encode("utf-16-be") in profile
    for at in places:
        profile[at + 8 : at + 10] = b"\0\0"
        profile[at + 12 : at + 16] = struct.pack(">i", 1 << 16)
    return bytes(profile)


def srgb_named_otherwise() -> bytes:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return profile.replace("sRGB".encode("utf-16-be"), "Best".encode("utf-16-be"))


def test_every_order_of_precedence_holds(colours: NDArray[np.uint8]) -> None:
    """cICP before iCCP before sRGB before gAMA and cHRM, in every set of the four."""
    ranked = [
        (chunk(b"cICP", bytes((12, 13, 0, 1))), by_formula(colours, "srgb", P3)),
        (iccp(linear_named_srgb()), by_formula(colours, 1.0, SRGB)),
        (chunk(b"sRGB", b"\0"), colours.astype(float)),
        (gama(0.55556) + chrm(ADOBE), by_formula(colours, 1.8, ADOBE)),
    ]
    for kept in product((False, True), repeat=4):
        there = [one for one, keep in zip(ranked, kept, strict=True) if keep]
        expected = there[0][1] if there else colours
        picture = shown(png(colours, *(content for content, _ in reversed(there))))
        assert np.abs(picture.pixels - expected).max() <= LEVELS, kept


def test_a_profile_is_judged_by_its_curves_not_by_its_name(colours: NDArray[np.uint8]) -> None:
    for suffix in ("PNG", "TIFF", "WEBP"):
        for profile, transfer in ((linear_named_srgb(), 1.0), (srgb_named_otherwise(), "srgb")):
            stream = io.BytesIO()
            options = {"lossless": True} if suffix == "WEBP" else {}
            Image.fromarray(colours).save(stream, suffix, icc_profile=profile, **options)
            picture = shown(stream.getvalue())
            expected = by_formula(colours, transfer, SRGB)
            assert np.abs(picture.pixels - expected).max() <= LEVELS
            if transfer == "srgb":
                assert np.array_equal(picture.pixels, colours) and picture.notes == ()
            else:
                assert picture.notes == ("ICC profile sRGB built-in converted to sRGB",)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA"])
def test_colours_are_converted_in_every_mode(colours: NDArray[np.uint8], mode: str) -> None:
    image = Image.fromarray(colours).convert(mode)
    if mode in ("RGBA", "LA"):
        image.putalpha(255)
    picture = shown(png(image, gama(1.0)))
    expected = by_formula(np.asarray(image.convert("RGB")), 1.0, SRGB)
    assert np.abs(picture.pixels - expected).max() <= LEVELS


def test_what_deep_grey_cannot_honour_is_noted(tmp_path: Path) -> None:
    deep = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)
    assert "gAMA of deep grey ignored" in shown(png(deep, gama(1.0))).notes
    assert shown(png(deep, gama(0.45455))).notes == ("grey values scaled from 0..65535",)
    deep.save(tmp_path / "a.tiff", icc_profile=linear_named_srgb())
    assert "ICC profile of deep grey ignored" in shown((tmp_path / "a.tiff").read_bytes()).notes


@pytest.mark.parametrize(
    "chunks",
    [
        gama(0.0),
        gama(0.00001),
        gama(42949.0),
        chrm((0.3, 0, *SRGB[2:])),
        chrm((*D65, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5)),
        chrm((42949.0,) * 8),
        iccp(b"nonsense"),
        iccp(linear_named_srgb()[:200]),
    ],
)
def test_impossible_colours_are_ignored_and_noted(
    colours: NDArray[np.uint8], chunks: bytes
) -> None:
    picture = shown(png(colours, chunks))
    assert np.array_equal(picture.pixels, colours)
    (note,) = picture.notes
    assert " ignored (" in note and "\n" not in note

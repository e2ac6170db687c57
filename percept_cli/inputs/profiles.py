"""The colours of any profile, or of PNG's own chunks, as colours of sRGB."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from percept_cli.inputs.files import reason_of

if TYPE_CHECKING:
    from PIL import ImageCms

D65, C, DCI = (0.3127, 0.3290), (0.310, 0.316), (0.314, 0.351)

SRGB = (*D65, 0.64, 0.33, 0.30, 0.60, 0.15, 0.06)
"""x and y of white, red, green and blue."""

PRIMARIES = {
    1: SRGB,
    4: (*C, 0.67, 0.33, 0.21, 0.71, 0.14, 0.08),
    5: (*D65, 0.64, 0.33, 0.29, 0.60, 0.15, 0.06),
    6: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    7: (*D65, 0.630, 0.340, 0.310, 0.595, 0.155, 0.070),
    8: (*C, 0.681, 0.319, 0.243, 0.692, 0.145, 0.049),
    9: (*D65, 0.708, 0.292, 0.170, 0.797, 0.131, 0.046),
    11: (*DCI, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    12: (*D65, 0.680, 0.320, 0.265, 0.690, 0.150, 0.060),
    22: (*D65, 0.630, 0.340, 0.295, 0.605, 0.155, 0.077),
}
"""By the numbers of ITU-T H.273, as cICP has them."""

Curve = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""Stored values in 0..1 → light in 0..1."""


def _srgb(v: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def _camera(v: NDArray[np.float64]) -> NDArray[np.float64]:
    """BT.709's and BT.2020's."""
    return np.where(v < 0.081, v / 4.5, ((v + 0.099) / 1.099) ** (1 / 0.45))


def _power(exponent: float) -> Curve:
    return lambda v: v**exponent


CURVES: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 11, 14, 15), _camera),
    4: _power(2.2),
    5: _power(2.8),
    8: _power(1),
    13: _srgb,
}
"""By the numbers of ITU-T H.273."""

HDR = {16: "PQ", 18: "HLG"}

TO_CONES = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
"""Bradford's matrix, which ICC profiles adapt whites by."""

D50 = np.array([0.9642, 1.0, 0.8249])
"""White of ICC profiles, as X, Y, Z."""

READ_AS = {("RGB", mode): "RGB" for mode in ("1", "L", "RGBX", "YCbCr")} | {("GRAY", "1"): "L"}
"""Modes that a profile of that kind of colour fits after a conversion."""

STEPS = range(0, 256, 15)


@dataclass(frozen=True)
class Profile:
    """What a file says of its colours."""

    content: bytes
    """An ICC profile."""
    name: str = "ICC profile"
    """Where in the file it stands, for the notes."""


def profile_of(image: Image.Image) -> tuple[Profile | None, list[str]]:
    """What an opened image says of its colours, and notes on what it says in vain; None for sRGB.

    In PNG files cICP goes before an ICC profile, that before sRGB, and that before gAMA and cHRM.
    """
    notes: list[str] = []
    try:
        if cicp := _cicp(image):
            return Profile(_of_cicp(cicp), "cICP"), notes
    except ValueError as error:
        notes.append(f"cICP ignored ({error})")
    if content := image.info.get("icc_profile"):
        return Profile(content), notes
    gamma, primaries = image.info.get("gamma"), image.info.get("chromaticity")
    there = (("gAMA", gamma), ("cHRM", primaries))
    name = " and ".join(chunk for chunk, value in there if value is not None)
    if "srgb" in image.info or not name:
        return None, notes
    try:
        return Profile(_of_gamma(gamma, primaries or SRGB), name), notes
    except ValueError as error:
        return None, [*notes, f"{name} ignored ({error})"]


def in_srgb(image: Image.Image, profile: Profile) -> tuple[Image.Image, list[str]]:
    """The image with its colours in sRGB, and notes; itself if they are or cannot be had."""
    from PIL import ImageCms

    try:
        space, described = _kind(profile.content)
        mode = READ_AS.get((space, image.mode), image.mode)
        transform = _transform(profile.content, mode)
        if transform is None:
            return image, []
        converted = transform.apply(image if image.mode == mode else image.convert(mode))
    except (ImageCms.PyCMSError, OSError, ValueError) as error:
        return image, [f"{profile.name} ignored ({reason_of(error)})"]
    return converted, [f"{f'{profile.name} {described}'.strip()} converted to sRGB"]


def is_srgb(profile: Profile) -> bool:
    """Whether a profile's colours are those of sRGB."""
    from PIL import ImageCms

    try:
        mode = {"RGB": "RGB", "GRAY": "L"}.get(_kind(profile.content)[0])
        return mode is not None and _transform(profile.content, mode) is None
    except (ImageCms.PyCMSError, OSError, ValueError):
        return False


@lru_cache(maxsize=64)
def _kind(content: bytes) -> tuple[str, str]:
    """The kind of colour that a profile is for, and its description."""
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(io.BytesIO(content)).profile
    return profile.xcolor_space.strip(), (profile.profile_description or "").strip()


@lru_cache(maxsize=64)
def _transform(content: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From that profile's colours to sRGB; None if it moves none by more than rounding does.

    What a profile calls itself says nothing: linear ones are named after sRGB as well.
    """
    from PIL import ImageCms

    embedded = ImageCms.ImageCmsProfile(io.BytesIO(content))
    transform = ImageCms.buildTransform(embedded, ImageCms.createProfile("sRGB"), mode, "RGB")
    if mode in ("L", "RGB"):
        greys = [(level,) * 3 for level in range(256)]
        grid = np.array([*greys, *product(STEPS, repeat=3)], np.uint8)
        sample = Image.fromarray(grid[None] if mode == "RGB" else grid[None, :256, 0])
        moved = np.asarray(transform.apply(sample)).astype(int) - np.asarray(sample.convert("RGB"))
        if np.abs(moved).max() <= 1:
            return None
    return transform


def _cicp(image: Image.Image) -> bytes | None:
    """The content of a PNG file's cICP chunk, of which Pillow does not tell."""
    file = getattr(image, "fp", None)
    if image.format != "PNG" or file is None:
        return None
    place = file.tell()
    try:
        file.seek(8)
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind in (b"cICP", b"IDAT"):
                return file.read(length) if kind == b"cICP" else None
            file.seek(length + 4, io.SEEK_CUR)
        return None
    finally:
        file.seek(place)


@lru_cache(maxsize=64)
def _of_cicp(chunk: bytes) -> bytes:
    """An ICC profile of what the chunk says; ValueError says why there is none."""
    if len(chunk) != 4:
        raise ValueError("not of four bytes")
    primaries, curve, matrix, full = chunk
    if curve in HDR:
        raise ValueError(HDR[curve])
    if primaries not in PRIMARIES or curve not in CURVES:
        raise ValueError(f"primaries {primaries}, transfer {curve}")
    if matrix or full != 1:
        raise ValueError("not RGB of full range")
    return _icc(PRIMARIES[primaries], CURVES[curve])


@lru_cache(maxsize=64)
def _of_gamma(gamma: float | None, primaries: tuple[float, ...]) -> bytes:
    """An ICC profile of what gAMA and cHRM say; ValueError says why there is none.

    A gamma of 1/2.2 stands for the curve of sRGB where the primaries are those of sRGB.
    """
    if gamma is not None and not 0.1 <= gamma <= 10:
        raise ValueError(f"a gamma of {gamma:g}")
    near = len(primaries) == 8 and np.abs(np.subtract(primaries, SRGB)).max() < 0.002
    means_srgb = gamma is None or (near and abs(gamma - 1 / 2.2) < 0.0005)
    return _icc(primaries, _srgb if gamma is None or means_srgb else _power(1 / gamma))


def _icc(primaries: tuple[float, ...], curve: Curve) -> bytes:
    """A display profile of version 2; ValueError for primaries that span no colours."""
    light = np.round(curve(np.arange(256) / 255) * 65535).astype(">u2").tobytes()
    trc = b"curv" + struct.pack(">II", 0, 256) + light
    white = struct.pack(">4s4x3i", b"XYZ ", *_fixed(D50))
    try:
        colorants = [
            struct.pack(">4s4x3i", b"XYZ ", *_fixed(column)) for column in _adapted(primaries).T
        ]
    except (ZeroDivisionError, np.linalg.LinAlgError, struct.error, OverflowError) as error:
        raise ValueError("impossible primaries") from error
    blocks = dict(zip((b"wtpt", b"rXYZ", b"gXYZ", b"bXYZ"), (white, *colorants), strict=True))
    place = 128 + 4 + 12 * (len(blocks) + 3)
    index, data = [], b""
    for tag, block in blocks.items():
        index.append((tag, place + len(data), len(block)))
        data += block
    index += [(tag, place + len(data), len(trc)) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    data += trc
    table = struct.pack(">I", len(index)) + b"".join(
        struct.pack(">4sII", *entry) for entry in index
    )
    head = struct.pack(
        ">I4xI4s4s4s12x4s28x3i48x", place + len(data), 0x02400000, b"mntr", b"RGB ", b"XYZ ",
        b"acsp", *_fixed(D50),
    )  # fmt: skip
    return head + table + data


def _adapted(primaries: tuple[float, ...]) -> NDArray[np.float64]:
    """3×3, light of red, green and blue → X, Y, Z under the white of ICC profiles."""
    white, *colours = (
        (x / y, 1.0, (1 - x - y) / y) for x, y in np.reshape(primaries, (4, 2)).tolist()
    )
    columns = np.array(colours).T
    matrix = columns * np.linalg.solve(columns, np.array(white))
    cones = TO_CONES @ np.array(white)
    if cones.min() <= 0:
        raise ZeroDivisionError
    adapt = np.linalg.solve(TO_CONES, np.diag(TO_CONES @ D50 / cones)) @ TO_CONES
    return np.asarray(adapt @ matrix, np.float64)


def _fixed(values: NDArray[np.float64]) -> list[int]:
    """As numbers of 16 bits before the point and 16 behind it."""
    return [round(value * 65536) for value in values.tolist()]

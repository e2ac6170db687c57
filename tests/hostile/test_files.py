"""Files that lie: containers, bombs, other programs' formats, damage of every kind.

What opens is an image; everything else is one PerceptError, soon and in little memory.
"""

from __future__ import annotations

import io
import os
import struct
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES, Run
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.inputs import files
from percept_cli.inputs.files import read_bytes, size_of
from percept_cli.inputs.images import decoded
from percept_cli.inputs.kinds import ALLOWED, holds_image, readable

MAX_PIXELS = 2_000_000
SMALL = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8))
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "ICO", "ICNS", "TGA", "PPM", "PCX", "SGI")
FORMATS += ("DDS", "JPEG2000", "AVIF", "MPO", "QOI")


QUICK = settings(deadline=None, derandomize=True, database=None)


def encoded(kind: str, image: Image.Image = SMALL) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind)
    return stream.getvalue()


def outcome(content: bytes) -> str:
    """Whether it is an image or is refused; anything else is a failure of the test."""
    try:
        size_of(content, "x", MAX_PIXELS, decode=True)
        decoded(files.opened(content, "x", MAX_PIXELS), "x")
    except PerceptError as error:
        assert str(error).startswith("x: ") and "\n" not in str(error)
        return "refused"
    return "image"


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_is_an_image_whole_and_none_in_part(kind: str) -> None:
    content = encoded(kind)
    assert outcome(content) == "image"
    found = [outcome(content[: len(content) * part // 20]) for part in range(20)]
    assert found[:2] == ["refused"] * 2
    if kind not in ("QOI", "TGA", "PCX", "SGI", "DDS", "ICNS"):  # These do not tell their end.
        assert set(found[:19]) == {"refused"}


@pytest.mark.parametrize("kind", FORMATS)
@settings(QUICK, max_examples=40)
@given(data=st.data())
def test_flipped_bits_are_an_image_or_refused(kind: str, data: st.DataObject) -> None:
    content = bytearray(encoded(kind))
    places = data.draw(st.lists(st.integers(0, 8 * len(content) - 1), min_size=1, max_size=8))
    for place in places:
        content[place // 8] ^= 1 << place % 8
    outcome(bytes(content))


STARTS = [b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"RIFF", b"II*\0"]


@settings(QUICK, max_examples=200)
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_any_bytes_are_an_image_or_refused(start: bytes, rest: bytes) -> None:
    outcome(start + rest)


def bombs() -> Iterator[tuple[str, bytes]]:
    large = encoded("PNG", Image.new("L", (3000, 2000)))
    entry = struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 8, len(large), 22)
    yield "ICO", struct.pack("<HHH", 0, 1, 1) + entry + large
    yield (
        "ICNS",
        b"icns"
        + struct.pack(">I", len(large) + 16)
        + b"ic10"
        + struct.pack(">I", len(large) + 8)
        + large,
    )
    yield "BMP", encoded("BMP")[:18] + struct.pack("<ii", 60000, 60000) + encoded("BMP")[26:]
    yield "PNG", large
    yield "GIF", encoded("GIF")[:6] + struct.pack("<HH", 65535, 65535) + encoded("GIF")[10:]


@pytest.mark.parametrize(("kind", "content"), list(bombs()), ids=lambda value: str(value)[:4])
def test_the_limit_of_pixels_holds_inside_containers(
    kind: str, content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", MAX_PIXELS)  # As the command sets it.
    assert outcome(content) == "refused", kind


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n%%EndComments\nshowpage\n"


@pytest.mark.parametrize("name", ["a.png", "a.eps", "a.jpg", "a"])
def test_no_other_program_is_started(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    assert outcome(POSTSCRIPT) == "refused"
    (tmp_path / name).write_bytes(POSTSCRIPT)
    assert not holds_image(tmp_path / name)
    assert not (tmp_path / "started").exists()


def test_only_allowed_formats_are_opened() -> None:
    blp = b"BLP2" + struct.pack("<i4B2I", 1, 1, 0, 0, 0, 9, 9) + bytes(2000)
    fits = b"SIMPLE  =                    T".ljust(80) + b"END".ljust(80)
    for content in (blp, fits.ljust(2880), POSTSCRIPT, b"\xd7\xcd\xc6\x9a" + bytes(100)):
        assert outcome(content) == "refused"
    assert not readable("a.blp") and not readable("a.eps") and not readable("a.fits")
    assert readable("a.png") and readable("a.tga") and "EPS" not in ALLOWED


def test_a_file_with_too_many_scans_is_refused_before_it_is_decoded() -> None:
    stream = io.BytesIO()
    SMALL.save(stream, "JPEG", progressive=True)
    content = stream.getvalue()
    place = content.index(b"\xff\xda")
    scan = content[place : content.index(b"\xff\xda", place + 2)]
    many = content[:place] + scan * 2000 + content[place:]
    start = time.monotonic()
    with pytest.raises(PerceptError, match="over 100 scans"):
        size_of(many, "x", MAX_PIXELS, decode=True)
    assert time.monotonic() - start < 5


def test_a_file_of_many_bytes_is_not_read(percept: Run, tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(6 << 30)  # Holes: it takes no room.
    with pytest.raises(PerceptError, match=r"large.png: 6442450944 bytes, over --max-bytes"):
        read_bytes(tmp_path / "large.png")
    done = percept("compare", SAMPLES / "references/coffee.png", "large.png")
    assert done.returncode == 3 and "over --max-bytes" in done.stderr
    done = percept("compare", *[SAMPLES / "references/coffee.png"] * 2, "--max-bytes=1000")
    assert done.returncode == 3 and "over --max-bytes 1000" in done.stderr


def test_what_is_no_image_is_known_by_its_header(tmp_path: Path) -> None:
    with (tmp_path / "large.png").open("wb") as file:
        file.truncate(900 << 20)
    tracemalloc.start()
    try:
        with pytest.raises(PerceptError, match=r"large.png: not an image"):
            read_bytes(tmp_path / "large.png")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path)])
def test_special_files_are_not_read(make: object, percept: Run, tmp_path: Path) -> None:
    make(tmp_path / "x.png")  # type: ignore[operator]
    done = percept("compare", SAMPLES / "references/coffee.png", "x.png")
    assert done.returncode == 3 and "not a regular file" in done.stderr

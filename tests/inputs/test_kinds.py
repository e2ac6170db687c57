"""Which files of a folder are images, whatever they are called."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REFERENCES
from PIL import Image
from test_intact import encoded

from percept_cli.errors import PerceptError
from percept_cli.inputs.files import opened, size_of
from percept_cli.inputs.kinds import BRANDS, HEIF, JXL, holds_image, readable
from percept_cli.inputs.pairs import pairs_of

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # Of formats' end.

BOXES = b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(20)


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a.txt", "text")
    return stream.getvalue()


NO_IMAGES = {
    "README.md": b"# Snapshots\n\nOf every page.\n",
    "README": b"Python 3 makes these\n",
    "cars": b"BMW, Audi\n" * 9,
    "plans": b"P3 of the plan is to wait\n" * 9,
    "simple": b"SIMPLE as that" + b" " * 99,
    "gifts.txt": b"GIF8 or GIF9, who knows\n" * 9,
    "results.json": b'{"version": 1}\n',
    "page.html": b"<!doctype html><title>A page</title>\n",
    "style.css": b"/* XPM */ body { color: red }\n",
    "style.scss": b"/* of all pages */ body { color: red }\n",
    "icon.svg": b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>\n',
    "table.csv": b"reference,candidate\n1,2\n",
    "head.h": b"#define WIDTH 12\n#define HEIGHT 13\n",
    "script.py": b"#!/usr/bin/env python\nprint()\n",
    "manual.pdf": b"%PDF-1.7\n" + bytes(99),
    "picture.eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n",
    "page.ps": b"%!PS\nshowpage\n",
    "film.mpg": b"\0\0\x01\xb3" + bytes(99),
    "film.mp4": b"\0\0\0\x18ftypisom" + bytes(99),
    "data.h5": b"\x89HDF\r\n\x1a\n" + bytes(99),
    "archive.zip": zipped(),
    "empty": b"",
    "one byte": b"P",
    "zeros": bytes(500),
    "newlines": b"\n" * 500,
    "numbers": b"".join(n.to_bytes(4, "little") for n in (40, 2, 3, 4)) * 9,
    "store": b"\0\0\0\1Bud1" + bytes(99),
    "noise": b"\xff\n" + bytes(range(256)),
}


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_image_is_left_out(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(NO_IMAGES[name])
    pairs, others = pairs_of(tmp_path, tmp_path)
    assert not pairs and others == [str(tmp_path / name)] * 2


def test_no_text_is_taken_for_an_image(tmp_path: Path) -> None:
    """Two letters make a mark of some formats: all of them, before words."""
    letters = [bytes((a, b)) for a in range(32, 127) for b in range(32, 127)]
    file = tmp_path / "text"
    for mark in letters[:: len(letters) // 300]:
        file.write_bytes(mark + b" is how this begins, and 12 34 56 is how it goes on\n" * 9)
        assert not holds_image(file), mark
    for mark in (b"BM", b"P1", b"P4", b"P5", b"P6", b"Pf", b"PF", b"Py", b"II", b"MM", b"#d"):
        file.write_bytes(mark + b" is how this begins, and 12 34 56 is how it goes on\n" * 9)
        assert not holds_image(file), mark


UNMARKED = {"DIB", "SPIDER", "TGA", "IM"}
"""Formats that nothing at the beginning of a file tells."""


@pytest.mark.parametrize("name", ["home", "home.snap", "home.png.new", "home.txt", "home.eps"])
def test_what_is_an_image_is_found_under_any_name(tmp_path: Path, name: str) -> None:
    found = set()
    for kind, content in encoded().items():
        (tmp_path / name).write_bytes(content)
        if kind.split("-")[0] not in UNMARKED:
            assert holds_image(tmp_path / name), kind
            found.add(kind.split("-")[0])
    assert {"PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "MPO", "PPM", "ICO", "XBM"} <= found
    pairs, others = pairs_of(tmp_path, tmp_path)
    assert [pair.name for pair in pairs] == [name] and others == []


def test_a_suffix_of_an_image_is_believed(tmp_path: Path) -> None:
    names = ["a.png", "b.JPG", "c.mpo", "d.webp", "e.tga", "f.heic", "g.HIF", "h.jxl", "i.avif"]
    for name in names:
        (tmp_path / name).write_text("no image at all")
    assert [pair.name for pair in pairs_of(tmp_path, tmp_path)[0]] == names
    assert all(readable(name) for name in names)
    assert not any(map(readable, ("a.eps", "a.txt", "a", "a.h5", "a.mpg", "a.pdf", "a.svg")))


def test_what_cannot_be_looked_into_is_left_out_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "memory").symlink_to("/proc/self/mem")
    pairs, others = pairs_of(tmp_path, tmp_path)
    assert not pairs and len(others) == 6


@pytest.mark.parametrize("brand", [brand for brand, plugin in BRANDS.items() if plugin is HEIF])
def test_heif_without_its_package_is_an_error_that_names_it(tmp_path: Path, brand: bytes) -> None:
    content = b"\0\0\0\x18ftyp" + brand + bytes(99)
    (tmp_path / "photograph").write_bytes(content)
    assert [pair.name for pair in pairs_of(tmp_path, tmp_path)[0]] == ["photograph"]
    with pytest.raises(PerceptError, match=r"a: HEIF is read with .*: pip install pillow-heif"):
        size_of(content, "a", 10**6)


@pytest.mark.parametrize("content", [BOXES, b"\xff\n" + bytes(30)])
def test_jpeg_xl_without_its_package_is_an_error_that_names_it(content: bytes) -> None:
    with pytest.raises(PerceptError, match=f"a: JPEG XL is read .*pip install {JXL.package}"):
        opened(content, "a", 10**6)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stand-ins of the packages: behind the mark of each format they read a PNG file."""
    opener = """
import io
from PIL import Image, PngImagePlugin

def factory(kind):
    def make(file, name):
        content = file.read()
        return PngImagePlugin.PngImageFile(io.BytesIO(content[content.index(b"\\x89PNG"):]))
    return make

def register(kind, mark):
    Image.register_open(kind, factory(kind), lambda prefix: prefix.startswith(mark))
"""
    (tmp_path / "stand_in.py").write_text(opener)
    (tmp_path / "pillow_heif.py").write_text(
        "import stand_in\n"
        "def register_heif_opener():\n"
        "    stand_in.register('HEIF', b'\\0\\0\\0\\x18ftypheic')\n"
    )
    (tmp_path / "pillow_jxl.py").write_text(
        "import stand_in\nstand_in.register('JXL', b'\\xff\\n')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    before = dict(Image.OPEN), list(Image.ID)
    yield
    Image.OPEN.clear()
    Image.OPEN.update(before[0])
    Image.ID[:] = before[1]
    for name in ("stand_in", "pillow_heif", "pillow_jxl"):
        sys.modules.pop(name, None)


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize("mark", [b"\0\0\0\x18ftypheic" + bytes(12), b"\xff\n" + bytes(14)])
def test_a_package_that_is_installed_is_used_once_it_is_needed(tmp_path: Path, mark: bytes) -> None:
    opened(REFERENCES[0].read_bytes(), "a", 10**6)
    assert "pillow_heif" not in sys.modules and "pillow_jxl" not in sys.modules
    with Image.open(REFERENCES[0]) as image:
        expected = image.size
    for _ in range(2):
        assert size_of(mark + REFERENCES[0].read_bytes(), "a", 10**6) == expected
    (tmp_path / "picture").write_bytes(mark + REFERENCES[0].read_bytes())
    assert holds_image(tmp_path / "picture")

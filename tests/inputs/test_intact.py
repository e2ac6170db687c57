"""Equal files are identical exactly where Pillow decodes all of them."""

from __future__ import annotations

import io
import json
import random
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import REFERENCES, Run
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.inputs.files import opened, size_of
from percept_cli.inputs.intact import surely_decodes
from percept_cli.inputs.kinds import ALLOWED

pytestmark = pytest.mark.filterwarnings("ignore:::PIL")  # Of damage, and of formats' end.

MAX = 10_000_000
Image.init()

SEVERAL: dict[str, Any] = {"save_all": True}
TURNED = Image.Exif()
TURNED[0x0112] = 6
WAYS: dict[str, tuple[dict[str, Any], ...]] = {
    "PNG": ({}, SEVERAL, {"exif": TURNED}),
    "JPEG": ({}, {"progressive": True}, {"restart_marker_rows": 1}, {"exif": TURNED}),
    "MPO": ({}, SEVERAL),
    "GIF": ({}, SEVERAL),
    "WEBP": ({}, SEVERAL, {"lossless": True}),
    "AVIF": ({}, SEVERAL),
    "TIFF": (
        *({}, SEVERAL, {"exif": TURNED}),
        *({"compression": c} for c in ("tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg")),
    ),
}


def photograph() -> Image.Image:
    with Image.open(REFERENCES[2]) as image:
        return image.convert("RGB").resize((64, 48))


@cache
def encoded() -> dict[str, bytes]:
    """A file of every format that Pillow writes and reads here, in several modes and ways."""
    found = {}
    later = [photograph().transpose(Image.Transpose(flip)) for flip in (0, 1)]
    for kind in sorted(set(Image.SAVE) & set(ALLOWED)):
        for mode in ("RGB", "RGBA", "P", "L", "1"):
            for number, way in enumerate(WAYS.get(kind, ({},))):
                options = way | (
                    {"append_images": [frame.convert(mode) for frame in later]}
                    if way is SEVERAL
                    else {}
                )
                stream = io.BytesIO()
                try:
                    photograph().convert(mode).save(stream, kind, **options)
                except (OSError, ValueError, KeyError):  # Not in that mode.
                    continue
                if decodes(stream.getvalue()):
                    found[f"{kind}-{mode}-{number}"] = stream.getvalue()
    return found


def decodes(content: bytes) -> bool:
    """Whether Pillow decodes every frame that the file says it has."""
    try:
        image = Image.open(io.BytesIO(content))
        image.load()
        for frame in range(1, getattr(image, "n_frames", 1)):
            image.seek(frame)
            image.load()
    except Exception:
        return False
    return True


def accepted(content: bytes) -> bool:
    try:
        size_of(content, "a", MAX)
    except PerceptError as error:
        assert str(error).startswith("a: ") and "\n" not in str(error)
        return False
    return True


def cut(content: bytes) -> list[bytes]:
    """The file cut off at every twentieth of it, and just before its end."""
    ends = [len(content) * part // 20 for part in range(1, 21)]
    return [content[:end] for end in (*ends, *(len(content) - n for n in (1, 2, 4, 12, 13)))]


def test_equal_files_cut_off_anywhere_are_identical_exactly_where_they_decode(
    percept: Run, tmp_path: Path
) -> None:
    lines, expected = [], []
    for name, content in encoded().items():
        for part, piece in enumerate(cut(content)):
            pair = [tmp_path / f"{name}-{part}{copy}" for copy in ("", "-copy")]
            for file in pair:
                file.write_bytes(piece)
            lines.append(json.dumps({"reference": str(pair[0]), "candidate": str(pair[1])}))
            expected.append("identical" if decodes(piece) else "error")
    (tmp_path / "m.jsonl").write_text("\n".join(lines))
    flags = ("--pairs=m.jsonl", "--layers=conv1_1", "--format=json", "--quiet")
    done = percept("compare", *flags)
    assert done.returncode == 3 and "Traceback" not in done.stderr
    results = json.loads(done.stdout)["pairs"]
    wrong = [
        (result["reference"], result["status"], status)
        for result, status in zip(results, expected, strict=True)
        if result["status"] != status
    ]
    assert wrong == []
    kinds = {Path(result["reference"]).name.split("-")[0] for result in results}
    assert {"PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"} <= kinds
    assert min(expected.count(status) for status in ("identical", "error")) > 100


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "MPO", "PPM", "ICO"])
def test_files_with_wrong_bits_are_accepted_exactly_where_they_decode(kind: str) -> None:
    rng = random.Random(kind)
    outcomes = set()
    for name, content in encoded().items():
        if not name.startswith(f"{kind}-"):
            continue
        for _ in range(40):
            broken = bytearray(content)
            for _ in range(rng.choice((1, 1, 4))):
                where = rng.choice((len(content), min(len(content), 600)))
                broken[rng.randrange(where)] ^= 1 << rng.randrange(8)
            outcomes.add(decodes(bytes(broken)))
            assert accepted(bytes(broken)) == decodes(bytes(broken)), name
    assert True in outcomes


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("PNG", SEVERAL), ("JPEG", {})])
def test_what_tests_are_full_of_is_not_decoded(kind: str, options: dict[str, Any]) -> None:
    stream = io.BytesIO()
    photograph().save(stream, kind, **options)
    assert surely_decodes(stream.getvalue(), kind)
    assert not surely_decodes(stream.getvalue()[:-2], kind)


def test_every_frame_is_decoded_and_counted_against_the_most_pixels() -> None:
    pages = [Image.new("L", size) for size in ((8, 8), (300, 300))]
    stream = io.BytesIO()
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    assert size_of(stream.getvalue(), "a", MAX) == (8, 8)
    with pytest.raises(PerceptError, match="a: 300x300 is 90000 pixels, over --max-pixels 1000"):
        size_of(stream.getvalue(), "a", 1000)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("turn", range(1, 9))
def test_a_turned_file_has_the_size_it_is_shown_with(kind: str, turn: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turn
    stream = io.BytesIO()
    photograph().save(stream, kind, exif=exif)
    expected = (48, 64) if turn > 4 else (64, 48)
    assert size_of(stream.getvalue(), "a", MAX) == expected
    assert size_of(stream.getvalue(), "a", MAX, decode=True) == expected


def test_exif_after_the_pixels_of_a_png_turns_it_too() -> None:
    stream = io.BytesIO()
    photograph().save(stream, "PNG", exif=TURNED)
    content = stream.getvalue()
    at = content.index(b"eXIf") - 4
    length = int.from_bytes(content[at : at + 4], "big") + 12
    moved = content[:at] + content[at + length : -12] + content[at : at + length] + content[-12:]
    assert not opened(moved, "a", MAX).info.get("exif")
    assert size_of(moved, "a", MAX) == (48, 64)

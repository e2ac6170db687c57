"""The fixture `percept_snapshot` in test sessions of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, clean_environment

IMAGES = f"""
import io, os, sys
import numpy as np
from pathlib import Path
from PIL import Image, ImageDraw
SAMPLES = Path({str(SAMPLES)!r})
FILE = SAMPLES / "references/dashboard.png"
PICTURE = Image.open(FILE).convert("RGB")
PIXELS = np.asarray(PICTURE)
if os.environ.get("SPOILT"):
    ImageDraw.Draw(PICTURE).rectangle((40, 60, 70, 80), fill=(200, 30, 60))
"""


def session(folder: Path, code: str, *arguments: str, **environment: str) -> tuple[int, str]:
    """Exit code and output of a session on one test file."""
    (folder / "test_page.py").write_text(IMAGES + code)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q", *arguments]
    command.append(f"--basetemp={folder}-inner")  # Sessions at once would clear each other's.
    done = subprocess.run(
        command, cwd=folder, env=clean_environment(**environment), capture_output=True, text=True
    )
    return done.returncode, done.stdout + done.stderr


ONE = """
def test_page(percept_snapshot):
    percept_snapshot(PICTURE)
"""


def test_a_snapshot_without_baseline_fails_until_it_is_accepted(tmp_path: Path) -> None:
    code, output = session(tmp_path, ONE)
    baseline = tmp_path / "baselines/test_page/test_page.png"
    assert code == 1 and f"no baseline {baseline}" in output and "--percept-update" in output
    assert session(tmp_path, ONE, "--percept-update")[0] == 0 and baseline.is_file()
    assert session(tmp_path, ONE)[0] == 0


def test_a_change_fails_with_everything_to_see_it(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    code, output = session(tmp_path, ONE, SPOILT="1")
    assert code == 1
    for words in ("peak ", "> 0.4", "  at ", "baselines/test_page/test_page.png"):
        assert words in output
    for name in ("test_page.png", "test_page-heatmap.png"):
        path = tmp_path / "percept-failures/test_page" / name
        assert path.is_file() and str(path) in output
    assert session(tmp_path, ONE, "-o", "percept_peak_threshold=9", SPOILT="1")[0] == 0
    assert session(tmp_path, ONE.replace("PICTURE)", "PICTURE, threshold=9)"), SPOILT="1")[0] == 0


KINDS = """
import pytest, torch

def encoded():
    stream = io.BytesIO()
    PICTURE.save(stream, "PNG")
    return stream.getvalue()

def figure():
    import matplotlib
    matplotlib.use("agg")
    from matplotlib.figure import Figure
    made = Figure(figsize=(3.2, 2.4), dpi=100)
    made.add_axes((0, 0, 1, 1)).imshow(PIXELS)
    return made

KINDS = {
    "path": FILE, "text": str(FILE), "bytes": encoded(), "picture": PICTURE, "array": PIXELS,
    "float array": PIXELS / 255, "grey": PIXELS[..., 0],
    "tensor": torch.from_numpy(PIXELS.copy()).permute(2, 0, 1) / 255,
}

@pytest.mark.parametrize("kind", KINDS)
def test_kind(percept_snapshot, kind):
    percept_snapshot(KINDS[kind])
    percept_snapshot(KINDS[kind], name="again")

def test_figure(percept_snapshot):
    percept_snapshot(figure())
"""


def test_every_kind_of_image_is_taken_also_by_several_workers(tmp_path: Path) -> None:
    code, output = session(tmp_path, KINDS, "--percept-update", "-n2")
    assert code == 0, output
    folder = tmp_path / "baselines/test_page"
    whole = {
        (folder / f"{kind}.png").read_bytes()
        for kind in ("test_kind-array", "test_kind-tensor.again")
    }
    assert len(whole) == 1
    code, output = session(tmp_path, KINDS, "-n2")
    assert code == 0 and "failed" not in output
    assert len(list(folder.iterdir())) >= 16


def test_an_unchanged_session_loads_no_torch(tmp_path: Path) -> None:
    code = ONE + '    assert not {"torch", "percept_cli.scoring.score"} & set(sys.modules)\n'
    session(tmp_path, ONE, "--percept-update")
    status, output = session(tmp_path, code)
    assert status == 0, output


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("percept_snapshot(PIXELS * 2.0)", "floating-point values outside 0..1"),
        ("percept_snapshot(PIXELS.astype(int))", "dtype int64: give uint8"),
        ("percept_snapshot(PICTURE, 'a'); percept_snapshot(PICTURE, 'a')", "'a' is taken twice"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, call: str, message: str) -> None:
    code, output = session(
        tmp_path, f"\ndef test_it(percept_snapshot):\n    {call}\n", "--percept-update"
    )
    assert code == 1 and message in output


def test_a_threshold_that_means_nothing_is_said(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    loose = ONE.replace("PICTURE)", "PICTURE, threshold='loose')")
    code, output = session(tmp_path, loose, SPOILT="1")
    assert code == 1 and "peak threshold 'loose': give a number" in output


ALIKE = """
import pytest

class TestA:
    def test_it(self, percept_snapshot):
        percept_snapshot(PIXELS)

class TestB:
    def test_it(self, percept_snapshot):
        percept_snapshot(255 - PIXELS)

@pytest.mark.parametrize("name", ["a/b", "a-b", "a b"])
def test_names(percept_snapshot, name):
    percept_snapshot(PIXELS[:, : 100 + ord(name[1])], "home")
"""


def test_no_two_tests_share_a_baseline(tmp_path: Path) -> None:
    assert session(tmp_path, ALIKE, "--percept-update")[0] == 0
    assert len(list((tmp_path / "baselines/test_page").iterdir())) == 5
    assert session(tmp_path, ALIKE)[0] == 0


@pytest.mark.parametrize("folder", ["baselines", "percept-failures"])
def test_links_out_of_the_folders_are_not_followed(tmp_path: Path, folder: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    if folder == "percept-failures":
        session(tmp_path, ONE, "--percept-update")
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "test_page").symlink_to(outside)
    updates = ["--percept-update"] * (folder == "baselines")
    code, output = session(tmp_path, ONE, *updates, SPOILT="1")
    assert code == 1 and "leads to" in output and f"outside of {tmp_path / folder}" in output
    assert not list(outside.iterdir())


def test_bytes_that_are_no_image_are_never_accepted(tmp_path: Path) -> None:
    for content in ('b""', 'b"<html>"'):
        code = f"\ndef test_it(percept_snapshot):\n    percept_snapshot({content})\n"
        status, output = session(tmp_path, code, "--percept-update")
        assert status == 1 and "not an image of a kind Pillow reads" in output
    assert not (tmp_path / "baselines").exists()


CUT = """
import pytest

@pytest.mark.parametrize("part", range(1, 21))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_cut(percept_snapshot, kind, part):
    stream = io.BytesIO()
    frames = [PICTURE.resize((64, 48)), PICTURE.rotate(180).resize((64, 48))]
    several = {"save_all": True, "append_images": frames[1:]} if kind in ("GIF", "TIFF") else {}
    frames[0].save(stream, kind, **several)
    piece = stream.getvalue()[: len(stream.getvalue()) * part // 20]
    try:
        image = Image.open(io.BytesIO(piece))
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            image.load()
        sound = True
    except Exception:
        sound = False
    try:
        percept_snapshot(piece)
    except BaseException as failure:
        assert not sound and str(failure).startswith("percept_snapshot: "), failure
    else:
        assert sound
"""


def test_what_is_cut_off_anywhere_is_accepted_exactly_where_it_decodes(tmp_path: Path) -> None:
    for flags in (("--percept-update",), ()):
        code, output = session(tmp_path, CUT, *flags)
        assert code == 0, output
    accepted = [path.name for path in (tmp_path / "baselines/test_page").iterdir()]
    assert 6 <= len(accepted) < 30 and sum("-20.png" in name for name in accepted) == 6


@pytest.mark.parametrize("value", ["np.nan", "np.inf"])
def test_nan_and_infinities_are_called_what_they_are(tmp_path: Path, value: str) -> None:
    call = f"percept_snapshot(np.full((9, 9), {value}))"
    code, output = session(tmp_path, f"\ndef test_it(percept_snapshot):\n    {call}\n")
    assert code == 1 and "NaN or infinite values: replace them" in output

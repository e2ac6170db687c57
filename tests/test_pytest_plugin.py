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
    for name in ("test_page.png", "test_page~heatmap.png"):
        path = tmp_path / "percept-failures/test_page" / name
        assert path.is_file() and str(path) in output
    assert session(tmp_path, ONE, "-o", "percept_peak_threshold=9", SPOILT="1")[0] == 0
    assert (
        session(tmp_path, ONE.replace("PICTURE)", "PICTURE, peak_threshold=9)"), SPOILT="1")[0] == 0
    )


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
    "batch": PIXELS[None], "tensors": torch.from_numpy(PIXELS.copy()).permute(2, 0, 1)[None],
    "stream": io.BytesIO(encoded()), "cmyk": PICTURE.convert("CMYK"), "lab": PICTURE.convert("HSV"),
    "half": torch.from_numpy(PIXELS / 255).to(torch.bfloat16),
    "deep": PICTURE.convert("I"), "pa": PICTURE.convert("PA"), "float": PICTURE.convert("F"),
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
    alike = ("array", "tensor", "batch", "tensors")
    assert len({(folder / f"test_kind-{kind}.again.png").read_bytes() for kind in alike}) == 1
    code, output = session(tmp_path, KINDS, "-n2")
    assert code == 0 and "failed" not in output
    assert len(list(folder.iterdir())) == 35


def test_an_unchanged_session_loads_no_torch(tmp_path: Path) -> None:
    code = ONE + '    assert not {"torch", "percept_cli.scoring.score"} & set(sys.modules)\n'
    session(tmp_path, ONE, "--percept-update")
    status, output = session(tmp_path, code)
    assert status == 0, output


REFUSED = {
    "percept_snapshot(PIXELS * 2.0)": "floating-point values outside 0..1",
    "percept_snapshot(PIXELS.astype(int))": "dtype int64: give uint8",
    "percept_snapshot(PICTURE, 'a'); percept_snapshot(PICTURE, 'a')": "'a' is taken twice",
    "percept_snapshot(object())": "an object of type builtins.object is no image: give a path",
    "percept_snapshot(np.zeros((2, 9, 9, 3)))": "shape (2, 9, 9, 3) is no image",
    "percept_snapshot(io.StringIO('text'))": "io.StringIO of text is no image",
    "percept_snapshot('nowhere.png')": "nowhere.png: cannot be read",
    "percept_snapshot(np.zeros((0, 9, 3)))": "shape (0, 9, 3) is no image",
}


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_no_image_is_refused(tmp_path: Path, call: str) -> None:
    code, output = session(
        tmp_path, f"\ndef test_it(percept_snapshot):\n    {call}\n", "--percept-update"
    )
    assert code == 1 and REFUSED[call] in output


def test_a_threshold_that_means_nothing_is_said(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    loose = ONE.replace("PICTURE)", "PICTURE, peak_threshold='loose')")
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
    for content in ('b""', 'b"GIF"'):
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
        assert not sound and ": percept_snapshot: " in str(failure), failure
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


SEVERAL = """
def test_page(percept_snapshot):
    percept_snapshot(PICTURE, "first")
    percept_snapshot(PICTURE, "second")
    percept_snapshot(PIXELS, "third")
"""


def test_all_pictures_of_a_test_are_told_of_at_its_end(tmp_path: Path) -> None:
    session(tmp_path, SEVERAL, "--percept-update")
    code, output = session(tmp_path, SEVERAL, SPOILT="1")
    assert code == 1 and "2 snapshots do not pass" in output and "1 failed in" in output
    written = {path.name for path in (tmp_path / "percept-failures/test_page").iterdir()}
    assert written == {
        f"test_page.{name}{end}.png" for name in ("first", "second") for end in ("", "~heatmap")
    }
    code, output = session(tmp_path, SEVERAL + "    assert 1 + 1 == 3\n", SPOILT="1")
    assert code == 1 and "assert (1 + 1) == 3" in output and "2 snapshots do not pass" in output
    strict = SEVERAL.replace('"first"', '"first", strict=True')
    code, output = session(tmp_path, strict, SPOILT="1")
    assert code == 1 and "test_page.first.png" in output and "second" not in output
    assert session(tmp_path, SEVERAL)[0] == 0
    assert not list((tmp_path / "percept-failures/test_page").iterdir()), "of a run that failed"


TURNED_OFF = {
    'ignore="30,50,50,40"': True,
    "ignore=[(30, 50, 50, 40)]": True,
    "mask=PIXELS[..., 0] * 0 + 255 * (np.arange(PIXELS.shape[1]) < 90).astype('uint8')": True,
    'preset="photo", threshold=9': True,
    'preset="photo", layers=["conv1_1"], layer_weights={"conv1_1": 2}, peak_threshold=99': True,
    'preset="photo", threshold=9, layer_thresholds={"conv1_1": 0}': False,
    "tolerance=0, area=0, colour=0, floor=0.0, blur=2.0": False,
    'peak_threshold="none", threshold=9': True,
    "jnd=99": True,
    "resize=64, peak_threshold=99": True,
}


def test_it_takes_what_the_command_takes(tmp_path: Path) -> None:
    tests = "".join(
        f"\ndef test_{n}(percept_snapshot):\n    percept_snapshot(PICTURE, {options})\n"
        for n, options in enumerate(TURNED_OFF)
    )
    session(tmp_path, tests, "--percept-update")
    _, output = session(tmp_path, tests, "-rA", SPOILT="1")
    for n, (options, passes) in enumerate(TURNED_OFF.items()):
        assert f"{'PASSED' if passes else 'FAILED'} test_page.py::test_{n}" in output, options


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("peak_treshold=3", "unknown option 'peak_treshold': did you mean peak_threshold?"),
        ("tolerance=99", "percept_snapshot: tolerance=99: give 0 to 8"),
        ("blur='much'", "percept_snapshot: blur = 'much': give a number"),
        ("ignore='9999,0,1,1'", "outside the image"),
    ],
)
def test_its_messages_name_its_own_options(tmp_path: Path, options: str, said: str) -> None:
    session(tmp_path, ONE, "--percept-update")
    code, output = session(tmp_path, ONE.replace("PICTURE)", f"PICTURE, {options})"), SPOILT="1")
    assert code == 1 and said in output and "--tolerance" not in output


@pytest.mark.parametrize("flags", [(), ("--percept-update",)])
def test_wrong_options_are_told_before_anything_changes(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    session(tmp_path, ONE, "--percept-update")
    for options, said in (
        ("tolerence=2", "unknown option 'tolerence': did you mean tolerance?"),
        ("preset='nope'", "nope"),
        ("ignore='1,2'", "ignored region '1,2'"),
        ("mask='nowhere.png'", "nowhere.png"),
    ):
        code, output = session(tmp_path, ONE.replace("PICTURE)", f"PICTURE, {options})"), *flags)
        assert code == 1 and said in output, options
    (tmp_path / "percept.toml").write_text("peak-treshold = 1\n")
    code, output = session(tmp_path, ONE, *flags)
    assert code == 1 and "unknown key 'peak-treshold'" in output


def test_a_failure_names_the_line_that_took_the_picture(tmp_path: Path) -> None:
    session(tmp_path, SEVERAL, "--percept-update")
    _, output = session(tmp_path, SEVERAL, SPOILT="1")
    lines = (IMAGES + SEVERAL).splitlines()
    for name in ("first", "second"):
        number = next(n for n, line in enumerate(lines, 1) if f'"{name}"' in line)
        assert f"test_page.py:{number}: test_page.{name}.png does not look" in output


def test_a_folder_of_baselines_is_no_place_for_failures(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    code, output = session(tmp_path, ONE, "--percept-output", "baselines")
    assert code == 1 and "holds baselines: name another folder" in output
    assert (tmp_path / "baselines/test_page/test_page.png").exists()


def test_percept_toml_holds_for_it_too(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    (tmp_path / "percept.toml").write_text("peak-threshold = 9\n")
    assert session(tmp_path, ONE, SPOILT="1")[0] == 0
    (tmp_path / "percept.toml").write_text('[images."test_page/*"]\nignore = ["0,0,90,90"]\n')
    assert session(tmp_path, ONE, SPOILT="1")[0] == 0
    (tmp_path / "percept.toml").write_text('[images."other/*"]\nignore = ["0,0,90,90"]\n')
    assert session(tmp_path, ONE, SPOILT="1")[0] == 1


def test_a_table_for_all_images_holds_and_the_call_comes_last(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    (tmp_path / "percept.toml").write_text('[images."**"]\npeak-threshold = 9\n')
    assert session(tmp_path, ONE, SPOILT="1")[0] == 0
    more = '[images."test_page/*"]\npeak-threshold = 99\n'
    (tmp_path / "percept.toml").write_text(f'[images."**"]\npeak-threshold = 9\n{more}')
    called = ONE.replace("PICTURE)", "PICTURE, peak_threshold=0.2)")
    assert session(tmp_path, called, SPOILT="1")[0] == 1


def test_a_page_that_grew_is_told_in_its_words(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    grown = ONE.replace("PICTURE)", "np.insert(PIXELS, [100] * 30, 0, axis=0))")
    code, output = session(tmp_path, grown)
    assert code == 1 and "30 rows inserted at y 100" in output
    code, output = session(tmp_path, grown.replace("axis=0))", "axis=0), align='none')"))
    assert code == 1 and "resize=reference brings them together" in output


PLAYWRIGHT = """
class Page:
    def screenshot(self, **options):
        assert options == {"animations": "disabled", "caret": "hide"}
        stream = io.BytesIO()
        PICTURE.save(stream, "PNG")
        return stream.getvalue()

class Async(Page):
    async def screenshot(self, **options):
        return b""

def test_page(percept_snapshot):
    percept_snapshot(Page())

def test_async(percept_snapshot):
    percept_snapshot(Async())
"""


def test_pages_are_pictured_standing_still(tmp_path: Path) -> None:
    code, output = session(tmp_path, PLAYWRIGHT, "--percept-update")
    assert code == 1 and "1 failed, 1 passed" in output
    assert "Async is asynchronous: give await page.screenshot()" in output
    assert (tmp_path / "baselines/test_page/test_page.png").is_file()


UNUSED = """
import pytest

def test_one(percept_snapshot):
    percept_snapshot(PIXELS)

def test_skipped(percept_snapshot):
    if SKIP:
        pytest.skip("not here")
    percept_snapshot(PIXELS, "a")
    percept_snapshot(PIXELS, "b")

def test_two(percept_snapshot):
    percept_snapshot(PIXELS, "kept")
    if OLD:
        percept_snapshot(PIXELS, "dropped")

if OLD:
    def test_gone(percept_snapshot):
        percept_snapshot(PIXELS)
"""


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_baselines_nobody_asked_for_are_listed_and_pruned(tmp_path: Path, workers: str) -> None:
    old, new = (UNUSED.replace("OLD", str(old)) for old in (True, False))
    session(tmp_path, old.replace("SKIP", "False"), "--percept-update")
    folder = tmp_path / "baselines/test_page"
    (folder.parent / "test_removed").mkdir()
    (folder.parent / "test_removed/it.png").write_bytes((folder / "test_one.png").read_bytes())
    skipping = new.replace("SKIP", "True")
    code, output = session(tmp_path, skipping, workers, "--percept-unused")
    unused = [folder / "test_gone.png", folder / "test_two.dropped.png"]
    unused.append(folder.parent / "test_removed/it.png")
    assert code == 0 and all(str(path) in output for path in unused) and "3 unused" in output
    assert "test_skipped" not in output, "who knows what it would have asked for"
    _, output = session(tmp_path, skipping, workers, "--percept-unused", "-k", "two")
    assert "3 unused" in output and "test_one" not in output.split("asked for")[-1]
    _, output = session(tmp_path, skipping, workers, "--percept-unused", "test_page.py::test_one")
    assert "1 unused" in output, "of other tests of the file nothing is known"
    code, output = session(tmp_path, skipping, workers, "--percept-unused=prune")
    assert code == 0 and not any(path.exists() for path in unused)
    assert len(list(folder.iterdir())) == 4
    assert session(tmp_path, new.replace("SKIP", "False"), workers)[0] == 0


def test_where_not_all_tests_are_known_none_is_called_unused(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    arguments = "--lf", "-p", "cacheprovider", "--percept-unused=prune"
    code, output = session(tmp_path, ONE, *arguments)
    assert code == 4 and "with --lf not all tests of a file are looked at" in output
    assert (tmp_path / "baselines/test_page/test_page.png").is_file()


CLASHING = """
import pytest

@pytest.mark.parametrize("zoom", [1, 1.2])
def test_zoom(percept_snapshot, zoom):
    percept_snapshot(PICTURE)
    percept_snapshot(PICTURE)

def test_named(percept_snapshot):
    percept_snapshot(PICTURE)
    percept_snapshot(PICTURE)
    percept_snapshot(PICTURE, "2")
"""


def test_two_snapshots_do_not_share_a_baseline(tmp_path: Path) -> None:
    code, output = session(tmp_path, CLASHING, "--percept-update")
    assert code == 1 and "2 failed" in output
    for file in ("test_zoom-1.2.png", "test_named.2.png"):
        assert f"{file} is the baseline of another snapshot" in output


UPRIGHT = """
def test_upright(percept_snapshot, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    PICTURE.crop((0, 0, 64, 32)).save(tmp_path / "turned.jpg", exif=exif)
    percept_snapshot(Image.open(tmp_path / "turned.jpg"), "one", max_pixels=None)
    assert Image.open("baselines/test_page/test_upright.one.png").size == (32, 64)
"""


def test_a_turned_picture_is_stored_upright(tmp_path: Path) -> None:
    code, output = session(tmp_path, UPRIGHT, "--percept-update")
    assert code == 0, output
    (tmp_path / "percept.toml").write_text("max-pixels = 100\n")
    code, output = session(tmp_path, ONE, "--percept-update")
    assert code == 1 and "over --max-pixels 100" in " ".join(output.split())


@pytest.mark.parametrize("linked", [False, True])
def test_pruning_removes_nothing_but_pictures_of_tests(tmp_path: Path, linked: bool) -> None:
    session(tmp_path, ONE, "--percept-update")
    folder = tmp_path / "baselines"
    kept = ["pages/home.png", "test_page/NOTES.txt", "test_page/test_page~mac.png", "README.md"]
    content = (folder / "test_page/test_page.png").read_bytes()
    for name in kept:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "test_page/test_old.png").write_bytes(content)
    if linked:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    _, output = session(tmp_path, ONE, "--percept-unused=prune", "-n2")
    assert "test_old.png" in output and "1 unused; removed" in output
    assert all((folder / name).exists() for name in [*kept, "test_page/test_page.png"])
    assert not (folder / "test_page/test_old.png").exists()


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_the_report_has_all_snapshots_of_the_session(tmp_path: Path, workers: str) -> None:
    tests = (
        SEVERAL
        + """
def test_other(percept_snapshot):
    percept_snapshot(PICTURE, peak_threshold=9)

def test_new(percept_snapshot):
    percept_snapshot(PIXELS)
"""
    )
    session(tmp_path, tests.replace("test_new", "test_old"), "--percept-update")
    code, output = session(tmp_path, tests, workers, "--percept-report", "report", SPOILT="1")
    assert code == 1 and f"percept report: {tmp_path / 'report/index.html'}" in output
    page = (tmp_path / "report/index.html").read_text()
    for words in (
        *("5 pairs", "1 identical", "1 passed", "2 failed", "1 new"),
        *("test test_page.py::test_page", "test test_page.py::test_other"),
    ):
        assert words in page, words
    assert len(list((tmp_path / "report/originals").iterdir())) >= 2
    left = {path.name for path in (tmp_path / "percept-failures/test_page").glob("*other*")}
    assert not left, "the candidate of what passes is in the report alone"


def test_a_report_that_cannot_be_written_ends_the_session_in_error(tmp_path: Path) -> None:
    session(tmp_path, ONE, "--percept-update")
    (tmp_path / "report").mkdir()
    (tmp_path / "report/index.html").write_text("mine")
    code, output = session(tmp_path, ONE, "--percept-report", "report")
    assert code != 0 and "not percept's" in output
    assert (tmp_path / "report/index.html").read_text() == "mine"

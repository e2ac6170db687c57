from __future__ import annotations

import io
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest
from conftest import SAMPLES, clean_environment
from PIL import Image

from percept_cli.errors import OutputError, PerceptError
from percept_cli.gate.approve import Approval, Change, carry_out
from percept_cli.writing import UNFINISHED, WholeFile

REFERENCES, CHANGED = SAMPLES / "references", SAMPLES / "edit-1"


def approve(baseline: Path, candidate: Path, *globs: str, **more: object) -> dict[str, str]:
    """Do it; what was done to each baseline."""
    changes = Approval(baseline, candidate, globs, **more).changes()  # type: ignore[arg-type]
    for change in changes:
        carry_out(change)
    return {str(change.baseline.relative_to(baseline)): change.action for change in changes}


def test_a_first_approval_makes_the_baselines(tmp_path: Path) -> None:
    baseline = tmp_path / "new" / "baselines"
    assert set(approve(baseline, REFERENCES).values()) == {"added"}
    assert set(approve(baseline, REFERENCES).values()) == {"unchanged"}
    assert {p.name: p.read_bytes() for p in baseline.iterdir()} == {
        p.name: p.read_bytes() for p in REFERENCES.iterdir()
    }


def test_only_what_a_glob_matches_is_accepted(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES)
    assert approve(tmp_path, CHANGED, "co*", "dash*.png") == {
        "coffee.png": "updated", "dashboard.png": "updated",
    }  # fmt: skip
    assert (tmp_path / "coffee.png").read_bytes() == (CHANGED / "coffee.png").read_bytes()
    assert (tmp_path / "article.png").read_bytes() == (REFERENCES / "article.png").read_bytes()
    with pytest.raises(PerceptError, match=r"no image matches 'x\*'"):
        approve(tmp_path, CHANGED, "x*")


def test_a_variant_is_added_beside_the_baseline(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES)
    assert approve(tmp_path, CHANGED, "coffee.png", variant="mac") == {"coffee~mac.png": "added"}
    assert (tmp_path / "coffee.png").read_bytes() == (REFERENCES / "coffee.png").read_bytes()
    assert approve(tmp_path, CHANGED, "coffee.png") == {"coffee.png": "unchanged"}


def test_pruning_removes_baselines_without_candidate(tmp_path: Path) -> None:
    baseline, candidate = tmp_path / "b", tmp_path / "c"
    approve(baseline, REFERENCES)
    candidate.mkdir()
    (candidate / "coffee.png").write_bytes((REFERENCES / "coffee.png").read_bytes())
    assert approve(baseline, candidate)["article.png"] == "gone"
    assert (baseline / "article.png").exists()
    assert approve(baseline, candidate, prune=True)["article.png"] == "removed"
    assert [path.name for path in baseline.iterdir()] == ["coffee.png"]


def test_pruning_looks_at_nothing_that_it_removes(tmp_path: Path) -> None:
    for folder in ("b", "c"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (32, 32)).save(tmp_path / folder / "kept.png")
    lost = tmp_path / "b/lost.png"
    Image.new("RGB", (32, 32)).save(lost)
    lost.chmod(0)
    changes = Approval(tmp_path / "b", tmp_path / "c", prune=True).changes()
    assert {c.action for c in changes if c.baseline == lost} == {"removed"}


def test_pruning_takes_the_variants_along(tmp_path: Path) -> None:
    baseline, candidate = tmp_path / "b", tmp_path / "c"
    approve(baseline, REFERENCES)
    approve(baseline, CHANGED, "coffee*", variant="mac")
    approve(candidate, REFERENCES, "[!c]*")
    removed = approve(baseline, candidate, prune=True)
    assert [name for name, action in removed.items() if action == "removed"] == [
        "chelsea.png", "coffee.png", "coffee~mac.png",
    ]  # fmt: skip


def test_a_baseline_of_another_suffix_is_replaced(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES, "coffee*")
    actions = approve(tmp_path, SAMPLES / "jpeg-1", "coffee*")
    assert actions == {"coffee.jpg": "added", "coffee.png": "removed"}


def test_a_variant_stays_where_the_baseline_gets_another_suffix(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES, "coffee*")
    approve(tmp_path, CHANGED, "coffee*", variant="mac")
    actions = approve(tmp_path, SAMPLES / "jpeg-1", "coffee*")
    assert actions == {"coffee.jpg": "added", "coffee.png": "removed"}
    assert {path.name for path in tmp_path.iterdir()} == {"coffee.jpg", "coffee~mac.png"}


def test_what_is_no_sound_image_is_not_accepted(tmp_path: Path) -> None:
    baseline, candidate = tmp_path / "b", tmp_path / "c"
    approve(baseline, REFERENCES)
    candidate.mkdir()
    (candidate / "coffee.png").write_bytes((REFERENCES / "coffee.png").read_bytes()[:5000])
    (candidate / "chelsea.png").write_bytes((CHANGED / "chelsea.png").read_bytes())
    done = approve(baseline, candidate)
    assert {name: action for name, action in done.items() if action != "gone"} == {
        "chelsea.png": "updated", "coffee.png": "error",
    }  # fmt: skip
    assert (baseline / "coffee.png").read_bytes() == (REFERENCES / "coffee.png").read_bytes()


SAVED: dict[str, tuple[str, dict[str, Any]]] = {
    "a.png": ("PNG", {}),
    "a.jpg": ("JPEG", {}),
    "b.jpg": ("JPEG", {"progressive": True}),
    "a.gif": ("GIF", {}),
    "b.gif": ("GIF", {"save_all": True}),
    "a.bmp": ("BMP", {}),
    "a.tiff": ("TIFF", {}),
    "b.tiff": ("TIFF", {"save_all": True}),
    "c.tiff": ("TIFF", {"compression": "tiff_lzw"}),
    "a.webp": ("WEBP", {}),
    "b.webp": ("WEBP", {"save_all": True}),
    "a.mpo": ("MPO", {"save_all": True}),
    "a.ppm": ("PPM", {}),
}


def decodes(content: bytes) -> bool:
    """Whether Pillow decodes every frame that the file says it has."""
    try:
        image = Image.open(io.BytesIO(content))
        for frame in range(getattr(image, "n_frames", 1)):
            image.seek(frame)
            image.load()
    except Exception:
        return False
    return True


@pytest.mark.filterwarnings("ignore:::PIL")  # Of damage.
@pytest.mark.parametrize("name", SAVED)
def test_what_is_cut_off_anywhere_is_accepted_exactly_where_it_decodes(
    tmp_path: Path, name: str
) -> None:
    """Even where the baseline is of the same bytes already."""
    with Image.open(REFERENCES / "coffee.png") as image:
        frames = [image.convert("RGB").resize((64, 48)).rotate(turn) for turn in (0, 180)]
    kind, options = SAVED[name]
    if "save_all" in options:
        options = options | {"append_images": frames[1:]}
    stream = io.BytesIO()
    frames[0].save(stream, kind, **options)
    baseline, equal, candidate = (tmp_path / folder for folder in ("b", "e", "c"))
    sound, suffix = {}, Path(name).suffix
    for folder in (equal, candidate):
        folder.mkdir()
        for part in range(1, 21):
            piece = stream.getvalue()[: len(stream.getvalue()) * part // 20]
            (folder / f"{part}{suffix}").write_bytes(piece)
            sound[f"{part}{suffix}"] = decodes(piece)
    assert approve(baseline, candidate) == {
        file: "added" if decoded else "error" for file, decoded in sound.items()
    }
    assert {path.name for path in baseline.iterdir()} == {f for f, good in sound.items() if good}
    assert approve(equal, candidate) == {
        file: "unchanged" if decoded else "error" for file, decoded in sound.items()
    }
    assert True in sound.values() and False in sound.values()


def test_chunks_that_are_whole_but_no_picture_are_not_accepted(tmp_path: Path) -> None:
    """Their checksums are right: that half the data are gone only decoding tells."""
    content = (REFERENCES / "coffee.png").read_bytes()
    at = content.index(b"IDAT") - 4
    length = int.from_bytes(content[at : at + 4], "big") // 2
    half = b"IDAT" + content[at + 8 : at + 8 + length]
    chunk = length.to_bytes(4, "big") + half + crc32(half).to_bytes(4, "big")
    (tmp_path / "c").mkdir()
    (tmp_path / "c/a.png").write_bytes(content[:at] + chunk + content[-12:])
    assert approve(tmp_path / "b", tmp_path / "c") == {"a.png": "error"}


def test_nothing_to_approve_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PerceptError, match="no such file or folder"):
        approve(tmp_path, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(PerceptError, match="no candidates"):
        approve(REFERENCES, tmp_path / "empty", prune=True)


def test_a_baseline_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("a file")
    change = Change("added", tmp_path / "taken" / "coffee.png", REFERENCES / "coffee.png")
    with pytest.raises(OutputError, match=r"cannot write .*coffee.png"):
        carry_out(change)


def test_links_out_of_the_baselines_are_not_followed(tmp_path: Path) -> None:
    outside, baseline = tmp_path / "outside", tmp_path / "b"
    for folder in (outside / "photos", baseline):
        folder.mkdir(parents=True)
    kept = [outside / "rc", outside / "photos" / "mine.png"]
    for file in kept:
        file.write_bytes((REFERENCES / "coffee.png").read_bytes())
    (baseline / "chelsea.png").symlink_to(outside / "rc")
    (baseline / "sub").symlink_to(outside / "photos")
    candidates = tmp_path / "c"
    (candidates / "sub").mkdir(parents=True)
    for name in ("chelsea.png", "sub/new.png"):
        (candidates / name).write_bytes((CHANGED / "chelsea.png").read_bytes())
    changes = Approval(baseline, candidates, prune=True).changes()
    assert {(c.action, c.baseline.name) for c in changes} >= {
        ("updated", "chelsea.png"),
        ("added", "new.png"),
        ("removed", "mine.png"),
    }
    for change in changes:
        with pytest.raises(OutputError, match=r"leads to .*outside of .*remove the link"):
            carry_out(change)
    assert [file.read_bytes() for file in kept] == [(REFERENCES / "coffee.png").read_bytes()] * 2
    assert not (outside / "photos" / "new.png").exists()


def test_a_link_to_a_device_stays_one(tmp_path: Path) -> None:
    (tmp_path / "coffee.png").symlink_to("/dev/null")
    change = Change("updated", tmp_path / "coffee.png", REFERENCES / "coffee.png")
    with pytest.raises(OutputError, match="outside of"):
        carry_out(change)
    assert (tmp_path / "coffee.png").is_symlink() and Path("/dev/null").is_char_device()


def test_a_link_within_the_baselines_stays_one(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES, "coffee*")
    (tmp_path / "chelsea.png").symlink_to("coffee.png")
    approve(tmp_path, CHANGED, "chelsea*")
    assert (tmp_path / "chelsea.png").is_symlink()
    assert (tmp_path / "coffee.png").read_bytes() == (CHANGED / "chelsea.png").read_bytes()


def test_files_a_killed_process_left_are_removed_later(tmp_path: Path) -> None:
    old, own = tmp_path / f".a.png.0f{UNFINISHED}", tmp_path / ".percept-notes"
    for file in (old, own):
        file.write_text("half")
    being_written = WholeFile(tmp_path / "b.png")
    approve(tmp_path, REFERENCES, "coffee*")
    assert not old.exists() and own.exists()
    being_written.place()
    assert (tmp_path / "b.png").exists()


def started(baseline: Path, candidate: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "percept_cli", "approve", "--all"]
    command += [str(baseline), str(candidate)]
    return subprocess.Popen(
        command, env=clean_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_a_process_killed_in_mid_approval_leaves_whole_baselines(tmp_path: Path) -> None:
    """Fifty times, each at another moment of the work, found by the first file that appears."""
    olds, news = ({p.name: p.read_bytes() for p in d.iterdir()} for d in (REFERENCES, CHANGED))
    both = 0
    for attempt in range(50):
        baseline = tmp_path / str(attempt)
        approve(baseline, REFERENCES)
        process = started(baseline, CHANGED)
        while process.poll() is None:
            touched = any(path.name.endswith(UNFINISHED) for path in baseline.iterdir())
            if touched or (baseline / "article.png").read_bytes() != olds["article.png"]:
                time.sleep(attempt * 5e-5)
                process.send_signal(signal.SIGKILL)
                break
        process.communicate()
        found = {name: (baseline / name).read_bytes() for name in olds}
        assert all(content in (olds[name], news[name]) for name, content in found.items())
        both += found not in (olds, news)
    assert both  # Some were killed between their first baseline and their last.


def test_two_processes_approving_at_once_leave_whole_baselines(tmp_path: Path) -> None:
    approve(tmp_path, REFERENCES)
    news = [{p.name: p.read_bytes() for p in (SAMPLES / d).iterdir()} for d in ("edit-1", "edit-2")]
    for _ in range(3):
        processes = [started(tmp_path, SAMPLES / folder) for folder in ("edit-1", "edit-2")]
        assert [process.communicate() and process.returncode for process in processes] == [0, 0]
        for path in tmp_path.iterdir():
            assert path.read_bytes() in [new[path.name] for new in news]

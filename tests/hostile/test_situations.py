"""Odd places and names: one line that says what is wrong, and never a traceback."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REFERENCES, SAMPLES, Run, clean_environment

from percept_cli.cli import app, main
from percept_cli.cli.interrupts import Terminated

REFERENCE = SAMPLES / "references/coffee.png"


LONG = "n" * 300


def said(done: subprocess.CompletedProcess[str], *codes: int) -> str:
    assert done.returncode in codes, done.stderr
    assert "Traceback" not in done.stderr and done.stderr.startswith("percept: ")
    return done.stderr


@pytest.mark.parametrize("command", ["compare", "check"])
@pytest.mark.parametrize("name", ["loop", LONG, "a/" * 2500 + "x", "loop/in", "\udcff.png"])
def test_paths_that_lead_nowhere(percept: Run, tmp_path: Path, command: str, name: str) -> None:
    (tmp_path / "loop").symlink_to("loop")
    for pair in ((REFERENCE, name), (name, REFERENCE)):
        done = percept(command, *pair)
        assert "Traceback" not in done.stderr
        # A candidate that is not there fails a check; of all else nothing is known.
        assert done.returncode in (2, 3) or "MISSING" in done.stdout, done


@pytest.mark.parametrize("output", [f"--output={LONG}.csv", f"--heatmap={LONG}"])
def test_outputs_that_cannot_be(percept: Run, output: str) -> None:
    other = SAMPLES / "jpeg-1/coffee.jpg"
    assert "too long" in said(
        percept("compare", REFERENCE, other, "--layers=conv1_1", output), 2, 3
    )


def test_a_working_folder_that_is_gone(tmp_path: Path) -> None:
    script = (
        f"cd {tmp_path}; mkdir gone; cd gone; rmdir ../gone; exec {sys.executable} -m percept_cli"
    )
    line = f"{script} compare {REFERENCE} {REFERENCE}"
    done = subprocess.run(
        ["sh", "-c", line], capture_output=True, text=True, env=clean_environment()
    )
    assert done.returncode in (0, 2, 3) and "Traceback" not in done.stderr, done.stderr


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_a_folder_without_rights(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    said(percept("compare", tmp_path / "closed", SAMPLES / "references"), 2)


def test_a_full_standard_error_changes_no_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "percept_cli", "compare", REFERENCE, tmp_path / "nowhere.png"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, env=clean_environment())
    assert done.returncode == 3


def test_folders_that_link_to_each_other_are_walked_once(percept: Run, tmp_path: Path) -> None:
    """Eighteen levels of two links each: a quarter of a million paths to one picture."""
    for level in range(18):
        (tmp_path / f"f/{level}").mkdir(parents=True)
    for level in range(17):
        for link in "ab":
            (tmp_path / f"f/{level}/{link}").symlink_to(f"../{level + 1}")
    (tmp_path / "f/17/x.png").write_bytes(REFERENCE.read_bytes())
    done = percept("compare", "f", "f")
    assert done.returncode == 0 and done.stdout.count("x.png") == 2
    assert "f/0/b (a link to a folder)" in done.stdout


def test_folders_may_be_deep(percept: Run, tmp_path: Path) -> None:
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(1200):
        os.mkdir("d", dir_fd=place)
        inner = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    (tmp_path / "x.png").write_bytes(REFERENCE.read_bytes())
    try:
        assert percept("compare", tmp_path, tmp_path).returncode == 0
    finally:  # pytest could not remove it: Python below 3.12 recurses for each level.
        subprocess.run(["rm", "-r", tmp_path / "d"], check=True)


def test_another_users_configuration_is_refused(percept: Run, tmp_path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can give a file away")
    (tmp_path / "percept.toml").write_text('peak-threshold = "lenient"\n')
    os.chown(tmp_path / "percept.toml", 12345, -1)
    assert "belongs to another user" in said(percept("check", REFERENCE, REFERENCE, "-q"), 2)
    os.chown(tmp_path, 12345, -1)  # A checkout in a container, which is all that user's.
    assert percept("check", REFERENCE, REFERENCE, "-q").returncode == 0


def test_names_neither_command_a_terminal_nor_a_runner(percept: Run, tmp_path: Path) -> None:
    for folder in ("b", "c"):
        (tmp_path / folder).mkdir()
    for name in ("::error::x.png", "##[group]x.png", "\x1b[31mred.png", "--variant=x.png"):
        (tmp_path / "c" / name).write_bytes(REFERENCE.read_bytes())
    done = percept("check", "b", "c", GITHUB_ACTIONS="true")
    assert done.returncode == 1 and "\x1b[31mred" not in done.stdout + done.stderr
    commands = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if line.lstrip().startswith(("::", "##["))
    ]
    assert all(line.startswith("::error title=") for line in commands) and len(commands) == 4


def test_shown_commands_do_what_they_say_for_any_name(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "-c").mkdir()
    (tmp_path / "-c" / "--variant=x.png").write_bytes(REFERENCE.read_bytes())
    wrong = percept("check", "--", "-b", "-c")
    command = wrong.stderr.partition("make them: ")[2].strip()
    assert command == "percept approve -- -b -c"
    shell = f"{sys.executable} -m percept_cli {command.removeprefix('percept ')}"
    done = subprocess.run(
        ["sh", "-c", shell], cwd=tmp_path, env=clean_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / "-b").iterdir()] == ["--variant=x.png"]


def test_written_files_have_the_mode_of_the_umask(percept: Run, tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        percept("compare", REFERENCE, REFERENCE, "--output=r.json")
        percept("approve", tmp_path / "new", SAMPLES / "references")
    finally:
        os.umask(before)
    for file in (tmp_path / "r.json", tmp_path / "new/coffee.png"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_no_picture_is_overwritten_by_a_heat_map(percept: Run, tmp_path: Path) -> None:
    mine = (SAMPLES / "references/chelsea.png").read_bytes()
    (tmp_path / "coffee.jpg.png").write_bytes(mine)
    other = SAMPLES / "jpeg-1"
    done = percept("compare", REFERENCE.parent, other, "--layers=conv1_1", "--heatmap=.")
    assert "is there and no heat map of percept's" in said(done, 3)
    assert (tmp_path / "coffee.jpg.png").read_bytes() == mine
    assert len(list(tmp_path.glob("*.png"))) == 5
    (tmp_path / "coffee.jpg.png").unlink()
    for _ in range(2):  # Its own it writes over.
        done = percept("compare", REFERENCE.parent, other, "--layers=conv1_1", "--heatmap=.", "-q")
        assert done.returncode == 0


def test_an_output_that_fails_costs_the_others_nothing(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    arguments = ("check", REFERENCE, REFERENCE, "--json=full", "--junit=r.xml")
    done = percept(*arguments)
    assert done.returncode == 3 and "cannot write results to full: No space left" in done.stderr
    assert "incomplete" in done.stdout and (tmp_path / "r.xml").exists()


def test_the_results_there_were_stay_until_new_ones_are_whole(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text("old")
    wrong = percept("compare", REFERENCE, "nowhere", "--output=r.json", "--weights=nowhere")
    assert wrong.returncode == 2 and (tmp_path / "r.json").read_text() == "old"


@pytest.mark.parametrize("output", ["--report=out", "--heatmap=out"])
@pytest.mark.parametrize("below", ["pictures", "sub"])
def test_reports_and_heat_maps_follow_no_link_out_of_their_folder(
    percept: Run, tmp_path: Path, output: str, below: str
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/x.png").write_bytes(b"mine")
    for folder, name in (("a", "references/coffee.png"), ("b", "jpeg-2/coffee.jpg")):
        (tmp_path / folder / "sub").mkdir(parents=True)
        shutil.copy(SAMPLES / name, tmp_path / folder / "sub")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / below).symlink_to("../outside")
    done = percept("compare", "a", "b", "--layers=conv1_1", output)
    follows = (output, below) in (("--report=out", "pictures"), ("--heatmap=out", "sub"))
    assert done.returncode == (3 if follows else 0), done.stderr
    assert ("outside of out" in done.stderr) == follows
    assert [file.name for file in (tmp_path / "outside").iterdir()] == ["x.png"]


def test_the_configuration_is_named_in_every_result(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "percept.toml").write_text('layers = ["conv1_1"]\npeak-threshold = 0.1\n')
    pair = SAMPLES / "references/coffee.png", SAMPLES / "jpeg-2/coffee.jpg"
    outputs = ("--quiet", "--json=r.json", "--junit=r.xml", "--report=report")
    for written in (percept("check", *pair, *outputs).stdout, *_texts(tmp_path)):
        assert str(tmp_path / "percept.toml") in written
    rows = csv.DictReader(percept("compare", *pair, "--format=csv").stdout.splitlines())
    assert [row["configuration"] for row in rows] == [str(tmp_path / "percept.toml")]
    (tmp_path / "percept.toml").unlink()
    found = json.loads(percept("compare", *pair, "--layers=conv1_1", "--format=json").stdout)
    assert found["settings"]["configuration"] is None


def _texts(folder: Path) -> list[str]:
    return [(folder / name).read_text() for name in ("r.json", "r.xml", "report/index.html")]


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
def test_an_interrupt_outside_of_the_command_has_its_own_code(
    monkeypatch: pytest.MonkeyPatch, interrupt: type[KeyboardInterrupt], code: int
) -> None:
    def run() -> int:
        raise interrupt

    monkeypatch.setattr(app, "run", run)
    monkeypatch.setattr(Terminated, "raised", False)
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == code


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_in_any_command_has_its_own_code(number: str, code: int) -> None:
    script = f"""
import os, signal, sys
from percept_cli.cli import main, merge
signal.signal(signal.SIGINT, signal.default_int_handler)
merge.read_saved = lambda file: os.kill(os.getpid(), signal.{number})
sys.argv = ["percept", "merge", "r.json"]
main()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_in_a_callback_where_nothing_is_raised_comes_again(number: str, code: int) -> None:
    script = f"""
import os, signal, sys, time, weakref
from percept_cli.cli import main, merge
signal.signal(signal.SIGINT, signal.default_int_handler)
class Gone: pass
def read(file):
    gone = Gone()
    def end(_):
        os.kill(os.getpid(), signal.{number})
        time.sleep(0.1)
    reference = weakref.ref(gone, end)
    del gone
    time.sleep(60)
merge.read_saved = read
sys.argv = ["percept", "merge", "r.json"]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=50
    )
    assert done.returncode == code and not done.stderr, done.stderr


@pytest.mark.parametrize(("number", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_signal_while_torch_is_imported_does_not_break_it_off(number: str, code: int) -> None:
    """What is raised in the midst of it torch's C++ takes for a reason to end the process."""
    script = f"""
import os, signal, sys, threading, time
from percept_cli.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "torch":
            assert threading.current_thread() is not threading.main_thread()
            os.kill(os.getpid(), signal.{number})
            time.sleep(0.5)
sys.meta_path.insert(0, Finder())
sys.argv = ["percept", "compare", {str(REFERENCES[0])!r}, {str(REFERENCES[1])!r}]
main()
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=100
    )
    assert done.returncode == code and "Traceback" not in done.stderr, done.stderr

"""In a terminal: pictures where it has them, else what to open; results above the progress."""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from pathlib import Path

import pytest
from conftest import SAMPLES, Run, clean_environment

PAIR = [str(SAMPLES / name / "dashboard.png") for name in ("references", "edit-2")]
SIXEL = b"\x1b[?62;4c"
"""What a terminal that shows sixels answers when it is asked what it is."""


def in_terminal(folder: Path, *arguments: str, answer: bytes = b"") -> bytes:
    """What the command writes to a terminal that answers so."""
    ours, theirs = pty.openpty()
    ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 800, 1200))
    command = [sys.executable, "-m", "percept_cli", *arguments]
    environment = clean_environment(TERM="xterm-256color")
    process = subprocess.Popen(
        command, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs, env=environment
    )
    os.close(theirs)
    written = b""
    while True:
        ready, _, _ = select.select([ours], [], [], 0.02)
        if ready:
            try:
                found = os.read(ours, 65536)
            except OSError:  # Its other end is closed.
                break
            written += found
            if b"\x1b[c" in found:
                os.write(ours, answer)
        elif process.poll() is not None:
            break
    process.wait(60)
    os.close(ours)
    return written


def test_a_terminal_with_pictures_shows_them(tmp_path: Path) -> None:
    for _ in range(5):  # It waits a tenth of a second for the answer.
        written = in_terminal(tmp_path, "compare", *PAIR, "--show", answer=SIXEL)
        if b"\x1bP" in written:
            break
    assert b"\x1bP" in written and b"open " not in written


def test_another_terminal_is_told_what_to_open(percept: Run, tmp_path: Path) -> None:
    written = in_terminal(tmp_path, "compare", *PAIR, "--show", answer=b"\x1b[?62c").decode()
    found = re.search(r"can be shown here: open (\S+heatmap\.png)", written)
    assert found and Path(found[1]).is_file() and "\x1bP" not in written
    done = percept("compare", *PAIR, "--show", "--heatmap", "where.png")
    assert done.returncode == 0 and "open where.png" in done.stderr
    assert (tmp_path / "where.png").is_file()
    done = percept("compare", PAIR[0], PAIR[0], "--show")
    assert done.returncode == 0 and "there is no heat map" in done.stderr
    done = percept("compare", SAMPLES / "references", SAMPLES / "edit-2", "--show")
    assert done.returncode == 2 and "--show is for one pair" in done.stderr


def test_results_and_progress_do_not_share_lines(tmp_path: Path) -> None:
    written = in_terminal(tmp_path, "check", *PAIR).decode()
    before, failed, _ = written.partition("FAILED")
    assert failed and "comparing" in before
    line = re.split("\n|\x1b\\[2K", before)[-1]
    assert re.sub("\x1b\\[[0-9;]*m", "", line) == ""


@pytest.fixture
def browser(tmp_path: Path) -> dict[str, str]:
    """A browser that notes what it is asked to open."""
    program = tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" >> "{tmp_path}/opened"\n')
    program.chmod(0o755)
    return {"BROWSER": f"{program} %s"}


def test_the_report_is_opened(percept: Run, tmp_path: Path, browser: dict[str, str]) -> None:
    page = (tmp_path / "report/index.html").as_uri()
    for command in (
        ("compare", *PAIR, "--report=report", "--open", "--output=r.json"),
        ("check", *PAIR, "--report=report", "--open"),
        ("report", "r.json", "--output=report", "--open"),
    ):
        percept(*command, **browser)
        assert (tmp_path / "opened").read_text().split() == [page]
        (tmp_path / "opened").unlink()
    for command in (("compare", *PAIR, "--open"), ("check", *PAIR, "--open")):
        done = percept(*command)
        assert done.returncode == 2 and "--open: name the folder with --report" in done.stderr


def test_a_shell_completes_commands() -> None:
    asked = {"_PERCEPT_COMPLETE": "complete_bash", "COMP_WORDS": "percept che", "COMP_CWORD": "1"}
    command = Path(sys.executable).parent / "percept"
    done = subprocess.run(
        [command], env=clean_environment(**asked), capture_output=True, text=True, timeout=60
    )
    assert done.stdout.split() == ["check"]

"""What Windows and macOS have otherwise: calls that are not there, paths, names, quoting."""

from __future__ import annotations

import ntpath
import os
import shutil
import subprocess
import sys
from pathlib import Path, PureWindowsPath

import pytest
from conftest import SAMPLES, Run, clean_environment

from percept_cli.outputs import words
from percept_cli.outputs.words import command_line

WITHOUT = """
import os, signal, sys
import torch  # What it takes from the system is its own matter.
for name in ("fcntl", "resource", "termios", "pty", "pwd", "grp"):
    sys.modules[name] = None
for name in (
    "chown", "fchmod", "fork", "forkpty", "getegid", "geteuid", "getgid", "getloadavg", "getpgid",
    "getuid", "killpg", "mkfifo", "nice", "sched_getaffinity", "setsid", "statvfs", "sync", "wait4",
    "O_CLOEXEC", "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK",
):
    delattr(os, name)
for name in ("SIGALRM", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGUSR1"):
    delattr(signal, name)
sys.argv[0] = "percept"
from percept_cli.cli import main
main()
"""


def test_no_command_needs_what_only_unix_has(tmp_path: Path) -> None:
    shutil.copytree(SAMPLES / "references", tmp_path / "b")
    shutil.copytree(SAMPLES / "references", tmp_path / "s")
    shutil.copy(SAMPLES / "edit-2/dashboard.png", tmp_path / "s")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT, *arguments]
        environment = clean_environment(PERCEPT_NO_CACHE="")
        return subprocess.run(
            command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
        )

    outputs = ("--json=r.json", "--junit=j.xml", "--report=p", "--heatmap=m", "--cache=c")
    failed = run("check", "b", "s", *outputs)
    assert failed.returncode == 1 and "FAILED" in failed.stdout, failed.stderr
    assert run("compare", "b", "s", "--cache=c", "--output=r.csv").returncode == 0
    assert run("report", "r.json").returncode == 0
    assert run("approve", "b", "s").returncode == 0
    passed = run("check", "b", "s", "--cache=c")
    assert passed.returncode == 0, passed.stderr
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == sorted(
        path.name for path in (SAMPLES / "references").iterdir()
    )


def test_shown_commands_are_quoted_as_the_system_does(monkeypatch: pytest.MonkeyPatch) -> None:
    assert command_line("approve", "base lines", "it's") == "percept approve -- 'base lines' " + (
        "'it'\"'\"'s'"
    )

    class System:
        name = "nt"

    monkeypatch.setattr(words, "os", System)
    assert command_line("approve", r"C:\base lines") == r'percept approve -- "C:\base lines"'
    for name in ("a&calc.png", "%PATH%.png", "a;b.png", "$(calc).png", "a`b.png"):
        assert command_line("approve", name) is None


def test_names_in_results_have_slashes_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from percept_cli.inputs import pairs

    (tmp_path / "a/sub").mkdir(parents=True)
    shutil.copy(SAMPLES / "references/coffee.png", tmp_path / "a/sub")
    monkeypatch.setattr(pairs, "PurePath", PureWindowsPath)
    monkeypatch.setattr(pairs.os.path, "join", ntpath.join)
    # What is listed there comes with backslashes.
    monkeypatch.setattr(pairs, "_images_below", lambda _: ({r"sub\coffee.png"}, []))
    found, _ = pairs.pairs_of(tmp_path / "a", tmp_path / "a")
    assert [pair.name for pair in found] == ["sub/coffee.png"]
    assert found[0].file == tmp_path / "a/sub/coffee.png"


def test_pictures_of_names_that_differ_by_case_do_not_meet(percept: Run, tmp_path: Path) -> None:
    for folder, source in (("b", "references/coffee.png"), ("s", "edit-2/coffee.png")):
        for name in ("Home.png", "home.png"):
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(SAMPLES / source, tmp_path / folder / name)
    percept("compare", "b", "s", "--heatmap", "maps", "-q", "--layers", "conv1_1")
    names = [path.name for path in (tmp_path / "maps").iterdir()]
    assert len(names) == len({name.casefold() for name in names}) == 2


def test_a_file_that_another_program_holds_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from percept_cli.errors import unwritable
    from percept_cli.writing import write_whole

    target = tmp_path / "r.json"
    target.write_text("old")

    def replace(*_: object) -> None:
        raise PermissionError(13, "Access is denied")

    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(OSError) as caught:
        write_whole(b"new", target)
    assert unwritable(caught.value) and target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["r.json"]


def test_a_baseline_is_not_removed_by_another_spelling_of_its_name(tmp_path: Path) -> None:
    """Home.png and home.png are one file there: here, two names of one."""
    from percept_cli.gate.approve import Approval, carry_out

    for folder, name, source in (
        ("b", "home.png", "references/coffee.png"),
        ("s", "Home.png", "edit-2/coffee.png"),
    ):
        (tmp_path / folder).mkdir()
        shutil.copy(SAMPLES / source, tmp_path / folder / name)
    os.link(tmp_path / "b/home.png", tmp_path / "b/Home.png")
    changes = Approval(tmp_path / "b", tmp_path / "s", prune=True).changes()
    assert [(change.action, change.baseline.name) for change in changes] == [
        ("updated", "Home.png")
    ]
    for change in changes:
        carry_out(change)
    assert (tmp_path / "b/home.png").exists()

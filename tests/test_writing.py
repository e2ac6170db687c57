"""Files appear whole or not at all, with the mode that the umask asks for."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from percept_cli import writing
from percept_cli.errors import OutputError
from percept_cli.writing import UNFINISHED, WholeFile, remove, write_whole


@pytest.fixture(autouse=True)
def another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test looks into its folders as a new process does."""
    monkeypatch.setattr(writing, "_looked_into", set())


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o002])
def test_a_new_file_has_the_mode_that_the_umask_asks_for(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_whole(b"new", tmp_path / "sub" / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "sub/file").stat().st_mode) == 0o666 & ~umask


def test_an_old_file_keeps_its_mode_and_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"old")
    file.chmod(0o640)
    whole = WholeFile(file)
    whole.file.write(b"new")
    whole.file.flush()
    assert file.read_bytes() == b"old"
    whole.place()
    assert file.read_bytes() == b"new" and stat.S_IMODE(file.stat().st_mode) == 0o640
    assert list(tmp_path.iterdir()) == [file]


def test_what_was_not_placed_leaves_nothing(tmp_path: Path) -> None:
    whole = WholeFile(tmp_path / "file")
    whole.file.write(b"half")
    whole.drop()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed_and_what_another_writes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = (
        "import os, sys; from pathlib import Path; from percept_cli.writing import WholeFile\n"
        "WholeFile(Path(sys.argv[1])).file.write(b'half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path / "killed")])
    assert [path.name.endswith(UNFINISHED) for path in tmp_path.iterdir()] == [True]
    mine, other = (tmp_path / name for name in (".percept-notes", "other"))
    mine.write_text("keep me")
    writes = WholeFile(other)
    monkeypatch.setattr(writing, "_looked_into", set())
    write_whole(b"next", tmp_path / "next")
    writes.file.write(b"whole")
    writes.place()
    assert {path.name for path in tmp_path.iterdir()} == {".percept-notes", "other", "next"}


def test_long_names_are_written_too(tmp_path: Path) -> None:
    name = "ü" * 125 + ".png"
    write_whole(b"long", tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_pipe_is_written_to_directly(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE)
    write_whole(b"through", pipe)
    assert reader.communicate()[0] == b"through" and stat.S_ISFIFO(pipe.stat().st_mode)


def test_nothing_is_removed_outside_of_the_root(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "file").write_text("keep me")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "link").symlink_to("../outside")
    with pytest.raises(OutputError, match="outside of"):
        remove(tmp_path / "root" / "link" / "file", tmp_path / "root")
    remove(tmp_path / "root" / "link", tmp_path / "root")  # The link itself is inside.
    assert (tmp_path / "outside" / "file").exists()

"""Files that appear whole or not at all, and nothing outside of where they may.

What is not whole yet stands beside its target under a hidden name that nothing else has, locked by
the process that writes it. So whoever finds such a file without a lock knows that its writer was
killed: the next run that writes to the folder removes it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from errno import EISDIR
from pathlib import Path
from stat import S_IMODE, S_ISDIR, S_ISREG
from typing import BinaryIO

from percept_cli.errors import OutputError, shown

try:
    import fcntl
except ImportError:  # Windows removes no file that somebody has open.
    fcntl = None  # type: ignore[assignment]

UNFINISHED = ".percept-unfinished"
"""How names of files end that are not whole yet."""

LONGEST = 100
"""Most bytes of the target's name in such a name: file systems allow 255 in all."""

_looked_into: set[Path] = set()


def inside(path: Path, root: Path) -> Path:
    """The path with its links followed; OutputError where they lead out of the root's folder."""
    real, real_root = path.resolve(), root.resolve()
    if real != real_root and real_root not in real.parents:
        raise OutputError(
            f"{shown(path)} leads to {shown(real)}, outside of {shown(root)}, where nothing is "
            "written or removed: remove the link"
        )
    return real


def remove(path: Path, root: Path) -> None:
    """Remove a file, or a link and not what it leads to; OutputError outside of the root."""
    inside(path.parent, root)
    path.unlink(missing_ok=True)


def write_whole(content: bytes, target: Path, root: Path | None = None) -> None:
    """Write a file so that its path always holds the old content or all of the new.

    Raises OutputError where links lead out of the `root`, if given, and OSError where the file
    cannot be written.
    """
    whole = WholeFile(target, root)
    try:
        whole.file.write(content)
        whole.place()
    finally:
        whole.drop()


class WholeFile:
    """A file that takes its place when it is whole; until then the old one is still there.

    Arguments and errors are those of `write_whole`. A device or a pipe is written to directly. With
    `visible` what there is so far stands beside the target as NAME.part, and stays there if the
    process is killed.
    """

    def __init__(self, target: Path, root: Path | None = None, *, visible: bool = False) -> None:
        self._visible = visible
        self._target = inside(target, root) if root else target.resolve()
        self._mode = self._target.stat().st_mode if self._target.exists() else None
        self._unfinished: Path | None = None
        if self._mode is not None and S_ISDIR(self._mode):
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR), str(target))
        if self._mode is not None and not S_ISREG(self._mode):
            if root:
                raise OutputError(f"{shown(target)} is no regular file: remove it")
            self.file: BinaryIO = self._target.open("wb")
            return
        self._target.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(self._target.parent)
        if visible:
            self._unfinished = self._target.with_name(f"{self._target.name}.part")
            self.file = self._unfinished.open("wb")
        else:
            self._unfinished, self.file = _begun(self._target)

    @property
    def unfinished(self) -> Path | None:
        """Where it is until it is placed."""
        return self._unfinished

    def place(self) -> None:
        """Put it where it belongs."""
        self.file.flush()
        if self._unfinished:
            os.fsync(self.file.fileno())
            if self._mode is not None:
                self._unfinished.chmod(S_IMODE(self._mode))
            if not fcntl:
                self.file.close()
            # Still locked, so that nobody takes it for abandoned.
            self._unfinished.replace(self._target)
            self._unfinished = None
        self.file.close()

    def drop(self) -> None:
        """Leave nothing behind that is hidden, unless it has been placed."""
        with suppress(OSError):
            self.file.close()
        if self._unfinished and not self._visible:
            self._unfinished.unlink(missing_ok=True)
        self._unfinished = None


def _begun(target: Path) -> tuple[Path, BinaryIO]:
    """A new file beside the target, locked, with the mode that the umask asks for."""
    kept = os.fsencode(target.name)[:LONGEST].decode("utf-8", "ignore")
    while True:
        path = target.with_name(f".{kept}.{os.urandom(8).hex()}{UNFINISHED}")
        file = path.open("xb")
        if not fcntl:
            return path, file
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(path.stat(), os.fstat(file.fileno())):
                return path, file
        file.close()  # Another process took it for abandoned, before it was locked.


def remove_abandoned(folder: Path) -> None:
    """Remove what killed processes left in a folder, the first time in this process."""
    if folder in _looked_into:
        return
    _looked_into.add(folder)
    for path in folder.glob(f".*{UNFINISHED}"):
        with suppress(OSError):  # Another process may be done with it, or still writing.
            if not fcntl:
                path.unlink()
                continue
            with path.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()

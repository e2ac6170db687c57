"""Scores of pairs that were met before, in an SQLite file that many processes may share.

Values are bytes with a checksum; nothing of them is executed when they are read. What cannot be
read or written costs time, never a result: a damaged file is set aside, another fault leaves the
cache out for the rest of the run, and both are said.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import TypeVar

from percept_cli.errors import PerceptError, shown

T = TypeVar("T")

NAME = "scores.sqlite"
MOST_MIB = 2048
"""Size beyond which what was used longest ago is forgotten, unless another is asked for."""

PATIENCE = 30.0
"""Seconds to wait for another process that writes."""

LOOKED_AT = 256
"""Keys read between two notes of their use."""

LARGEST = 1 << 26
"""Bytes of a value beyond which it is not kept: the map of a huge image is."""

NO = ("", "0", "false", "no", "off", "f", "n")
"""What in the environment says no."""

FORGOTTEN = 0.1
"""Share of the values that goes when there are too many."""

CHECKSUM = 16
"""Bytes before each value."""

SCHEMA = """
CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, used REAL NOT NULL, value BLOB NOT NULL);
CREATE INDEX IF NOT EXISTS by_use ON scores (used);
"""


def default_folder() -> Path:
    """PERCEPT_CACHE, else the user's cache folder."""
    if named := os.environ.get("PERCEPT_CACHE"):
        return Path(named)
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with suppress(RuntimeError):
        return Path(cache).expanduser() / "percept"
    return Path(os.devnull) / "percept"  # Nobody's home: the cache says so and stays out.


def cache_for(
    wanted: str | os.PathLike[str] | bool, warn: Callable[[str], None], most_mib: int = MOST_MIB
) -> Cache | None:
    """The cache in that folder; for True the user's, unless PERCEPT_NO_CACHE is set.

    Raises PerceptError for a size that is none.
    """
    if most_mib < 1:
        raise PerceptError(f"--cache-size {most_mib}: give 1 MiB or more")
    unwanted = os.environ.get("PERCEPT_NO_CACHE", "").lower() not in NO
    if wanted is False or (wanted is True and unwanted):
        return None
    folder = default_folder() if wanted is True else Path(wanted)
    return Cache(folder, warn, most_mib << 20)


class Cache:
    """Key → value, of which those used longest ago go first; opened when it is first needed."""

    def __init__(
        self, folder: Path, warn: Callable[[str], None], most_bytes: int = MOST_MIB << 20
    ) -> None:
        self.path = folder / NAME
        self._warn = warn
        self._most = most_bytes
        self._lock = Lock()
        self._connection: sqlite3.Connection | None = None
        self._out = False
        self._used: list[bytes] = []
        self._written = 0

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        with self._lock:
            return self._guarded(lambda: self._get(key))

    def put(self, key: bytes, value: bytes) -> None:
        """Keep the value, if that is possible."""
        if len(value) > LARGEST:
            return
        with self._lock:
            self._guarded(lambda: self._put(key, value))

    def close(self) -> None:
        """Note what was used; the next use opens the file again."""
        with self._lock:
            if self._connection:
                self._guarded(self._note_use)
                if self._written:
                    self._guarded(self._forget)
                with suppress(sqlite3.Error):
                    self._connection.close()
                self._connection = None

    def size(self) -> tuple[int, int]:
        """How many values there are, and the bytes of their file; none where it is not there."""
        if not self.path.exists():
            return 0, 0
        with self._lock:
            count = self._guarded(lambda: self._first("SELECT count(*) FROM scores"))
        return count or 0, self.path.stat().st_size if self.path.exists() else 0

    def clear(self) -> None:
        """Forget everything, also of other processes that use it now."""
        with self._lock:
            self._guarded(self._clear)

    def _clear(self) -> None:
        connection = self._opened()
        for damaged in self.path.parent.glob(f"{NAME}.damaged-*"):
            damaged.unlink(missing_ok=True)
        connection.execute("DELETE FROM scores")
        connection.execute("VACUUM")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _guarded(self, act: Callable[[], T]) -> T | None:
        """What comes of it; None where the cache is, or now gets, out of use."""
        if self._out:
            return None
        try:
            return act()
        except sqlite3.OperationalError as error:  # No rights, no space, no lock in time.
            self._leave(f"cannot be used ({error}): nothing is kept")
        except (sqlite3.DatabaseError, _DamagedError) as error:
            self._set_aside(error)
        except OSError as error:
            self._leave(f"cannot be used ({error.strerror}): nothing is kept")
        return None

    def _leave(self, why: str) -> None:
        self._out = True
        self._warn(f"cache {shown(self.path)} {why}: --no-cache leaves it out")

    def _set_aside(self, error: Exception) -> None:
        """Rename the damaged files; the next use begins a new one."""
        if self._connection:
            with suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None
        aside = self.path.with_name(f"{NAME}.damaged-{time.time_ns()}")
        try:
            # Another process may have done so a moment ago: then there is nothing to set aside.
            for end in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.replace(f"{self.path}{end}", f"{aside}{end}")
        except OSError:
            self._leave(f"is damaged ({error}) and cannot be set aside")
        else:
            self._warn(
                f"cache {shown(self.path)} is damaged ({error}): set aside as {aside.name}, "
                "scores are computed anew"
            )

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            made = sqlite3.connect(
                self.path, timeout=PATIENCE, isolation_level=None, check_same_thread=False
            )
            try:
                # Readers do not wait for a writer; what is written survives a kill, and of a power
                # loss the file does.
                made.execute("PRAGMA journal_mode=WAL")
                made.execute("PRAGMA synchronous=NORMAL")
                made.executescript(SCHEMA)
            except sqlite3.Error:
                made.close()
                raise
            self._connection = made
        return self._connection

    def _get(self, key: bytes) -> bytes | None:
        row = self._opened().execute("SELECT value FROM scores WHERE key = ?", (key,)).fetchone()
        if row is None:
            return None
        stored = row[0]
        if not isinstance(stored, bytes) or stored[:CHECKSUM] != _checksum(key, stored[CHECKSUM:]):
            raise _DamagedError("a value has another checksum")
        self._used.append(key)
        if len(self._used) >= LOOKED_AT:
            self._note_use()
        return stored[CHECKSUM:]

    def _put(self, key: bytes, value: bytes) -> None:
        self._opened().execute(
            "INSERT OR REPLACE INTO scores VALUES (?, ?, ?)",
            (key, time.time(), _checksum(key, value) + value),
        )
        self._written += len(value)
        if self._written > self._most // 16:
            self._forget()

    def _note_use(self) -> None:
        used, self._used = self._used, []
        now = time.time()
        connection = self._opened()
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.executemany(
                "UPDATE scores SET used = ? WHERE key = ?", ((now, key) for key in used)
            )
        finally:
            connection.execute("COMMIT")

    def _forget(self) -> None:
        """Delete the values used longest ago, if there are too many; their room is used again."""
        self._written = 0
        while count := self._first("SELECT count(*) FROM scores"):
            pages = self._first("PRAGMA page_count") - self._first("PRAGMA freelist_count")
            if pages * self._first("PRAGMA page_size") <= self._most:
                break
            self._opened().execute(
                "DELETE FROM scores WHERE key IN (SELECT key FROM scores ORDER BY used LIMIT ?)",
                (max(int(count * FORGOTTEN), 1),),
            )

    def _first(self, query: str) -> int:
        return int(self._opened().execute(query).fetchone()[0])


class _DamagedError(Exception):
    """A value that is not what was written."""


def _checksum(key: bytes, value: bytes) -> bytes:
    return blake2b(key + value, digest_size=CHECKSUM).digest()

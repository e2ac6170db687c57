"""Images that are no files of this machine: fsspec's URLs, and the members of tar files."""

from __future__ import annotations

import os
import posixpath
import re
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, TypeAlias, TypeVar
from urllib.parse import unquote, urlsplit

from percept_cli.errors import OutputError, PerceptError, shown

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

T = TypeVar("T")

URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

WEB = re.compile(r"https?://", re.IGNORECASE)

LOST, SPARSE = (-1, 0), (-2, 0)
"""Where in a tar file, and how large, what a link to nothing leads to is, and a file with holes."""

MOST_LINKS = 40
"""Links that are followed from one name: as many as Linux follows."""

ATTEMPTS = 5
"""How often what may pass is tried, with pauses that double from FIRST_PAUSE seconds on."""
FIRST_PAUSE = 0.2

IN_FLIGHT = 32
"""Most pairs that are read ahead from elsewhere, all at once."""

FINAL = (FileNotFoundError, PermissionError, IsADirectoryError, NotImplementedError, ImportError)
"""What trying again does not mend."""

PASSING = (408, 425, 429)
"""Web servers' answers from 400 to 499 that do not say that the request is wrong."""


def without_secrets(text: str) -> str:
    """The text without users, passwords and the queries of web addresses that are in it."""
    text = re.sub(r"(\w://)[^/\s'\"@]*:[^/\s'\"@]*@", r"\1", text)
    text = re.sub(r"(https?://)[^/\s'\"@]*@", r"\1", text)
    return re.sub(r"(https?://[^\s'\"?#]*)[?#][^\s'\"]*", r"\1", text)


@dataclass(frozen=True)
class Remote:
    """An object, or a folder of them, that an fsspec URL names."""

    url: str = field(repr=False)
    folder: str | None = field(default=None, repr=False, compare=False)
    """URL of the folder in which it was found: in that `::` is a chain, after it part of a name."""

    def __str__(self) -> str:
        """The URL without what may be secret: user and password, of a web address the query."""
        return without_secrets(self.url)

    def __truediv__(self, name: str) -> Remote:
        path = self._path.rstrip("/")
        if WEB.match(self.url):
            return Remote(f"{path}/{name.replace('::', '%3A%3A')}{self._query}")
        return Remote(f"{path}/{name}", self.folder or path)

    @property
    def _path(self) -> str:
        """The URL without its query; elsewhere than on the web names may hold its characters."""
        return re.split(r"[?#]", self.url, maxsplit=1)[0] if WEB.match(self.url) else self.url

    @property
    def _query(self) -> str:
        return self.url[len(self._path) :]

    @property
    def name(self) -> str:
        """Its last part."""
        return posixpath.basename(self._path.rstrip("/"))

    @property
    def suffix(self) -> str:
        return posixpath.splitext(self.name)[1]

    @property
    def parent(self) -> Remote:
        return Remote(posixpath.dirname(self._path.rstrip("/")))

    def read(self, max_bytes: int) -> bytes:
        """All of it; PerceptError if there is none, it cannot be read, or has more bytes."""
        try:
            content = self._tried(lambda fs, path: fs.cat_file(path, start=0, end=max_bytes + 1))
        except PerceptError as error:
            # Of nothing no part can be had.
            if "range" not in str(error.__cause__).lower() or not self._is_empty():
                raise
            return b""
        if len(content) > max_bytes:
            raise PerceptError(
                f"{self}: over --max-bytes {max_bytes}: raise it if you trust the file"
            )
        return bytes(content)

    def _is_empty(self) -> bool:
        with suppress(PerceptError):
            return bool(self._tried(lambda fs, path: fs.info(path).get("size") == 0))
        return False

    def part(self, start: int, end: int) -> bytes:
        """Some of its bytes; PerceptError as `read`."""
        content = bytes(self._tried(lambda fs, path: fs.cat_file(path, start=start, end=end)))
        # Some web servers know no parts, and give all.
        return content if len(content) <= end - start else content[start:end]

    def is_folder(self) -> bool:
        """Whether it holds objects; PerceptError if that cannot be told."""
        # On the web one would have to fetch it to know.
        return not (self.suffix and WEB.match(self.url)) and _is_folder(self)

    def below(self) -> dict[str, Remote]:
        """All objects below it, by their names without its own."""

        def names(fs: AbstractFileSystem, path: str) -> list[str]:
            root = path.rstrip("/") + "/"
            return [str(name).removeprefix(root) for name in fs.find(path)]

        # What ends with a slash stands for a folder.
        found = [name for name in sorted(self._tried(names)) if name and not name.endswith("/")]
        web = WEB.match(self.url)
        return {unquote(name) if web else name: self / name for name in found}

    def look_anew(self) -> None:
        """Forget what was found there before."""
        _is_folder.cache_clear()
        self._tried(lambda fs, _: fs.invalidate_cache())

    def exists(self) -> bool:
        """Whether there is such an object, or one below it; PerceptError if that cannot be told."""

        def found(fs: AbstractFileSystem, path: str) -> bool:
            # Others than this take whatever fails for an answer.
            try:
                return fs.exists(path, strict=True) if WEB.match(self.url) else bool(fs.info(path))
            except FileNotFoundError:
                return False

        return self._tried(found)

    def beside(self) -> list[Remote]:
        """The objects in its folder, with itself; of a web server nobody can tell."""
        if WEB.match(self.url):
            return []
        folder = self.parent
        found = folder._tried(lambda fs, path: fs.ls(path, detail=False) if fs.isdir(path) else [])
        return [folder / posixpath.basename(name) for name in sorted(found)]

    def opened(self) -> BinaryIO:
        """A stream that reads it block by block."""
        stream: BinaryIO = self._tried(lambda fs, path: fs.open(path, "rb"))
        return stream

    def put(self, file: Path) -> None:
        """Store a file there; OutputError if that fails."""
        self._change(lambda fs, path: fs.put_file(str(file), path))

    def write(self, content: bytes) -> None:
        """Store an object there; OutputError if that fails."""
        self._change(lambda fs, path: fs.pipe_file(path, content))

    def remove(self) -> None:
        """Remove the object; OutputError if that fails."""
        self._change(lambda fs, path: fs.rm_file(path), "no such object")

    def _change(
        self,
        act: Callable[[AbstractFileSystem, str], object],
        missing: str = "no such bucket, or folder",
    ) -> None:
        try:
            self._tried(act)
        except PerceptError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                raise OutputError(f"{self}: {missing}: check the URL") from error
            raise OutputError(str(error)) from error

    def located(self) -> tuple[AbstractFileSystem, str]:
        """The file system and the path in it; PerceptError where its package is missing."""
        return self._tried(lambda fs, path: (fs, path))

    def _tried(self, act: Callable[[AbstractFileSystem, str], T]) -> T:
        """What comes of it, after some tries; PerceptError in words without secrets."""
        try:
            from fsspec.core import url_to_fs
            from tenacity import (
                Retrying,
                retry_if_exception,
                stop_after_attempt,
                wait_exponential,
                wait_random,
            )

            root = self.folder or self.url
            fs, path = url_to_fs(root)
            path += self.url[len(root) :]
            for attempt in Retrying(
                # Some try again by themselves.
                stop=stop_after_attempt(1 if hasattr(fs, "retries") else ATTEMPTS),
                wait=wait_exponential(FIRST_PAUSE) + wait_random(0, FIRST_PAUSE),
                retry=retry_if_exception(_may_pass),
                reraise=True,
            ):
                with attempt:
                    return act(fs, path)
        except FileNotFoundError as error:
            raise PerceptError(f"{self}: no such object: check the URL") from error
        except PermissionError as error:
            raise PerceptError(f"{self}: no permission: check your credentials") from error
        except ImportError as error:
            reason = _first_line(error)
            raise PerceptError(
                f"{self}: a package is missing ({reason}): run 'pip install "
                '"percept-cli[remote]"\', and what that names'
            ) from error
        except Exception as error:  # Each file system has errors of its own.
            reason = without_secrets(_first_line(error))
            raise PerceptError(f"{self}: cannot be used ({reason}): check it") from error
        raise AssertionError("every attempt returns or raises")


class Upload:
    """A file of this machine that is stored elsewhere when it is whole, as WholeFile places one."""

    unfinished = None

    def __init__(self, target: Remote) -> None:
        self._target = target
        self._folder = tempfile.TemporaryDirectory(prefix="percept-")
        self._here = Path(self._folder.name) / "results"
        self.file: BinaryIO = self._here.open("wb")

    def place(self) -> None:
        """Store it; OutputError if that fails."""
        self.file.close()
        self._target.put(self._here)

    def drop(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self.file.close()
        self._folder.cleanup()


@dataclass(frozen=True)
class Member:
    """A file in a tar file."""

    archive: Path | Remote
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{shown(self.archive)}/{self.name}"

    def read(self, max_bytes: int) -> bytes:
        """All of it; PerceptError if it cannot be read, or has more bytes."""
        if (self.start, self.size) == LOST:
            raise PerceptError(f"{self}: a link to nothing in the tar file: store what it leads to")
        if (self.start, self.size) == SPARSE:
            raise PerceptError(f"{self}: stored with holes: write the tar file without --sparse")
        if self.size > max_bytes:
            raise PerceptError(
                f"{self}: {self.size} bytes, over --max-bytes {max_bytes}: "
                "raise it if you trust the file"
            )
        if isinstance(self.archive, Remote):
            content = self.archive.part(self.start, self.start + self.size)
        else:
            try:
                with self.archive.open("rb") as stream:
                    stream.seek(self.start)
                    content = stream.read(self.size)
            except OSError as error:
                raise PerceptError(
                    f"{self}: cannot be read ({error.strerror}): check it"
                ) from error
        if len(content) < self.size:
            raise PerceptError(f"{self}: the tar file is cut short: write it again")
        return content


Stored = (Remote, Member)

Place: TypeAlias = Path | Remote | Member
"""Where an image is."""


def named(place: Place) -> PurePath:
    """Its name as a path: what has a stem and a suffix, and stands below others."""
    return PurePath(shown(place))


def place_of(text: str | os.PathLike[str]) -> Path | Remote:
    """What a text names: an fsspec URL, else a path. `file://` is the path that it names."""
    if isinstance(text, Path):
        return text
    words = os.fspath(text)
    if not URL.match(words):
        return Path(words)
    if words.lower().startswith("file://"):
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(words).path))
    return Remote(words)


def here(text: str) -> Path:
    """A path of this machine; PerceptError for a URL."""
    place = place_of(text)
    if isinstance(place, Remote):
        raise PerceptError(f"{place}: no URL is taken here: name a path of this machine")
    return place


def resolved(place: Path | Remote) -> Path | Remote:
    """What is equal for two names of one file or folder, where that can be told."""
    return place.resolve() if isinstance(place, Path) else place


def is_archive(place: Path | Remote) -> bool:
    """Whether it is a tar file, which counts as the folder of its files."""
    is_tar = place.suffix.lower() == ".tar"
    return is_tar and not (isinstance(place, Path) and place.is_dir())


def members(archive: Path | Remote) -> tuple[dict[str, Member], list[str]]:
    """The files of a tar file by their names, and its links to folders; PerceptError if it is none.

    The last of several of one name counts. A link to a file is that file.
    """
    import tarfile

    stream: BinaryIO
    entries: dict[str, tuple[int, int] | str] = {}
    try:
        stream = archive.opened() if isinstance(archive, Remote) else archive.open("rb")
        with stream, tarfile.open(fileobj=stream, mode="r:") as tar:
            for info in tar:
                name = posixpath.normpath(info.name)
                if info.isreg():
                    entries[name] = SPARSE if info.issparse() else (info.offset_data, info.size)
                elif info.islnk():
                    # To what came before, under its own name too: a file that was named twice.
                    target = posixpath.normpath(info.linkname)
                    entries[name] = entries.get(target, target)
                elif info.issym():  # It leads on from its own folder.
                    target = posixpath.join(posixpath.dirname(name), info.linkname)
                    entries[name] = posixpath.normpath(target)
    except tarfile.TarError as error:
        raise PerceptError(
            f"{shown(archive)}: no tar file ({_first_line(error)}): write it again, uncompressed"
        ) from error
    except PerceptError:
        raise
    except Exception as error:  # As above.
        reason = without_secrets(getattr(error, "strerror", None) or _first_line(error))
        raise PerceptError(f"{shown(archive)}: cannot be read ({reason}): check it") from error
    folders = {parent.as_posix() for name in entries for parent in PurePosixPath(name).parents}
    found: dict[str, Member] = {}
    again: list[str] = []
    for name, entry in entries.items():
        target = _followed(name, entries) if isinstance(entry, str) else name
        place = entries.get(target)
        if isinstance(place, tuple):
            found[name] = Member(archive, name, *place)
        elif target in folders:
            again.append(name)
        else:
            found[name] = Member(archive, name, *LOST)
    return found, again


def _followed(name: str, entries: Mapping[str, tuple[int, int] | str]) -> str:
    """Where links lead to, of the name or of a folder in it; after too many, one of them."""
    for _ in range(MOST_LINKS):
        path = PurePosixPath(name)
        for part in (*reversed(path.parents), path):
            target = entries.get(part.as_posix())
            if isinstance(target, str):
                name = posixpath.normpath(posixpath.join(target, path.relative_to(part)))
                break
        else:
            break
    return name


@cache
def _is_folder(place: Remote) -> bool:
    return bool(place._tried(lambda fs, path: fs.isdir(path)))


def _may_pass(error: BaseException) -> bool:
    status = getattr(error, "status", None)  # Of a web server's answer.
    refused = isinstance(status, int) and (400 <= status < 500 or status == 501)
    return not isinstance(error, FINAL) and (not refused or status in PASSING)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__

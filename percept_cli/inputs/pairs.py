"""What to compare with what: two files, two folders, a file and a folder, or a manifest."""

from __future__ import annotations

import csv
import json
import math
import os
import unicodedata
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePath
from typing import Any, TextIO, overload

from percept_cli.errors import PerceptError, shown
from percept_cli.inputs.files import reason_of
from percept_cli.inputs.kinds import holds_image, readable
from percept_cli.inputs.stored import (
    URL,
    Place,
    Remote,
    is_archive,
    members,
    place_of,
    without_secrets,
)
from percept_cli.inputs.text import opened_text

SPELT = "the two names are written in different Unicode forms"


ROWS = 1000
"""Rows of a Parquet manifest that are read together."""

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")

DELIMITERS = ",;\t"
"""What stands between the columns of a CSV file; the first of those that are as frequent."""


@dataclass(frozen=True)
class Pair:
    """Two images to compare; one of them is None where a folder has no partner for the other."""

    reference: Place | None
    candidate: Place | None
    name: str
    """Path that tells this pair from the others, without the part they share."""
    error: str | None = None
    """Why there is nothing to compare: an ambiguous match, a bad line of a manifest."""
    notes: tuple[str, ...] = ()
    """What is worth knowing of how the two were matched."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What a manifest says of the pair besides its images."""

    @property
    def baseline(self) -> Path | None:
        """The reference, if it is a file of this machine."""
        return self.reference if isinstance(self.reference, Path) else None

    @property
    def file(self) -> Path | None:
        """The candidate, if it is a file of this machine."""
        return self.candidate if isinstance(self.candidate, Path) else None


@dataclass(frozen=True)
class Folder:
    """The images of a folder, of a tar file, or below a URL."""

    place: Path | Remote
    names: Collection[str]
    """Relative paths of the images."""
    others: list[str]
    """Files that are no images."""
    stored: Mapping[str, Place] | None = None
    """Name → where it is; None where that is its path in the folder."""

    def at(self, name: str) -> Place:
        """Where the image of that name is."""
        return self.place / name if self.stored is None else self.stored[name]

    @classmethod
    def of(cls, place: Path | Remote) -> Folder:
        """What there is; PerceptError if that cannot be read."""
        if isinstance(place, Path) and not is_archive(place):
            names, others = _images_below(place)
            return cls(place, [PurePath(name).as_posix() for name in names], others)
        if is_archive(place):
            found: Mapping[str, Place]
            found, again = members(place)
        else:
            assert isinstance(place, Remote)
            found, again = place.below(), []
        shown_ones = {name: image for name, image in found.items() if not _is_hidden(name)}
        images = {name: image for name, image in shown_ones.items() if readable(name)}
        others = [shown(image) for name, image in shown_ones.items() if name not in images]
        others += [
            f"{shown(place)}/{name} (a link to a folder)" for name in again if not _is_hidden(name)
        ]
        return cls(place, list(images), others, images)


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


class Matched(Sequence[Pair]):
    """Pairs of two folders; what both have under one name is made a pair when it is asked for.

    There may be millions.
    """

    def __init__(self, before: Folder, after: Folder, rows: list[str | Pair]) -> None:
        self._before, self._after, self._rows = before, after, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Pair: ...
    @overload
    def __getitem__(self, place: slice) -> list[Pair]: ...
    def __getitem__(self, place: int | slice) -> Pair | list[Pair]:
        found = self._rows[place]
        return [self._pair(row) for row in found] if isinstance(found, list) else self._pair(found)

    def _pair(self, row: str | Pair) -> Pair:
        if isinstance(row, Pair):
            return row
        return Pair(self._before.at(row), self._after.at(row), row)


def is_folder(place: Path | Remote) -> bool:
    """Whether it holds images, rather than being one."""
    if is_archive(place):
        return True
    return place.is_folder() if isinstance(place, Remote) else place.is_dir()


def pairs_of(
    reference: Path | Remote, candidate: Path | Remote
) -> tuple[Sequence[Pair], list[str]]:
    """Pairs of two places in the order of their names, and files left out as no images.

    Raises PerceptError for a folder against something that is neither a file nor a folder.
    """
    for place in (reference, candidate):
        is_local_folder = isinstance(place, Path) and place.is_dir()
        if place.name.lower().endswith(COMPRESSED) and not is_local_folder:
            raise PerceptError(f"{shown(place)}: compressed tar files are not read: unpack it")
        if isinstance(place, Remote):
            place.look_anew()
    if Remote in map(type, (reference, candidate)) or any(map(is_archive, (reference, candidate))):
        return _stored_pairs(reference, candidate)
    assert isinstance(reference, Path) and isinstance(candidate, Path)
    if reference.is_dir() and candidate.is_dir():
        return _folders(Folder.of(reference), Folder.of(candidate))
    if candidate.is_dir():
        if not os.path.lexists(reference):
            raise PerceptError(f"{shown(reference)}: no such file or folder: check the path")
        images, others = _images_below(candidate)
        pairs = [Pair(reference, candidate / name, name) for name in sorted(images)]
        return pairs, others
    if reference.is_dir():
        if candidate.exists():
            raise PerceptError(
                f"{shown(reference)} is a folder and {shown(candidate)} a file: to compare one "
                "reference with a folder, name the file first"
            )
        raise PerceptError(f"{shown(candidate)}: no such folder: check the path")
    return [Pair(reference, candidate, candidate.name)], []


def _stored_pairs(
    reference: Path | Remote, candidate: Path | Remote
) -> tuple[Sequence[Pair], list[str]]:
    if not is_folder(candidate):
        if is_folder(reference):
            if not candidate.exists():
                raise PerceptError(f"{shown(candidate)}: no such folder: check the path")
            raise PerceptError(
                f"{shown(reference)} is a folder and {shown(candidate)} a file: to compare one "
                "reference with a folder, name the file first"
            )
        return [Pair(reference, candidate, candidate.name)], []
    found = Folder.of(candidate)
    if not reference.exists():
        raise PerceptError(f"{shown(reference)}: no such file or folder: check the path")
    if is_folder(reference):
        return _folders(Folder.of(reference), found)
    pairs = [Pair(reference, found.at(name), name) for name in sorted(found.names)]
    return pairs, found.others


def _folders(before: Folder, after: Folder) -> tuple[Sequence[Pair], list[str]]:
    """Match by relative path, else by the path without its extension."""
    left, right = set(before.names), set(after.names)
    both = left & right
    left -= both
    right -= both
    rows: list[str | Pair] = list(both)
    composed = {_composed(name): name for name in left}
    for name in sorted(right):
        # Some systems store an accented letter as one character, others as two.
        if (other := composed.pop(_composed(name), None)) is not None:
            rows.append(Pair(before.at(other), after.at(name), name, notes=(SPELT,)))
            left.remove(other)
            right.remove(name)
    left_stems, right_stems = _by_stem(left), _by_stem(right)
    for stem in left_stems.keys() | right_stems.keys():
        ours, theirs = left_stems.get(stem, []), right_stems.get(stem, [])
        if len(ours) == 1 and len(theirs) == 1:
            rows.append(Pair(before.at(ours[0]), after.at(theirs[0]), theirs[0]))
        elif ours and theirs:
            files = [shown(before.at(n)) for n in ours] + [shown(after.at(n)) for n in theirs]
            reason = f"ambiguous match: {', '.join(files)}: rename or remove all but one of each"
            rows.append(Pair(before.at(ours[0]), after.at(theirs[0]), theirs[0], reason))
        else:
            rows += [Pair(before.at(name), None, name) for name in ours]
            rows += [Pair(None, after.at(name), name) for name in theirs]
    rows.sort(key=lambda row: row if isinstance(row, str) else row.name)
    matched = Matched(replace(before, names=()), replace(after, names=()), rows)
    return matched, before.others + after.others


def _composed(name: str) -> str:
    return unicodedata.normalize("NFC", name)


def _by_stem(names: Iterable[str]) -> dict[str, list[str]]:
    stems: dict[str, list[str]] = {}
    for name in sorted(names):
        stems.setdefault(_composed(os.path.splitext(name)[0]), []).append(name)
    return stems


def _images_below(folder: Path) -> tuple[set[str], list[str]]:
    """Relative paths of a folder's images, and the other files; hidden files are not looked at."""
    names, again = _files(folder)
    images = {name for name in names if readable(name) or holds_image(folder / name)}
    others = [shown(folder / name) for name in names if name not in images]
    return images, sorted(
        others + [f"{shown(folder / name)} (a link to a folder)" for name in again]
    )


def _files(folder: Path) -> tuple[list[str], list[str]]:
    """Relative paths of all files that are not hidden, and links to folders that are walked anyway.

    Each folder is walked once, by its own path if it has one in here: links may make circles.
    """
    names: list[str] = []
    again: list[str] = []
    walked: set[str] = set()
    folders, links = deque([("", os.path.realpath(folder))]), deque[str]()
    while folders or links:
        below, place = folders.popleft() if folders else (links.popleft(), "")
        place = place or os.path.realpath(folder / below)
        if place in walked:
            again.append(below)
            continue
        walked.add(place)
        try:
            with os.scandir(folder / below) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    name = os.path.join(below, entry.name)
                    if entry.name.startswith("."):
                        continue
                    if not entry.is_dir():
                        names.append(name)
                    elif entry.is_symlink():
                        links.append(name)
                    else:
                        folders.append((name, os.path.join(place, entry.name)))
        except OSError as error:
            reason = error.strerror
            raise PerceptError(
                f"{shown(folder / below)}: cannot be read ({reason}): check its rights"
            ) from error
    return names, again


def pairs_in(manifest: Path | Remote) -> Iterator[Pair]:
    """Pairs of a CSV or JSON Lines file, in its order; paths are relative to its folder.

    A line that names no pair becomes a pair with an error. Raises PerceptError for a file that
    cannot be read or has another suffix.
    """
    suffix = manifest.suffix.lower()
    if suffix not in (".csv", ".jsonl", ".ndjson", ".parquet"):
        raise PerceptError(
            f"{shown(manifest)}: unknown kind of manifest: give .csv, .jsonl or .parquet"
        )
    try:
        if suffix == ".parquet":
            yield from _from_parquet(manifest)
            return
        with opened_text(manifest, "surrogateescape") as lines:
            read = _from_csv if suffix == ".csv" else pairs_from_lines
            yield from read(lines, manifest.parent, shown(manifest))
    except OSError as error:
        reason = without_secrets(error.strerror or reason_of(error))
        raise PerceptError(f"{shown(manifest)}: cannot be read ({reason}): check it") from error
    except UnicodeError as error:
        raise PerceptError(f"{shown(manifest)}: no text: save it as UTF-8") from error


def _from_csv(lines: TextIO, folder: Path | Remote, source: str) -> Iterator[Pair]:
    head = lines.readline()
    delimiter = max(DELIMITERS, key=head.count)
    columns = [name.strip() for name in next(csv.reader([head], delimiter=delimiter), [])]
    if missing := {"reference", "candidate"} - set(columns):
        raise PerceptError(f"{source}: no column {max(missing)!r}: begin with reference,candidate")
    rows = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        try:
            cells = next(rows, None)
        except csv.Error as error:
            where = f"{source}:{rows.line_num + 1}"
            yield Pair(None, None, where, f"{where}: not CSV ({error}): mend the line")
            continue
        where = f"{source}:{rows.line_num + 1}"
        if cells is None:
            return
        if cells:
            named = zip(columns, (cell.strip() for cell in cells), strict=False)
            yield pair_of_row(dict(named), folder, where)


def pairs_from_lines(lines: TextIO, folder: Path | Remote, source: str) -> Iterator[Pair]:
    """Pairs of JSON Lines, each yielded before the next line is read."""
    for number, line in enumerate(iter(lines.readline, ""), start=1):
        where = f"{source}:{number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            reason = f"{where}: not JSON ({error}): mend the line"
            yield Pair(None, None, where, reason)
        else:
            yield pair_of_row(row if isinstance(row, dict) else {}, folder, where)


def _from_parquet(manifest: Path | Remote) -> Iterator[Pair]:
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise PerceptError(
            f"{shown(manifest)}: Parquet needs pyarrow: run 'pip install \"percept-cli[tables]\"'"
        ) from error
    try:
        file = parquet.ParquetFile(manifest.opened() if isinstance(manifest, Remote) else manifest)
        number = 0
        for batch in file.iter_batches(ROWS):
            for row in batch.to_pylist():
                number += 1
                yield pair_of_row(row, manifest.parent, f"{shown(manifest)}:{number}")
    except (PerceptError, OSError):
        raise
    except Exception as error:  # Arrow has errors of its own, and each file system.
        reason = without_secrets(reason_of(error))
        raise PerceptError(f"{shown(manifest)}: no Parquet file ({reason}): check it") from error


def _plain(value: object) -> object:
    """The value as every output can have it."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {shown(name): _plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value if value is None or isinstance(value, bool | int | float) else shown(value)


def pair_of_row(row: Mapping[str, object], folder: Path | Remote, where: str) -> Pair:
    """The pair of a manifest's row, with paths relative to its folder; an error for one of none."""
    paths = {
        key: place_of(value) if URL.match(value) else folder / value
        for key in ("reference", "candidate")
        if isinstance(value := row.get(key), str) and value and "\0" not in value
    }
    extra = {
        shown(name): _plain(value)
        for name, value in row.items()
        if name not in ("reference", "candidate")
    }
    name = shown(paths.get("candidate", row.get("candidate")))
    if isinstance(paths.get("candidate"), Path):
        name = str(row.get("candidate"))
    pair = Pair(paths.get("reference"), paths.get("candidate"), name, extra=extra)
    for key in ("reference", "candidate"):
        if key not in paths:
            reason = f"{where}: no {key}: each line names a reference and a candidate"
            return replace(pair, error=reason)
    return pair

"""Candidates become baselines: each file at once or not at all."""

from __future__ import annotations

import difflib
import hashlib
import os
import re
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path, PurePath
from typing import Literal, TypeAlias

from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.gate.baselines import VARIANT, checked_pairs, matches, variant_name
from percept_cli.inputs.files import MAX_BYTES, read_bytes, size_of
from percept_cli.inputs.pairs import Pair, is_folder, pairs_of
from percept_cli.inputs.stored import Place, Remote, is_archive, named
from percept_cli.writing import remove, write_whole

Action = Literal["added", "updated", "removed", "unchanged", "passed", "gone", "left out", "error"]

Hashes: TypeAlias = "tuple[str | None, str | None]"
"""Of the baseline and of the candidate; None where there was none."""

Passing = Callable[[Sequence[Pair]], Collection[str]]
"""The names of those of some pairs that a check passes."""


@dataclass(frozen=True)
class Change:
    """What becomes of one baseline, or is not made one: a file that is no image is left out.

    It stays as it is where its candidate is unchanged, passed the check, or is gone.
    """

    action: Action
    baseline: Path | Remote
    candidate: Place | None = None
    error: str | None = None
    root: Path | None = None
    """Outside of this folder nothing is written or removed; None for the baseline's own."""
    sha256: str | None = None
    """Hash of the candidate that is accepted."""
    size: int = 0
    """Its bytes."""
    successor: Path | Remote | None = None
    """What takes its place: where that cannot be written it is not removed."""


@dataclass(frozen=True)
class Approval:
    """Which candidates are accepted, and how."""

    baseline: Path | Remote
    candidate: Path | Remote
    globs: Sequence[str] = ()
    variant: str | None = None
    """Keep the baselines there are, and add candidates of theirs as their variant of this name."""
    prune: bool = False
    """Remove baselines whose candidate is gone."""
    passing: Passing | None = None
    """What a check passes stays as it is; without, only equal files do."""
    accepted: Mapping[str, Hashes] | None = None
    """Only images of these names, with the hashes that the files of each had."""
    max_pixels: int = 200_000_000
    max_bytes: int = MAX_BYTES

    def changes(self) -> list[Change]:
        """What is to be done, by the names of the images; nothing is done yet.

        Raises PerceptError if there is nothing to accept, or a glob matches no image.
        """
        if self.variant is not None and not re.fullmatch(r"[^/\\~]+", self.variant):
            raise PerceptError(f"variant {self.variant!r}: give a name without / and ~")
        if is_archive(self.baseline):
            raise PerceptError(f"{shown(self.baseline)}: a tar file cannot be changed: unpack it")
        if not self.candidate.exists():
            raise PerceptError(f"{shown(self.candidate)}: no such file or folder: check the path")
        if is_folder(self.candidate) and not is_folder(self.baseline) and self.baseline.exists():
            raise PerceptError(
                f"{shown(self.baseline)} is a file and {shown(self.candidate)} a folder: name a "
                "folder of baselines"
            )
        groups: dict[str, list[Pair]] = {}
        pairs, others = self._pairs()
        for pair in pairs:
            groups.setdefault(pair.name, []).append(pair)
        for glob in self.globs:
            if not any(matches(name, glob) for name in {*groups, *(self.accepted or ())}):
                near = difflib.get_close_matches(glob, groups, n=1)
                hint = f"did you mean {near[0]!r}?" if near else "give globs such as 'home*.png'"
                raise PerceptError(f"no image matches {glob!r}: {hint}")
        if not any(pair.candidate for group in groups.values() for pair in group):
            raise PerceptError(f"{shown(self.candidate)}: no candidates: nothing to approve")
        left_out = [name for name in others if self._chooses(name)]
        chosen = {name: group for name, group in groups.items() if self._chooses(name)}
        lost: list[str] = []
        if self.accepted is not None:
            left_out = []
            chosen = {name: group for name, group in chosen.items() if name in self.accepted}
            there = {name for name, group in groups.items() if group[0].candidate}
            hashes = self.accepted.items()
            lost = [n for n, (_, after) in hashes if self._chooses(n) and after and n not in there]
            chosen = {name: group for name, group in chosen.items() if name not in lost}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(pool.map(self._changes, chosen, chosen.values()))
        made = _without_other_names(self._without_passing(list(chosen.values()), found))
        for name in lost:
            reason = f"{shown(self.candidate / name)}: gone since that check: check it again"
            made.append(Change("error", self.baseline / name, error=reason))
        for name in left_out:
            made.append(Change("left out", self.baseline / name, self.candidate / name))
        if is_folder(self.candidate) and isinstance(self.baseline, Path):
            return [replace(change, root=self.baseline) for change in made]
        return made

    def _without_passing(self, groups: list[list[Pair]], found: list[list[Change]]) -> list[Change]:
        """All changes, but for those of candidates that a check passes."""
        grouped = list(zip(groups, found, strict=True))
        differing = [
            pair
            for group, changes in grouped
            for pair in group
            if pair.reference and changes and changes[0].action in ("added", "updated")
        ]
        passed = self.passing(differing) if self.passing and differing else ()
        made: list[Change] = []
        for group, changes in grouped:
            if changes and group[0].name in passed:
                changes = [replace(changes[0], action="passed")]
            made += changes
        return made

    def _pairs(self) -> tuple[Sequence[Pair], list[str]]:
        """Pairs, and the names of those files among the candidates that are no images."""
        if is_folder(self.candidate) and not self.baseline.exists():
            everything, others = pairs_of(self.candidate, self.candidate)
            pairs: Sequence[Pair] = [replace(pair, reference=None) for pair in everything]
        else:
            pairs, others = checked_pairs(self.baseline, self.candidate)
        root = named(self.candidate)
        below = [path for path in map(PurePath, others) if root in path.parents]
        return pairs, list(dict.fromkeys(str(path.relative_to(root)) for path in below))

    def _chooses(self, name: str) -> bool:
        return not self.globs or any(matches(name, glob) for glob in self.globs)

    def _changes(self, name: str, group: list[Pair]) -> list[Change]:
        candidate = group[0].candidate
        if candidate:
            change = self._change(name, group, candidate)
            accepted = change.action in ("added", "updated") and self.variant is None
            return [change, *(_replaced(change.baseline, group) if accepted else ())]
        action: Action = "removed" if self.prune else "gone"
        changes = [Change(action, place) for place in _baselines(group)]
        if self.accepted is None or not self.prune:
            return changes
        before = self.accepted[name][0]
        refused = [c for change in changes if (c := _refused(change.baseline, before))]
        # An image keeps all of its variants or none.
        return refused or changes

    def _change(self, name: str, group: list[Pair], candidate: Place) -> Change:
        target = self.baseline / name if is_folder(self.candidate) else self.baseline
        if group[0].error:
            return Change("error", target, candidate, group[0].error)
        if self.variant is not None and any(pair.reference for pair in group):
            target = target.parent / variant_name(target.name, self.variant)
        try:
            content = read_bytes(candidate, self.max_bytes)
            sha256 = hashlib.sha256(content).hexdigest()
            if self.accepted:
                _check_unchanged(group, sha256, self.accepted[name])
            equal = any(self._holds(baseline, content) for baseline in _baselines(group))
            size_of(content, shown(candidate), self.max_pixels, decode=not equal)
            if equal:
                return Change("unchanged", target, candidate)
            action: Action = "updated" if target.exists() else "added"
        except PerceptError as error:
            return Change("error", target, candidate, str(error))
        return Change(action, target, candidate, sha256=sha256, size=len(content))

    def _holds(self, place: Path | Remote, content: bytes) -> bool:
        """Whether a baseline is there and has that content."""
        if not place.exists():
            return False
        if isinstance(place, Path):
            return place.stat().st_size == len(content) and place.read_bytes() == content
        return place.read(self.max_bytes) == content


def _baselines(group: list[Pair]) -> list[Path | Remote]:
    """The baselines of one image; none of them is in a tar file."""
    places = (pair.reference for pair in group)
    return [place for place in places if isinstance(place, Path | Remote)]


def _refused(place: Path | Remote, before: str | None) -> Change | None:
    """Why a baseline is not removed, unless it still is what a saved check looked at."""
    try:
        content = place.read_bytes() if isinstance(place, Path) else b""
        if before == hashlib.sha256(content).hexdigest():
            return None
        reason = (
            "the baseline changed since that check, or it looked at another variant: check it "
            "again, or leave out --from"
        )
    except OSError as error:
        reason = f"cannot be read ({error.strerror}): check it"
    return Change("error", place, error=f"{shown(place)}: {reason}")


def _check_unchanged(group: list[Pair], sha256: str, hashes: Hashes) -> None:
    """PerceptError where the candidate, or the baseline it was compared with, is another now."""
    before, after = hashes
    if sha256 != after:
        raise PerceptError(
            f"{shown(group[0].candidate or Path())}: changed since that check: check it again"
        )
    baselines = [pair.baseline for pair in group if pair.baseline]
    now = [hashlib.sha256(path.read_bytes()).hexdigest() for path in baselines if path.exists()]
    if before not in now and (before or now):
        name = shown(baselines[0] if baselines else group[0].name)
        raise PerceptError(f"{name}: the baseline changed since that check: check it again")


def _without_other_names(changes: list[Change]) -> list[Change]:
    """Without those that remove a file that is kept, or written, by a name that means the same.

    So is home.png where Home.png is accepted, on systems that do not tell cases apart.
    """

    def identity(change: Change) -> tuple[int, int] | None:
        if isinstance(change.baseline, Remote):
            return None
        try:
            status = change.baseline.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    lost = ("removed", "gone")
    kept = {identity(change) for change in changes if change.action not in lost} - {None}
    return [c for c in changes if c.action not in lost or identity(c) not in kept]


def _replaced(target: Path | Remote, group: list[Pair]) -> Iterator[Change]:
    """Baselines of the same name with another suffix."""
    for reference in _baselines(group):
        if reference == target or not _same(named(reference).stem, named(target).stem):
            continue
        # Where names in both Unicode forms are one file, it is the new one.
        both = isinstance(target, Path) and isinstance(reference, Path) and target.exists()
        if not (both and os.path.samefile(str(target), str(reference))):
            yield Change("removed", reference, successor=target)


def _same(name: str, other: str) -> bool:
    """Whether names are equal, however their accents are stored."""
    return unicodedata.normalize("NFC", name) == unicodedata.normalize("NFC", other)


def mistaken(changes: Sequence[Change]) -> list[str]:
    """Candidates that are named like a variant of another one's baseline."""
    candidates = {named(c.candidate): c.candidate for c in changes if c.candidate}
    stems = {path.with_suffix("") for path in candidates}
    return [
        shown(candidate)
        for path, candidate in candidates.items()
        if (like := VARIANT.fullmatch(path.stem)) and path.with_name(like["stem"]) in stems
    ]


def carry_out(change: Change) -> None:
    """Do it, so that a process that is killed leaves the old baseline or the new one.

    Raises PerceptError if it cannot be done.
    """
    target, candidate = change.baseline, change.candidate
    try:
        if change.action == "removed":
            if isinstance(target, Remote):
                target.remove()
            else:
                remove(target, change.root or target.parent)
        elif change.action in ("added", "updated") and candidate:
            if isinstance(candidate, Path):
                content = candidate.read_bytes()
            else:
                content = candidate.read(change.size + 1)
            if change.sha256 not in (None, hashlib.sha256(content).hexdigest()):
                raise OutputError(f"{shown(candidate)} changed meanwhile: approve it again")
            if isinstance(target, Remote):
                target.write(content)
            else:
                write_whole(content, target, change.root or target.parent)
    except OSError as error:
        raise OutputError(f"cannot write {shown(change.baseline)}: {error.strerror}") from error

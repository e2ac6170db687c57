"""Candidates become baselines: each file at once or not at all."""

from __future__ import annotations

import filecmp
import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.gate.baselines import checked_pairs, matches, variant_name
from percept_cli.inputs.files import MAX_BYTES, read_bytes, size_of
from percept_cli.inputs.pairs import Pair, pairs_of
from percept_cli.writing import remove, write_whole

Action = Literal["added", "updated", "removed", "unchanged", "left out", "error"]


@dataclass(frozen=True)
class Change:
    """What becomes of one baseline, or is not made one: a file that is no image is left out."""

    action: Action
    baseline: Path
    candidate: Path | None = None
    error: str | None = None
    root: Path | None = None
    """Outside of this folder nothing is written or removed; None for the baseline's own."""


@dataclass(frozen=True)
class Approval:
    """Which candidates are accepted, and how."""

    baseline: Path
    candidate: Path
    globs: Sequence[str] = ()
    variant: str | None = None
    """Keep the baselines there are, and add the candidates as their variant of this name."""
    prune: bool = False
    """Remove baselines whose candidate is gone."""
    max_pixels: int = 200_000_000
    max_bytes: int = MAX_BYTES

    def changes(self) -> list[Change]:
        """What is to be done, by the names of the images; nothing is done yet.

        Raises PerceptError if there is nothing to accept, or a glob matches no image.
        """
        if self.variant is not None and not re.fullmatch(r"[^/\\~]+", self.variant):
            raise PerceptError(f"variant {self.variant!r}: give a name without / and ~")
        if not self.candidate.exists():
            raise PerceptError(f"{shown(self.candidate)}: no such file or folder: check the path")
        groups: dict[str, list[Pair]] = {}
        pairs, others = self._pairs()
        for pair in pairs:
            groups.setdefault(pair.name, []).append(pair)
        for glob in self.globs:
            if not any(matches(name, glob) for name in groups):
                raise PerceptError(f"no image matches {glob!r}: give globs such as 'home*.png'")
        if not any(pair.candidate for group in groups.values() for pair in group):
            raise PerceptError(f"{shown(self.candidate)}: no candidates: nothing to approve")
        left_out = [name for name in others if self._chooses(name)]
        chosen = {name: group for name, group in groups.items() if self._chooses(name)}
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            changes = pool.map(self._changes, chosen, chosen.values())
            made = [change for several in changes for change in several]
        for name in left_out:
            made.append(Change("left out", self.baseline / name, self.candidate / name))
        root = self.baseline if self.candidate.is_dir() else None
        return [replace(change, root=root) for change in made]

    def _pairs(self) -> tuple[list[Pair], list[str]]:
        """Pairs, and the names of those files among the candidates that are no images."""
        if self.candidate.is_dir() and not self.baseline.exists():
            everything, others = pairs_of(self.candidate, self.candidate)
            pairs = [replace(pair, reference=None) for pair in everything]
        else:
            pairs, others = checked_pairs(self.baseline, self.candidate)
        below = [path for path in map(Path, others) if self.candidate in path.parents]
        return pairs, list(dict.fromkeys(str(path.relative_to(self.candidate)) for path in below))

    def _chooses(self, name: str) -> bool:
        return not self.globs or any(matches(name, glob) for glob in self.globs)

    def _changes(self, name: str, group: list[Pair]) -> list[Change]:
        candidate = group[0].candidate
        if candidate:
            change = self._change(name, group, candidate)
            accepted = change.action in ("added", "updated") and self.variant is None
            return [change, *(_replaced(change.baseline, group) if accepted else ())]
        references = (pair.reference for pair in group if self.prune)
        return [Change("removed", reference) for reference in references if reference]

    def _change(self, name: str, group: list[Pair], candidate: Path) -> Change:
        target = self.baseline / name if self.candidate.is_dir() else self.baseline
        if self.variant is not None:
            target = Path(variant_name(str(target), self.variant))
        elif group[0].error:
            return Change("error", target, candidate, group[0].error)
        try:
            content = read_bytes(candidate, self.max_bytes)
            equal = any(p.reference and _equal(p.reference, candidate) for p in group)
            size_of(content, shown(candidate), self.max_pixels, decode=not equal)
            if equal:
                return Change("unchanged", target, candidate)
        except PerceptError as error:
            return Change("error", target, candidate, str(error))
        return Change("updated" if target.exists() else "added", target, candidate)


def _replaced(target: Path, group: list[Pair]) -> Iterator[Change]:
    """Baselines of the same name with another suffix."""
    for reference in (pair.reference for pair in group):
        if reference and reference.stem == target.stem and reference != target:
            yield Change("removed", reference)


def _equal(reference: Path, candidate: Path) -> bool:
    return reference.exists() and filecmp.cmp(reference, candidate, shallow=False)


def carry_out(change: Change) -> None:
    """Do it, so that a process that is killed leaves the old baseline or the new one.

    Raises OutputError if it cannot be done.
    """
    root = change.root or change.baseline.parent
    try:
        if change.action == "removed":
            remove(change.baseline, root)
        elif change.action in ("added", "updated") and change.candidate:
            write_whole(change.candidate.read_bytes(), change.baseline, root)
    except OSError as error:
        raise OutputError(f"cannot write {shown(change.baseline)}: {error.strerror}") from error

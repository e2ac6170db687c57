"""Two runs over the same images → what became better or worse."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from percept_cli.errors import PerceptError, shown
from percept_cli.gate.merge import COMPARED, FOUND_OUT
from percept_cli.gate.rules import CHOICES
from percept_cli.inputs.saved import Saved, moved
from percept_cli.results import Result

NAMES = ("references", "candidates")
MADE_BY = ("percept_version", "torch_version", "device")
"""Settings in which two runs may differ, besides the names of their folders."""


@dataclass(frozen=True)
class Change:
    """One pair in both runs."""

    name: str
    before: Result
    after: Result

    @property
    def by(self) -> float:
        """By how much its total grew: above 0 it became worse."""
        return (self.after.total or 0.0) - (self.before.total or 0.0)


@dataclass(frozen=True)
class Difference:
    """What two runs have in common, and what only one of them has."""

    changes: tuple[Change, ...]
    """The largest first, whether better or worse."""
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    not_scored: tuple[str, ...]
    """Pairs of both runs of which one has no total."""

    @classmethod
    def of(cls, before: Saved, after: Saved) -> Difference:
        """Match the pairs of two runs; PerceptError for runs whose numbers do not compare."""
        for name in COMPARED:
            _check(name, before, after)
        _check_scales(before, after)
        old, new = _named(before), _named(after)
        both = [Change(name, old[name], new[name]) for name in old if name in new]
        if not both:
            raise PerceptError(
                f"{shown(before.file)} and {shown(after.file)} have no pair in common: name two "
                "runs over the same images"
            )
        for change in both:
            _check_overrides(change, before, after)
        scored = [c for c in both if c.before.total is not None and c.after.total is not None]
        return cls(
            tuple(sorted(scored, key=lambda change: (-abs(change.by), change.name))),
            tuple(name for name in old if name not in new),
            tuple(name for name in new if name not in old),
            tuple(change.name for change in both if change not in scored),
        )

    @property
    def worse(self) -> int:
        """How many pairs have a larger total than before."""
        return sum(change.by > 0 for change in self.changes)

    @property
    def better(self) -> int:
        """How many have a smaller one."""
        return sum(change.by < 0 for change in self.changes)


def _check(name: str, before: Saved, after: Saved) -> None:
    old, new = (getattr(saved.settings, name) for saved in (before, after))
    known = not (name in FOUND_OUT and None in (old, new))
    if name not in (*NAMES, *MADE_BY) and known and old != new:
        what = name.replace("_", " ")
        raise PerceptError(
            f"{shown(before.file)} has {what} {old}, {shown(after.file)} {new}: their numbers do "
            "not compare, run both with the same settings"
        )


def _check_scales(before: Saved, after: Saved) -> None:
    """PerceptError where one run has --raw and the other has not, as far as that is known."""
    old, new = (saved.settings.scale or {} for saved in (before, after))
    for layer in old.keys() & new.keys():
        if old[layer] != new[layer]:
            raise PerceptError(
                f"{shown(before.file)} divides {layer} by {old[layer]:g}, {shown(after.file)} by "
                f"{new[layer]:g}: their numbers do not compare, run both with --raw or both without"
            )


def _check_overrides(change: Change, before: Saved, after: Saved) -> None:
    """PerceptError where an image was measured with settings of its own in one of the runs."""
    old, new = (
        {key: value for key, value in result.overrides.items() if key in CHOICES}
        for result in (change.before, change.after)
    )
    for key in [*old, *new]:
        if old.get(key) != new.get(key):
            raise PerceptError(
                f"{change.name}: its own {key} is {old.get(key)} in {shown(before.file)}, "
                f"{new.get(key)} in {shown(after.file)}: its numbers do not compare, run both with "
                "the same settings"
            )


def _named(saved: Saved) -> dict[str, Result]:
    """Each result by its reference's path inside the folder of its run, or by its candidate's."""
    named: dict[str, Result] = {}
    uses: Counter[str] = Counter()
    for name, result in _names(saved):
        uses[name] += 1
        # A manifest may name a reference several times: for several rates, say.
        named[name if uses[name] == 1 else f"{name} ({uses[name]})"] = result
    return named


def _names(saved: Saved) -> Iterator[tuple[str, Result]]:
    roots: list[str | None] = [saved.settings.references, saved.settings.candidates]
    if isinstance(saved.file, Path):
        roots = [moved(saved.file, root) for root in roots]
    for result in saved.results:
        # Two models have the same references; of one reference many candidates may be there.
        sides = zip((result.reference, result.candidate), roots, strict=True)
        inside = [os.path.relpath(p, root) if root else p for p, root in sides if p is not None]
        named = next((name for name in inside if name != "."), None)
        yield named or os.path.basename(result.name), result

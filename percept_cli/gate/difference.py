"""Two runs over the same images → what became better or worse."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePath

from percept_cli.errors import PerceptError, shown
from percept_cli.gate.merge import COMPARED, FOUND_OUT
from percept_cli.gate.rules import CHOICES
from percept_cli.inputs.saved import Saved
from percept_cli.results import Result

Named = list[tuple[str, Result]]
"""Results and their names, which may be several results'."""

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
    otherwise: tuple[str, ...]
    """Pairs with other settings of their own in one run: their figures do not compare."""

    @classmethod
    def of(cls, before: Saved, after: Saved) -> Difference:
        """Match the pairs of two runs; PerceptError for runs whose numbers do not compare."""
        for name in COMPARED:
            _check(name, before, after)
        _check_scales(before, after)
        old, new = _matched(list(_names(before)), list(_names(after)))
        both = [Change(name, old[name], new[name]) for name in old if name in new]
        if not both:
            raise PerceptError(
                f"{shown(before.file)} and {shown(after.file)} have no pair in common: name two "
                "runs over the same images"
            )
        alike: list[Change] = []
        otherwise: list[Change] = []
        for change in both:
            apart = _measured_otherwise(change.before, change.after)
            (otherwise if apart else alike).append(change)
        scored = [c for c in alike if c.before.total is not None and c.after.total is not None]
        return cls(
            tuple(sorted(scored, key=lambda change: (-abs(change.by), change.name))),
            tuple(name for name in old if name not in new),
            tuple(name for name in new if name not in old),
            tuple(c.name for c in alike if c.before.total is None or c.after.total is None),
            tuple(change.name for change in otherwise),
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
    for layer in old:
        # Of weights of one's own they are measured: each machine rounds in its own way.
        if layer in new and not math.isclose(old[layer], new[layer], rel_tol=1e-3):
            raise PerceptError(
                f"{shown(before.file)} divides {layer} by {old[layer]:g}, {shown(after.file)} by "
                f"{new[layer]:g}: their numbers do not compare, run both with --raw or both without"
            )


def _measured_otherwise(before: Result, after: Result) -> bool:
    """Whether an image was measured with other settings of its own."""
    old, new = (
        {key: value for key, value in result.overrides.items() if key in CHOICES}
        for result in (before, after)
    )
    return old != new


def _matched(old: Named, new: Named) -> tuple[dict[str, Result], dict[str, Result]]:
    """Both runs' results by names that tell them apart.

    A manifest may name a reference several times: for several rates, say. Then what else it says
    counts as well, in columns of which one run has no value that the other has not. What nothing
    tells apart goes by its order, if both runs have as many.
    """
    uses = [Counter(name for name, _ in run) for run in (old, new)]
    several = {name for name in uses[0] | uses[1] if max(use[name] for use in uses) > 1}
    columns: list[dict[str, set[str]]] = [{}, {}]
    for run, values in zip((old, new), columns, strict=True):
        for column, value in (i for name, r in run if name in several for i in r.extra.items()):
            values.setdefault(column, set()).add(str(value))
    one, other = columns
    telling = [c for c in one if c in other and (one[c] <= other[c] or one[c] >= other[c])]
    first, second = (_apart(run, several, telling) for run in (old, new))
    return first, second


def _apart(run: Named, several: set[str], telling: list[str]) -> dict[str, Result]:
    """Results by their names, those of `several` with what these columns say."""
    full = [
        f"{name} ({', '.join(f'{c} {result.extra.get(c)}' for c in telling)})"
        if name in several and telling
        else name
        for name, result in run
    ]
    counts, uses = Counter(full), Counter[str]()
    named = {}
    for name, (_, result) in zip(full, run, strict=True):
        uses[name] += 1
        alike = counts[name] > 1
        named[f"{name} ({uses[name]} of {counts[name]})" if alike else name] = result
    return named


def _names(saved: Saved) -> Iterator[tuple[str, Result]]:
    """Each result's name, its reference's path inside the folder of its run, or its candidate's.

    A variant of a baseline goes by the name of the baseline.
    """
    roots = saved.settings.references, saved.settings.candidates
    for (reference, candidate), result in zip(saved.names, saved.results, strict=True):
        # Two models have the same references; of one reference many candidates may be there.
        stem = PurePath(candidate or "").stem
        if reference and roots[0] and stem and PurePath(reference).stem.startswith(f"{stem}~"):
            reference = str(PurePath(reference).with_stem(stem))
        sides = (reference, roots[0]), (candidate, roots[1])
        inside = [os.path.relpath(p, root) if root else p for p, root in sides if p is not None]
        named = next((name for name in inside if name != "."), None)
        yield named or os.path.basename(result.name), result

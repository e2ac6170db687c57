"""Baselines and their variants: `home~mac.png` is another accepted look of `home.png`."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePath

from percept_cli.inputs.pairs import Pair, is_folder, pairs_of
from percept_cli.inputs.stored import Remote

VARIANT = re.compile(r"(?P<stem>.+)~(?P<variant>[^/\\~]+)")


def matches(name: str, pattern: str) -> bool:
    """Whether an image's name matches a glob, in which `*` matches slashes too."""
    return fnmatchcase(PurePath(name).as_posix(), pattern)


def variant_name(name: str, variant: str) -> str:
    """The name of that variant: `a/home.png`, `mac` → `a/home~mac.png`."""
    path = Path(name)
    return str(path.with_name(f"{path.stem}~{variant}{path.suffix}"))


def checked_pairs(
    baseline: Path | Remote, candidate: Path | Remote
) -> tuple[Sequence[Pair], list[str]]:
    """Pairs of two files or folders in the order of their names, and files that are no images.

    A candidate has a pair of its name for each variant of its baseline, or for the one that is
    equal to it. Raises PerceptError as `pairs_of` does.
    """
    pairs, skipped = pairs_of(baseline, candidate)
    if not is_folder(baseline):
        others = [] if is_folder(candidate) else _variants_of(baseline)
        variants = [replace(pairs[0], reference=place) for place in others]
        if variants and not baseline.exists():
            pairs = []
        return _without_equal([*pairs, *variants]) if variants else pairs, skipped
    return list(_with_variants(pairs)), skipped


def _variants_of(baseline: Path | Remote) -> list[Path | Remote]:
    """The images beside a baseline that are called like its variants."""
    beside = sorted(baseline.parent.glob("*")) if isinstance(baseline, Path) else baseline.beside()
    stem, suffix = PurePath(baseline.name).stem, baseline.suffix
    return [
        place
        for place in beside
        if place.suffix == suffix
        and (found := VARIANT.fullmatch(PurePath(place.name).stem))
        and found["stem"] == stem
    ]


def _with_variants(pairs: Sequence[Pair]) -> Iterable[Pair]:
    by_stem: dict[str, list[Pair]] = {}
    for pair in pairs:
        by_stem.setdefault(_stem(pair.name), []).append(pair)
    groups = {pair.name: [pair] for pair in pairs}
    for pair in pairs:
        found = VARIANT.fullmatch(_stem(pair.name))
        if pair.candidate or not found or not pair.reference:
            continue
        # A variant has no variants of its own.
        bases = [b for b in by_stem.get(found["stem"], []) if b.reference and b.name in groups]
        alike = [base for base in bases if Path(base.name).suffix == Path(pair.name).suffix]
        if base := next(iter(alike or bases), None):
            del groups[pair.name]
            if not base.error:
                groups[base.name].append(replace(base, reference=pair.reference))
    for name in sorted(groups):
        group = [pair for pair in groups[name] if pair.reference] or groups[name]
        yield from _without_equal(group) if len(group) > 1 else group


def _without_equal(group: Sequence[Pair]) -> Sequence[Pair]:
    """Only the variant whose file is equal to the candidate's, if there is one."""
    for pair in group:
        if not (pair.baseline and pair.file):
            continue
        # What is wrong with a file that cannot be read, the comparison will say.
        with suppress(OSError):
            if filecmp.cmp(pair.baseline, pair.file, shallow=False):
                return [pair]
    return group


def _stem(name: str) -> str:
    path = Path(name)
    return str(path.with_name(path.stem))

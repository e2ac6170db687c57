"""A part of the pairs, so that several machines may share a run."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from percept_cli.errors import PerceptError
from percept_cli.inputs.pairs import Pair
from percept_cli.results import Shard


def shard_named(text: str) -> Shard:
    """`2/5` → the second of five; PerceptError for what is none."""
    found = re.fullmatch(r"([1-9]\d{0,5})/([1-9]\d{0,5})", text)
    if not found or int(found[1]) > int(found[2]):
        raise PerceptError(f"--shard {text!r}: give NUMBER/OF, such as 2/5, from 1/5 to 5/5")
    return Shard(int(found[1]), int(found[2]))


def plan_of(pairs: Iterable[Pair], rules: object) -> str:
    """Hash of what a whole run compares, and of how; the same on every machine."""
    listed = [
        (pair.name, pair.reference and pair.reference.name, pair.candidate is None)
        for pair in pairs
    ]
    return "-".join(hashlib.sha256(repr(x).encode()).hexdigest()[:16] for x in (listed, rules))


def part_of(pairs: Sequence[Pair], shard: Shard, *, by_name: bool) -> Iterator[Pair]:
    """Every `of`-th pair from the `number`-th on; `by_name` keeps pairs of one name together."""
    groups = (list(group) for _, group in groupby(pairs, key=lambda pair: pair.name))
    for index, group in enumerate(groups if by_name else ([pair] for pair in pairs)):
        if index % shard.of == shard.number - 1:
            yield from group

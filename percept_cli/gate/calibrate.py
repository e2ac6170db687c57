"""A threshold from pairs known to look the same and, if there are any, pairs known to differ."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit import TOMLDocument
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import Table

from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.writing import write_whole

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOM = 1.25
"""Without pairs that differ, how far above the largest of the same the threshold is put."""

FAR, FEW, LEAST_SAME = 2.0, 10, 5
"""Pairs stand out that are so many times above the next, one in so many at the most, of so many."""


@dataclass(frozen=True)
class Proposal:
    """A threshold, and what it does to the pairs it comes from."""

    threshold: float
    same: Sequence[float]
    """Peaks, or totals, of pairs that look the same, rising."""
    different: Sequence[float]

    @property
    def false_alarms(self) -> int:
        """Pairs that look the same but would fail."""
        return sum(value > self.threshold for value in self.same)

    @property
    def misses(self) -> int:
        """Pairs that differ but would pass."""
        return sum(value <= self.threshold for value in self.different)

    @property
    def standing_out(self) -> int:
        """How many of the same are far above the others, so that they may be no such pairs."""
        most = max(1, len(self.same) // FEW)
        if len(self.same) < LEAST_SAME:
            return 0
        steps = {
            count: self.same[-count] / (self.same[-count - 1] or math.ulp(0))
            for count in range(1, most + 1)
        }
        count = max(steps, key=lambda count: steps[count])
        return count if steps[count] >= FAR else 0

    @property
    def overlap(self) -> bool:
        """Whether no threshold tells all pairs apart."""
        return bool(self.different) and self.same[-1] >= self.different[0]


def proposed(same: Sequence[float], different: Sequence[float] = ()) -> Proposal:
    """The threshold with the most room on both sides, or where they overlap the fewest errors.

    Raises PerceptError where there is nothing to go by.
    """
    same, different = sorted(same), sorted(different)
    if not same:
        raise PerceptError("no pair that looks the same could be compared: name some")
    highest = same[-1]
    if not different:
        if not highest:
            raise PerceptError(
                "all pairs are identical, which tells nothing of what is harmless: name pairs from "
                "two machines, or add --different pairs"
            )
        return Proposal(_rounded(ROOM * highest, highest, math.inf), same, different)
    lowest = different[0]
    if highest < lowest:
        middle = math.sqrt(highest * lowest) or lowest / 2
        return Proposal(_rounded(middle, highest, lowest), same, different)
    fewest = min(
        (Proposal(value, same, different) for value in (*reversed(same), lowest * 0.99)),
        key=lambda proposal: proposal.false_alarms + proposal.misses,
    )
    if fewest.misses == len(different) or fewest.false_alarms == len(same):
        raise PerceptError(
            "pairs that look the same score no lower than those that differ: no threshold tells "
            "them apart, choose another preset or look at the pairs"
        )
    return fewest


def _rounded(value: float, above: float, below: float) -> float:
    """The value with as few digits as keep it between the two."""
    for digits in range(2, 17):
        short = float(f"{value:.{digits}g}")
        if above <= short < below:
            return short
    return value


def write_thresholds(
    file: Path, key: str, threshold: float | None, by_glob: dict[str, float]
) -> None:
    """Set thresholds in percept.toml or pyproject.toml; all else stays as it is.

    A `threshold` of None leaves the one for all images.

    Raises PerceptError for a file that is no TOML, OutputError if it cannot be written.
    """
    try:
        document = tomlkit.parse(file.read_bytes().decode() if file.exists() else "")
        table: Any = document
        if file.name == "pyproject.toml":
            table = document.setdefault("tool", {}).setdefault("percept", {})
        if threshold is not None and table is document and key not in document:
            document = table = _with_key(document, key, threshold)
        elif threshold is not None:
            table[key] = threshold
        for glob, value in by_glob.items():
            images = table.setdefault("images", tomlkit.table(is_super_table=True))
            images.setdefault(glob, tomlkit.table())[key] = value
        written = tomlkit.dumps(document)
        _check_written(
            tomllib.loads(written),
            file,
            key,
            by_glob | ({"": threshold} if threshold is not None else {}),
        )
        write_whole(written.encode(), file)
    except (TOMLKitError, ValueError, KeyError) as error:
        raise PerceptError(f"{shown(file)}: cannot be changed as TOML: {error}") from error
    except OSError as error:
        raise OutputError(f"cannot write {shown(file)}: {error.strerror}") from error


def _with_key(document: TOMLDocument, key: str, value: float) -> TOMLDocument:
    """With one more key behind all others: at the end it may stand below a table in a comment."""
    tables = [place for place, (_, item) in enumerate(document.body) if isinstance(item, Table)]
    end = tables[0] if tables else len(document.body)
    keys = [place for place, (name, _) in enumerate(document.body[:end]) if name is not None]
    place = keys[-1] + 1 if keys else end
    made = tomlkit.document()
    for name, item in (*document.body[:place], (key, tomlkit.item(value)), *document.body[place:]):
        made.append(name, item)
    return made


def _check_written(
    document: dict[str, Any], file: Path, key: str, thresholds: dict[str, float]
) -> None:
    """ValueError unless the text says what it should: not every form of TOML takes new tables."""
    table = document["tool"]["percept"] if file.name == "pyproject.toml" else document
    for glob, threshold in thresholds.items():
        if (table["images"][glob] if glob else table)[key] != threshold:
            raise ValueError(f"{key} cannot be added to its tables as they are written")

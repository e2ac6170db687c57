"""Pairs that people rated, and how well scores agree with them."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special, stats

Values = NDArray[np.float64]

RESAMPLED = 500
"""Times that references are drawn for an interval."""

LARGER_IS_BETTER = ("mos",)
"""Kinds of score that rise with quality; those of others rise with the difference."""


@dataclass(frozen=True)
class Rated:
    """A set of pairs whose ratings are on one scale, as columns."""

    name: str
    references: Sequence[Path]
    candidates: Sequence[Path]
    difference: Values
    """What people saw: the larger, the more different."""
    kinds: NDArray[np.str_]
    notes: Sequence[str]

    def per_reference(self) -> list[NDArray[np.intp]]:
        """Places of each reference's pairs."""
        names = np.array([str(path) for path in self.references])
        return [np.flatnonzero(names == name) for name in sorted(set(names))]


def rated_sets(folder: Path) -> list[Rated]:
    """The sets of the folder's `manifest.csv`."""
    with (folder / "manifest.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    sets = []
    for name in dict.fromkeys(row["set"] for row in rows):
        own = [row for row in rows if row["set"] == name]
        signs = [-1 if row["score_kind"].startswith(LARGER_IS_BETTER) else 1 for row in own]
        sets.append(
            Rated(
                name,
                [folder / row["reference"] for row in own],
                [folder / row["candidate"] for row in own],
                np.array([s * float(r["score"]) for s, r in zip(signs, own, strict=True)]),
                np.array([row["distortion"] for row in own]),
                [row["note"] for row in own],
            )
        )
    return sets


def spearman(scores: Values, difference: Values) -> float:
    """Rank correlation; NaN where either is constant."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(stats.spearmanr(scores, difference)[0])


def kendall(scores: Values, difference: Values) -> float:
    """Kendall's tau-b."""
    return float(stats.kendalltau(scores, difference)[0])


def pearson(scores: Values, difference: Values) -> float:
    """Correlation after the five-parameter logistic of the VQEG (2003), fitted to all pairs."""

    x = (scores - scores.mean()) / scores.std()

    def logistic(b: Values) -> Values:
        return b[0] * (0.5 - special.expit(-b[1] * (x - b[2]))) + b[3] * x + b[4]

    start = (np.ptp(difference), 1.0, 0.0, 0.0, difference.mean())
    found = optimize.least_squares(lambda b: logistic(b) - difference, start, x_scale="jac")
    return float(np.corrcoef(logistic(found.x), difference)[0, 1])


def predicted_choices(scores: Values, rated: Rated) -> float:
    """How often, of two candidates of one reference rated apart, the score says which is worse."""
    right, count = 0.0, 0
    for places in rated.per_reference():
        seen, found = (x[places][:, None] - x[places] for x in (rated.difference, scores))
        apart = seen > 0
        right += float((found[apart] > 0).sum() + 0.5 * (found[apart] == 0).sum())
        count += int(apart.sum())
    return right / count


def within_references(scores: Values, rated: Rated) -> float:
    """Mean over references of the rank correlation of their pairs."""
    found = [spearman(scores[p], rated.difference[p]) for p in rated.per_reference()]
    return float(np.nanmean(found))


def interval(measure: Callable[[NDArray[np.intp]], float], rated: Rated) -> tuple[float, float]:
    """95 % bootstrap interval over references of what is measured on those places."""
    parts, rng = rated.per_reference(), np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLED):
        drawn = rng.integers(len(parts), size=len(parts))
        found.append(measure(np.concatenate([parts[one] for one in drawn])))
    low, high = np.nanquantile(found, (0.025, 0.975))
    return float(low), float(high)

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


def choices(scores: Values, difference: Values) -> float:
    """How often, of two candidates rated apart, the score says which is worse; NaN without any."""
    seen, found = (x[:, None] - x for x in (difference, scores))
    apart = seen > 0
    right = (found[apart] > 0).sum() + 0.5 * (found[apart] == 0).sum()
    return float(right / apart.sum()) if apart.any() else float("nan")


Agreement = Callable[[Values, Values], float]
"""Scores and what people saw → how far they agree."""

Measure = Callable[[Values, Values, Sequence[NDArray[np.intp]]], float]
"""The same of the places of each reference's pairs."""


def over_all(agreement: Agreement) -> Measure:
    """The agreement over all pairs."""

    def measure(scores: Values, difference: Values, parts: Sequence[NDArray[np.intp]]) -> float:
        places = np.concatenate(parts)
        return agreement(scores[places], difference[places])

    return measure


def within(agreement: Agreement) -> Measure:
    """The mean over references of the agreement over their pairs."""

    def measure(scores: Values, difference: Values, parts: Sequence[NDArray[np.intp]]) -> float:
        found = [agreement(scores[places], difference[places]) for places in parts]
        return float(np.nanmean(found))

    return measure


MEASURES: dict[str, Measure] = {
    "Spearman": over_all(spearman),
    "within references": within(spearman),
    "Kendall": over_all(kendall),
    "Kendall within": within(kendall),
    "Pearson": over_all(pearson),
    "choices": within(choices),
}


def with_interval(measure: Measure, scores: Values, rated: Rated) -> str:
    """What is measured, and the 95 % bootstrap interval over references."""
    parts, rng = rated.per_reference(), np.random.default_rng(0)
    found = []
    for _ in range(RESAMPLED):
        drawn = [parts[one] for one in rng.integers(len(parts), size=len(parts))]
        found.append(measure(scores, rated.difference, drawn))
    low, high = np.nanquantile(found, (0.025, 0.975))
    value = measure(scores, rated.difference, parts)
    return f"{value:.3f} ({low:.2f}–{high:.2f})"

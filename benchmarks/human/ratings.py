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


def fitted(scores: Values, difference: Values) -> Values:
    """The scores on the ratings' scale, by the five-parameter logistic of the VQEG (2003)."""

    x = (scores - scores.mean()) / scores.std()

    def logistic(b: Values) -> Values:
        return b[0] * (0.5 - special.expit(-b[1] * (x - b[2]))) + b[3] * x + b[4]

    start = (np.ptp(difference), 1.0, 0.0, 0.0, difference.mean())
    found = optimize.least_squares(lambda b: logistic(b) - difference, start, x_scale="jac")
    return logistic(found.x)


def pearson(scores: Values, difference: Values) -> float:
    """Pearson's correlation."""
    return float(np.corrcoef(scores, difference)[0, 1])


def choices(scores: Values, difference: Values) -> float:
    """How often, of two candidates rated apart, the score says which is worse; NaN without any."""
    seen, found = (x[:, None] - x for x in (difference, scores))
    apart = seen > 0
    right = (found[apart] > 0).sum() + 0.5 * (found[apart] == 0).sum()
    return float(right / apart.sum()) if apart.any() else float("nan")


Agreement = Callable[[Values, Values], float]
"""Scores and what people saw → how far they agree."""

MEASURES: dict[str, tuple[Agreement, bool]] = {
    "Spearman": (spearman, False),
    "within references": (spearman, True),
    "Kendall": (kendall, False),
    "Kendall within": (kendall, True),
    "Pearson": (pearson, False),  # Of scores that are fitted to all ratings once.
    "choices": (choices, True),
}
"""How far scores agree with people, over all pairs or as the mean over references."""


def with_interval(agreement: Agreement, within: bool, scores: Values, rated: Rated) -> str:
    """What is measured, and the 95 % bootstrap interval over references."""
    parts, rng, seen = rated.per_reference(), np.random.default_rng(0), rated.difference
    each = np.array([agreement(scores[p], seen[p]) for p in parts]) if within else None

    def measured(drawn: NDArray[np.intp]) -> float:
        if each is not None:
            return float(np.nanmean(each[drawn]))
        places = np.concatenate([parts[one] for one in drawn])
        return agreement(scores[places], seen[places])

    draws = (rng.integers(len(parts), size=len(parts)) for _ in range(RESAMPLED))
    low, high = np.nanquantile([measured(drawn) for drawn in draws], (0.025, 0.975))
    return f"{measured(np.arange(len(parts))):.3f} ({low:.2f}–{high:.2f})"

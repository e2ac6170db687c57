"""What many results come to: counts, extremes, how totals spread, and that of groups."""

from __future__ import annotations

import heapq
from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable
from statistics import quantiles
from typing import Any

from percept_cli.results import STATUSES, Result, Status, Verdict

PERCENTS = (5, 25, 50, 75, 95, 99)
BARS = 12
"""Parts of equal width, from 0 to the largest total, that a histogram counts."""

MOST_WORST = 5
"""The worst pairs that are named."""

MOST_GROUPS = 1000
"""Values beyond which a column is none to group by."""


def group_of(value: Any) -> str:
    """What a group is called whose pairs have that value, whether it came as 2 or 2.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1 << 53:
        value = int(value)  # A column of numbers holds 2 as 2.0.
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


class Summary:
    """Counts, extremes and totals of a run, kept as its results come: 8 bytes for each.

    `by` names what else is known of each pair, such as a manifest's column, by which results are
    grouped.
    """

    def __init__(self, by: str | None = None) -> None:
        self.by = by
        self.counts: Counter[Status] = Counter()
        self.mean_total: float | None = None
        self.max_total: float | None = None
        self.max_peak: float | None = None
        self.max_jnd: float | None = None
        """In just noticeable differences; None where that was not measured."""
        self.complete = False
        self.left_out: tuple[str, ...] = ()
        """Files of the folders that were not compared because they are no images."""
        self.verdict: Verdict | None = None
        """What a check came to; None where nothing is judged."""
        self._totals = array("d")
        self._worst: list[tuple[float, int, str]] = []
        self._groups: dict[str, Summary] = {}
        self.too_many_groups = False
        """Whether the column has more values than groups are told of; then none is."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.document()})"

    @classmethod
    def over(cls, results: Iterable[Result], by: str | None = None) -> Summary:
        """The summary of results that are there already."""
        summary = cls(by)
        for result in results:
            summary.add(result)
        return summary

    def add(self, result: Result) -> None:
        """Count one more result."""
        group = None
        if self.by is not None and self.by in result.extra:
            group = group_of(result.extra[self.by])
        jnd = result.jnd.value if result.jnd else None
        self.count(result.status, result.total, result.peak, jnd, result.name, group)

    def count(
        self,
        status: Status,
        total: float | None,
        peak: float | None,
        jnd: float | None,
        name: str,
        group: str | None = None,
    ) -> None:
        """Count one more result, of which only that much is known."""
        self.counts[status] += 1
        if total is not None:
            self._totals.append(total)
            mean = self.mean_total or 0.0
            self.mean_total = mean + (total - mean) / len(self._totals)
            self.max_total = max(self.max_total or 0.0, total)
            if total:
                # Of equals the first that came stays.
                place = total, -len(self._totals), name
                if len(self._worst) < MOST_WORST:
                    heapq.heappush(self._worst, place)
                else:
                    heapq.heappushpop(self._worst, place)
        if peak is not None:
            self.max_peak = max(self.max_peak or 0.0, peak)
        if jnd is not None:
            self.max_jnd = max(self.max_jnd or 0.0, jnd)
        if group is not None and not self.too_many_groups:
            self._groups.setdefault(group, Summary()).count(status, total, peak, jnd, name)
            if len(self._groups) > MOST_GROUPS:
                self.too_many_groups = True
                self._groups = {}

    @property
    def pairs(self) -> int:
        return self.counts.total()

    @property
    def scored(self) -> int:
        """Pairs of which something is known: a number, or that they fail."""
        return sum(self.counts[s] for s in ("identical", "compared", "passed", "failed"))

    @property
    def percentiles(self) -> dict[str, float] | None:
        """Percent → total that so many of the pairs do not exceed; None without any total."""
        if not self._totals:
            return None
        if len(self._totals) == 1:
            return {str(percent): self._totals[0] for percent in PERCENTS}
        cuts = quantiles(self._totals, n=100, method="inclusive")
        return {str(percent): cuts[percent - 1] for percent in PERCENTS}

    @property
    def histogram(self) -> tuple[list[float], list[int]] | None:
        """Edges of the parts between 0 and the largest total, and how many totals each holds."""
        if not self.max_total or not self._totals:
            return None
        edges = [self.max_total * place / BARS for place in range(BARS + 1)]
        counts = [0] * BARS
        for total in self._totals:
            counts[min(bisect_right(edges, total), BARS) - 1] += 1
        return edges, counts

    @property
    def worst(self) -> list[tuple[str, float]]:
        """Names and totals of the pairs that differ most, the worst first."""
        return [(name, total) for total, _, name in sorted(self._worst, reverse=True)]

    @property
    def groups(self) -> dict[str, Summary]:
        """The summary of each group, by name; numbers rise."""

        def rank(name: str) -> tuple[int, float, str]:
            try:
                return 0, float(name), name
            except ValueError:
                return 1, 0.0, name

        return {name: self._groups[name] for name in sorted(self._groups, key=rank)}

    def document(self) -> dict[str, Any]:
        """This summary as JSON has it."""
        histogram = self.histogram
        return {
            "pairs": self.pairs,
            **{status: self.counts[status] for status in STATUSES},
            "mean_total": self.mean_total,
            "max_total": self.max_total,
            "max_peak": self.max_peak,
            "max_jnd": self.max_jnd,
            "percentiles": self.percentiles,
            "histogram": dict(zip(("edges", "counts"), histogram, strict=True))
            if histogram
            else None,
            "worst": [{"name": name, "total": total} for name, total in self.worst],
            "by": self.by,
            "groups": {name: group.brief() for name, group in self.groups.items()},
            "complete": self.complete,
            "left_out": list(self.left_out),
            "verdict": self.verdict,
        }

    def brief(self) -> dict[str, Any]:
        """What is told of a group."""
        return {
            "pairs": self.pairs,
            "mean_total": self.mean_total,
            "median_total": (self.percentiles or {}).get("50"),
            "max_total": self.max_total,
            "max_peak": self.max_peak,
            "max_jnd": self.max_jnd,
        }

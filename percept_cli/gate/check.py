"""Scored pairs → judged ones; of several variants of a baseline the one that passes counts."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import groupby

from percept_cli.gate.rules import Rules
from percept_cli.gate.thresholds import judged
from percept_cli.inputs.pairs import Pair
from percept_cli.results import Region, Result, Thresholds, Verdict
from percept_cli.scoring.memory import Memory
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer
from percept_cli.scoring.scored import Scored
from percept_cli.summary import Summary

PASSES = ("identical", "passed")


class Check:
    """Compares candidates with their baselines under the rules of each image."""

    def __init__(
        self,
        rules: Rules,
        *,
        allow_new: bool = False,
        workers: int | None = None,
        memory: Memory | None = None,
    ) -> None:
        self._rules = rules
        self._allow_new = allow_new
        self.scorer = Scorer(
            rules.recipe_of_others.options, self._options_of, workers=workers, memory=memory
        )

    def results(self, pairs: Iterable[Pair]) -> Iterator[tuple[Pair, Scored]]:
        """Each image's judged result, in order; variants of one baseline have equal names."""
        scored = self.scorer.score(pairs)
        for _, group in groupby(scored, key=lambda item: item[0].name):
            variants = [(pair, self._judged(pair, scored)) for pair, scored in group]
            yield min(variants, key=lambda item: _rank(item[1].result))

    def _options_of(self, pair: Pair) -> Options:
        return self._rules.recipe_for(pair.name).options

    def _judged(self, pair: Pair, scored: Scored) -> Scored:
        recipe = self._rules.recipe_for(pair.name)
        result = scored.result
        if scored.shapes_differ:
            reason = result.error or ""
            result = replace(result, status="failed", error=None, failures=(reason,))
            result = replace(result, thresholds=recipe.thresholds)
        else:
            if result.status == "missing" and pair.baseline:
                # So that only what was looked at is removed: `approve --from --prune`.
                with suppress(OSError, MemoryError):
                    sha256 = hashlib.sha256(pair.baseline.read_bytes()).hexdigest()
                    result = replace(result, reference_sha256=sha256)
            result = judged(result, recipe.thresholds, allow_new=self._allow_new)
        if result.failures and scored.map is not None:
            result = replace(result, regions=_regions(scored, recipe.thresholds))
        return replace(scored, result=replace(result, overrides=recipe.overrides))


def verdict(summary: Summary, failing: int, *, broken: bool = False, part: bool = False) -> Verdict:
    """What a check came to: `incomplete` if something could not be compared, or nothing was.

    A part of a check may have had nothing to compare; the whole may not.
    """
    if broken or summary.counts["error"] or not summary.complete:
        return "incomplete"
    if failing:
        return "failed"
    return "passed" if summary.scored or part else "incomplete"


def _rank(result: Result) -> tuple[int, float]:
    """Small for the variant that counts: one that passes, else one in error, else the nearest."""
    if result.status in PASSES:
        return 0, result.size or 0.0
    if result.status == "error":
        return 1, 0.0
    if result.total is not None:
        return 2, result.size or 0.0
    return 3, 0.0


def _regions(scored: Scored, thresholds: Thresholds) -> tuple[Region, ...]:
    """Regions of all cells that matter to the peak threshold, not only those near the peak."""
    by_peak = thresholds.peak is not None and (scored.result.peak or 0) > thresholds.peak
    return scored.regions(thresholds.peak / 2 if by_peak and thresholds.peak is not None else None)

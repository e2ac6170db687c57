"""The scale of just noticeable differences that the preset `quality` has."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from measuring import table
from numpy.typing import NDArray
from ratings import Rated, Values
from scores import COMPARED, Scores, totals

from percept_cli.scoring.jnd import PEAK_AT_ONE, SPREAD, TOTAL_AT_ONE, WORDS, jnd_of
from percept_cli.scoring.options import Options

Levels = tuple[NDArray[np.int_], Values, int, int]
"""A photograph's levels, the logarithms of its totals, and between which it begins to be seen."""


def noticed(rated: Rated, values: Values, peaks: Values) -> tuple[str, str]:
    """The scale of just noticeable differences: a row per photograph, and what follows of it.

    A photograph's notes say between which levels of compression the just noticeable difference
    lies; its total at 1 is that in the middle of them.
    """
    at_one, at_peak, seen = [], [], []
    for places in rated.per_reference():
        numbers = [list(map(int, re.findall(r"\d+", rated.notes[place]))) for place in places]
        order = np.argsort([each[0] for each in numbers])
        levels = np.array([each[0] for each in numbers])[order]
        logs = np.log(np.maximum(values[places][order], 1e-9))
        first, last = numbers[0][1:]
        middle = (first + last) / 2
        at_one.append(float(np.interp(middle, levels, logs)))
        at_peak.append(float(np.interp(middle, levels, peaks[places][order])))
        seen.append((levels, logs, first, last))
    spread = float(np.std(at_one, ddof=1))
    kinds = np.array([rated.kinds[places[0]] for places in rated.per_reference()])
    rows = [
        (str(number), rated.kinds[places[0]], f"{np.exp(total):.3f}", f"{peak:.3f}")
        for number, (places, total, peak) in enumerate(
            zip(rated.per_reference(), at_one, at_peak, strict=True), start=1
        )
    ]
    header = ("photograph", "compression", "total at 1", "peak there")
    mean = float(np.exp(np.mean(at_one)))
    options = Options.of("quality")
    found_by = (jnd_of(*pair, options) for pair in zip(values, peaks, strict=True))
    jnds = np.array([jnd.value for jnd in found_by if jnd])
    sides = rated.difference
    lines = [
        f"{word}, from {least:g} on: of {int(found.sum())} pairs {int((sides[found] == 0).sum())} "
        f"are below the experimenters' range, {int((sides[found] == 1).sum())} above it."
        for (least, _), (most, word) in zip(((0.0, ""), *WORDS), WORDS, strict=False)
        if (found := (jnds >= least) & (jnds < most)).any()
    ]
    text = (
        f"Total at 1: {mean:.3f} (the package has {TOTAL_AT_ONE}); standard deviation of its "
        f"logarithm {spread:.3f} ({SPREAD}); largest peak there {max(at_peak):.3f} "
        f"({PEAK_AT_ONE}).\n\n{_held_out(seen, at_one, kinds)}\n\n"
        + "\n".join(f"- {line}" for line in lines)
    )
    return table(header, rows), text


def _held_out(seen: Sequence[Levels], at_one: Sequence[float], kinds: NDArray[np.str_]) -> str:
    """How far off a photograph's level at 1 is that all others predict, by totals or without."""
    ranges = np.array([(first, last) for _, _, first, last in seen])
    inside, errors, blind = [], [], []
    for place, (levels, logs, first, last) in enumerate(seen):
        others = float(np.mean(np.delete(at_one, place)))
        predicted = float(np.interp(others, np.maximum.accumulate(logs), levels))
        inside.append(first <= predicted <= last)
        errors.append(abs(predicted - (first + last) / 2))
        alike = kinds == kinds[place]
        alike[place] = False
        blind.append(float(ranges[alike].mean()))
    return (
        "The level at which a photograph reaches 1, predicted from all others, lies in the "
        f"experimenters' range for {sum(inside)} of {len(inside)}, and {np.mean(errors):.1f} "
        "levels of 100 from its middle on average. Whoever knows the codec but does not look, and "
        f"takes the mean of the other photographs, is in it for "
        f"{sum((ranges[:, 0] <= blind) & (blind <= ranges[:, 1]))} and "
        f"{np.abs(blind - ranges.mean(1)).mean():.1f} levels off: the ranges are "
        f"{(ranges[:, 1] - ranges[:, 0]).mean():.0f} levels wide."
    )


def proportional(sets: Sequence[Rated], scores: Scores) -> str:
    """How nearly ratings rise in proportion to powers of the preset's total."""
    powers = (0.25, 0.35, 0.5, 0.75, 1.0, 1.25)
    rows = []
    for rated in sets:
        if len(set(rated.difference)) > 3:
            values = totals(scores, COMPARED["percept, quality"], rated)
            found = [np.corrcoef(values**power, rated.difference)[0, 1] for power in powers]
            rows.append((rated.name, *(f"{value:.3f}" for value in found)))
    return table(("set", *(f"total^{power:g}" for power in powers)), rows)

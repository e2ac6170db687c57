"""Distances of the preset `quality` in just noticeable differences.

1 is taken as what half of the people notice when the two images flicker. Its numbers come from
benchmarks/human/evaluate.py: ten photographs of KonJND-1k (Lin et al. 2022) under JPEG and BPG.
Beyond 1 the scale goes on in proportion to the total. docs/validity.md says how far it may be
trusted.
"""

from __future__ import annotations

import math

from percept_cli.results import Jnd
from percept_cli.scoring.options import Options

TOTAL_AT_ONE = 0.070
"""Total at 1: the geometric mean over photographs."""

PEAK_AT_ONE = 0.322
"""Peak at 1 of a change in one place: no photograph had a larger one at its total of 1."""

SPREAD = 0.129
"""Standard deviation, over photographs, of the logarithm of the total at 1."""

SURE = 2.37
"""Standard deviations on either side that hold 95 % of further photographs: Student's t of nine
degrees of freedom, times the root of 1 + 1/10."""

SCALE = "the scale of compressed photographs (KonJND-1k), a guess for others"
"""Where all of this comes from."""

WORDS = ((0.7, "not visible"), (1.35, "just visible"), (3.0, "plain"), (math.inf, "strong"))
"""Below which value a difference is called what: nobody notices, about half do, most do, all do."""


def jnd_of(total: float, peak: float | None, options: Options) -> Jnd | None:
    """How visible a total and a peak are, both >= 0; None for another recipe than the preset's."""
    if options.preset != "quality" or not options.is_preset:
        return None
    value = max(total / TOTAL_AT_ONE, (peak or 0.0) / PEAK_AT_ONE)
    room = math.exp(SURE * SPREAD)
    words = next(word for most, word in WORDS if value < most)
    return Jnd(value, value / room, value * room, words, SCALE)

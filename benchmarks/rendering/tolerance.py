"""What forgiving displacements costs in real changes caught, on pairs of public projects.

    python benchmarks/rendering/tolerance.py SNAPSHOTS [EVERY]

EVERY is 1 for all pairs, 5 for each fifth. Writes its table into README.md beside it.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
from evaluate import Study, machine, table

from percept_cli.gate.thresholds import NAMED
from percept_cli.inputs.pairs import Pair as Images
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

PAGE = Path(__file__).with_name("README.md")
TOLERANCES = (0, 1, 2, 3)


def row(study: Study, tolerance: int) -> tuple[str, ...]:
    """Area, and what of the changed and of the benign pairs is flagged at two thresholds."""
    images = [Images(pair.reference, pair.candidate, str(pair.candidate)) for pair in study.pairs]
    scorer = Scorer(Options.of("rendering", resize="none", tolerance=tolerance))
    peaks = np.array([scored.result.peak for _, scored in scorer.score(images)], float)
    everything = np.ones(len(peaks), bool)
    return (
        f"{tolerance} px",
        f"{study.area(peaks):.3f}",
        study.shares(peaks > NAMED["normal"], everything),
        study.shares(study.flagged(peaks, 0.95), everything),
    )


def main() -> None:
    """Measure and write."""
    every = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    study = Study.of(Study.snapshots(Path(sys.argv[1])).pairs[::every])
    head = ("tolerance", "area under ROC", "normal", "95 % are to pass")
    rows = [row(study, tolerance) for tolerance in TOLERANCES]
    counts = f"{study.changed.sum()} changed and {(~study.changed).sum()} benign pairs"
    text = f"{machine()}. Flagged of {counts}:\n\n{table(head, rows)}"
    print(text)
    block = f"<!-- tolerance: tolerance.py -->\n{text}\n<!-- end -->"
    page = PAGE.read_text()
    PAGE.write_text(re.sub(r"<!-- tolerance: .*?<!-- end -->", lambda _: block, page, flags=re.S))


if __name__ == "__main__":
    main()

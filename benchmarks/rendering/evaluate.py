"""Which tool tells real changes of a page from harmless differences; writes figures.md.

`python benchmarks/rendering/render.py FOLDER` makes the screenshots; then, with odiff on the PATH
and pixelmatch and pngjs in NODE_FOLDER's node_modules:

    python benchmarks/rendering/evaluate.py FOLDER NODE_FOLDER
"""

from __future__ import annotations

import csv
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rivals import THRESHOLDS, Pair, blurred_maximum, odiff, pixelmatch

from percept_cli.gate.thresholds import NAMED
from percept_cli.inputs.pairs import Pair as Images
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from measuring import machine, table  # noqa: E402

FIGURES = Path(__file__).with_name("figures.md")

Scores = NDArray[np.float64]
QUIET = (1.0, 0.95)
"""Shares of the benign pairs that are to pass."""


@dataclass(frozen=True)
class Study:
    """All pairs as columns."""

    pairs: Sequence[Pair]
    changed: NDArray[np.bool_]
    pages: NDArray[np.str_]
    kinds: NDArray[np.str_]

    @classmethod
    def read(cls, folder: Path) -> Study:
        """The pairs of the folder's `pairs.csv`."""
        with (folder / "pairs.csv").open(newline="") as lines:
            pairs = [
                Pair(
                    folder / row["reference"],
                    folder / row["candidate"],
                    row["page"],
                    row["kind"],
                    row["changed"] == "1",
                )
                for row in csv.DictReader(lines)
            ]
        return cls(
            pairs,
            np.array([pair.changed for pair in pairs]),
            np.array([pair.page for pair in pairs]),
            np.array([pair.kind for pair in pairs]),
        )

    def area(self, scores: Scores) -> float:
        """Area under the ROC curve: how often a changed pair scores above a benign one."""
        changed, benign = scores[self.changed], scores[~self.changed]
        above = changed[:, None] > benign[None]
        return float(np.mean(above + 0.5 * (changed[:, None] == benign[None])))

    def caught(self, scores: Scores, quiet: float) -> NDArray[np.bool_]:
        """Which pairs are flagged, with thresholds chosen on the pages of the other half.

        The threshold lets that share of the benign pairs of the half it is chosen on pass.
        """
        names = sorted(set(self.pages))
        flagged = np.zeros(len(scores), bool)
        for half in (names[::2], names[1::2]):
            judged = np.isin(self.pages, half)
            chosen_on = scores[~judged & ~self.changed]
            threshold = np.quantile(chosen_on, quiet, method="higher")
            flagged[judged] = scores[judged] > threshold
        return flagged


def percept(pairs: Sequence[Pair], preset: str) -> tuple[Scores, Scores]:
    """Peaks and totals of a preset."""
    images = [Images(pair.reference, pair.candidate, str(pair.candidate)) for pair in pairs]
    scored = Scorer(Options.of(preset, resize="none")).score(images)
    both = np.array([(one.result.peak, one.result.total) for _, one in scored], float)
    return both[:, 0], both[:, 1]


def best(study: Study, made: Callable[[float, bool], list[float]]) -> tuple[str, Scores]:
    """The setting of another tool with the largest area, and its scores."""
    found = {
        f"threshold {threshold}{', antialiasing' if aa else ''}": np.array(made(threshold, aa))
        for threshold in THRESHOLDS
        for aa in (False, True)
    }
    setting = max(found, key=lambda name: study.area(found[name]))
    return setting, found[setting]


def all_scores(study: Study, node_folder: str) -> dict[str, Scores]:
    """Each tool's scores of all pairs."""
    pairs, program = study.pairs, shutil.which("odiff") or "odiff"
    scores: dict[str, Scores] = {}
    scores["percept, rendering, peak"], _ = percept(pairs, "rendering")
    scores["percept, photo, peak"], scores["percept, photo, total"] = percept(pairs, "photo")
    setting, found = best(study, lambda t, aa: odiff(pairs, program, t, antialiasing=aa))
    scores[f"odiff, {setting}"] = found
    setting, found = best(study, lambda t, aa: pixelmatch(pairs, node_folder, t, antialiasing=aa))
    scores[f"pixelmatch, {setting}"] = found
    for radius in (1.0, 2.0):
        scores[f"blurred RGB maximum, {radius:g} px"] = np.array(blurred_maximum(pairs, radius))
    return scores


def shares(study: Study, scores: dict[str, Scores]) -> str:
    """A row per tool: area, and what is caught while benign pairs pass."""
    rows = []
    for name, values in scores.items():
        cells = [f"{study.area(values):.3f}"]
        for quiet in QUIET:
            flagged = study.caught(values, quiet)
            cells += [
                f"{flagged[study.changed].mean():.0%}", f"{flagged[~study.changed].mean():.1%}"
            ]  # fmt: skip
        rows.append((name, *cells))
    header = ("tool", "area under ROC", "caught, all benign to pass", "false alarms")
    return table((*header, "caught, 95 % to pass", "false alarms"), rows)


def by_kind(study: Study, scores: dict[str, Scores]) -> str:
    """A row per kind of change: the share each tool catches while 95 % are to pass."""
    flagged = {name: study.caught(values, QUIET[1]) for name, values in scores.items()}
    rows = []
    for kind in sorted(set(study.kinds[study.changed])):
        chosen = study.changed & (study.kinds == kind)
        found = [f"{each[chosen].mean():.0%}" for each in flagged.values()]
        rows.append((kind, str(chosen.sum()), *found))
    return table(("kind", "pairs", *scores), rows)


def at_names(study: Study, scores: Scores) -> str:
    """A row per named threshold of percept: what it catches, and what it flags falsely."""
    rows = []
    for name, threshold in NAMED.items():
        flagged = scores > threshold
        caught, alarms = flagged[study.changed].mean(), flagged[~study.changed].mean()
        rows.append((name, f"{threshold:g}", f"{caught:.0%}", f"{alarms:.1%}"))
    return table(("--peak-threshold", "peak", "caught", "false alarms"), rows)


def main() -> None:
    study = Study.read(Path(sys.argv[1]))
    scores = all_scores(study, sys.argv[2])
    changed, pages = int(study.changed.sum()), len(set(study.pages))
    benign = len(study.pairs) - changed
    text = f"""{pages} pages, {changed} changed pairs, {benign} benign, {machine()}

{shares(study, scores)}

{by_kind(study, scores)}

{at_names(study, scores["percept, rendering, peak"])}
"""
    FIGURES.write_text(text)
    print(text)


if __name__ == "__main__":
    main()

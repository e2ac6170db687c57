"""Which tool tells real changes from harmless differences; writes figures.md.

`python benchmarks/rendering/render.py FOLDER` makes the screenshots of this project's own pages;
then, with odiff on the PATH and pixelmatch and pngjs in NODE_FOLDER's node_modules:

    python benchmarks/rendering/evaluate.py FOLDER NODE_FOLDER [SNAPSHOTS]

SNAPSHOTS holds pairs of public projects' baselines and a `manifest.csv` that labels them.
"""

from __future__ import annotations

import csv
import json
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
PEAK = "percept, rendering, peak"
QUIET = (1.0, 0.95)
"""Shares of the benign pairs that are to pass."""


REAL = ("real", "history-real")
BENIGN = ("benign-platform", "benign-history", "benign-browser")
"""Labels of snapshots; those of others are not judged."""


@dataclass(frozen=True)
class Study:
    """Pairs that a gate should fail or pass, as columns."""

    pairs: Sequence[Pair]
    changed: NDArray[np.bool_]
    groups: NDArray[np.str_]
    """The page or project each comes from."""
    kinds: NDArray[np.str_]

    @classmethod
    def of(cls, pairs: Sequence[Pair]) -> Study:
        return cls(
            pairs,
            np.array([pair.changed for pair in pairs]),
            np.array([pair.group for pair in pairs]),
            np.array([pair.kind for pair in pairs]),
        )

    @classmethod
    def pages(cls, folder: Path) -> Study:
        """The pairs of the folder's `pairs.csv`, which `render.py` wrote."""
        return cls.of(
            [
                _pair(folder, row, row["page"], row["kind"], row["changed"] == "1")
                for row in _rows(folder / "pairs.csv")
            ]
        )

    @classmethod
    def snapshots(cls, folder: Path) -> Study:
        """The pairs of the folder's `manifest.csv` that a gate is to judge."""
        return cls.of(
            [
                _pair(folder, row, row["project"], row["nature"], row["label"] in REAL)
                for row in _rows(folder / "manifest.csv")
                if row["label"] in REAL + BENIGN
            ]
        )

    def area(self, scores: Scores) -> float:
        """Area under the ROC curve: how often a changed pair scores above a benign one."""
        changed, benign = scores[self.changed], scores[~self.changed]
        above = changed[:, None] > benign[None]
        return float(np.mean(above + 0.5 * (changed[:, None] == benign[None])))

    def flagged(self, scores: Scores, quiet: float) -> NDArray[np.bool_]:
        """Which pairs are flagged, each group's by a threshold chosen on all other groups.

        The threshold lets that share of the benign pairs it is chosen on pass.
        """
        flagged = np.zeros(len(scores), bool)
        for group in set(self.groups):
            judged = self.groups == group
            chosen_on = scores[~judged & ~self.changed]
            threshold = np.quantile(chosen_on, quiet, method="higher")
            flagged[judged] = scores[judged] > threshold
        return flagged

    def shares(self, flagged: NDArray[np.bool_], chosen: NDArray[np.bool_]) -> str:
        """What is flagged of the changed and of the benign pairs among those chosen."""
        both = (chosen & self.changed, chosen & ~self.changed)
        return " / ".join(f"{flagged[one].mean():.0%}" if one.any() else "–" for one in both)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as lines:
        return list(csv.DictReader(lines))


def _pair(folder: Path, row: dict[str, str], group: str, kind: str, changed: bool) -> Pair:
    return Pair(folder / row["reference"], folder / row["candidate"], group, kind, changed)


def percept(pairs: Sequence[Pair]) -> Scores:
    """Peaks of the preset for pages."""
    images = [Images(pair.reference, pair.candidate, str(pair.candidate)) for pair in pairs]
    scored = Scorer(Options.of("rendering", resize="none")).score(images)
    return np.array([one.result.peak for _, one in scored], float)


def best(study: Study, made: Callable[[float, bool], list[float]]) -> tuple[str, Scores]:
    """The setting of another tool with the largest area, and its scores."""
    found = {
        f"threshold {threshold}{', antialiasing' if aa else ''}": np.array(made(threshold, aa))
        for threshold in THRESHOLDS
        for aa in (False, True)
    }
    setting = max(found, key=lambda name: study.area(found[name]))
    return setting, found[setting]


def rivals(study: Study, kept: Path, node_folder: str) -> dict[str, Scores]:
    """Each other tool's scores of all pairs, kept in that file: they need no second run."""
    if kept.exists():
        return {name: np.array(values) for name, values in json.loads(kept.read_text()).items()}
    pairs, program = study.pairs, shutil.which("odiff") or "odiff"
    scores: dict[str, Scores] = {}
    setting, found = best(study, lambda t, aa: odiff(pairs, program, t, antialiasing=aa))
    scores[f"odiff, {setting}"] = found
    setting, found = best(study, lambda t, aa: pixelmatch(pairs, node_folder, t, antialiasing=aa))
    scores[f"pixelmatch, {setting}"] = found
    for radius in (1.0, 2.0):
        scores[f"blurred RGB maximum, {radius:g} px"] = np.array(blurred_maximum(pairs, radius))
    kept.write_text(json.dumps({name: list(values) for name, values in scores.items()}))
    return scores


def overall(study: Study, scores: dict[str, Scores]) -> str:
    """A row per tool: area, and what is caught while benign pairs are to pass."""
    everything = np.ones(len(study.pairs), bool)
    rows = []
    for name, values in scores.items():
        found = [study.shares(study.flagged(values, quiet), everything) for quiet in QUIET]
        rows.append((name, f"{study.area(values):.3f}", *found))
    return table(("tool", "area under ROC", "all are to pass", "95 % are to pass"), rows)


def divided(study: Study, scores: dict[str, Scores], by: str, column: NDArray[np.str_]) -> str:
    """A row per group or kind: percept at its named thresholds, then all while 95 % are to pass."""
    peaks = scores[PEAK]
    flagged = {f"{name} ({value:g})": peaks > value for name, value in NAMED.items()}
    flagged |= {name: study.flagged(values, QUIET[1]) for name, values in scores.items()}
    rows = []
    for name in (*sorted(set(column)), "all"):
        chosen = (column == name) | (name == "all")
        counts = (int((chosen & each).sum()) for each in (study.changed, ~study.changed))
        found = [study.shares(each, chosen) for each in flagged.values()]
        rows.append((name, " / ".join(map(str, counts)), *found))
    return table((by, "changed / benign", *flagged), rows)


def section(title: str, study: Study, others: dict[str, Scores], group: str) -> str:
    """All tables of one set of pairs."""
    scores = {PEAK: percept(study.pairs)} | others
    return f"""## {title}

{overall(study, scores)}

{divided(study, scores, "kind", study.kinds)}

{divided(study, scores, group, study.groups)}
"""


def main() -> None:
    folder, node_folder, *snapshots = sys.argv[1:]
    pages, kept = Study.pages(Path(folder)), Path(folder)
    others = rivals(pages, kept / "rivals-pages.json", node_folder)
    text = f"""{machine()}. Flagged: changed pairs / benign pairs.

{section("This project's own pages", pages, others, "page")}"""
    for each in snapshots:
        public = Study.snapshots(Path(each))
        others = rivals(public, kept / "rivals-snapshots.json", node_folder)
        text += f"\n{section('Baselines of public projects', public, others, 'project')}"
    FIGURES.write_text(text)
    print(text)


if __name__ == "__main__":
    main()

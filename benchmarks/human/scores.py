"""All scores of rated pairs: percept's layers one by one, its recipes made of them, and others'."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import torch
from metrics import metrics
from PIL import Image
from ratings import Rated, Values

import percept_cli
from percept_cli.network.distances import BY_DEPTH, DISTANCES, distances_in
from percept_cli.network.layers import DEFAULT_LAYERS
from percept_cli.network.scales import scales_of
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load
from percept_cli.results import SCORING_VERSION
from percept_cli.scoring.options import Options
from percept_cli.scoring.presets import PRESETS

QUALITY = PRESETS["quality"]
RECTIFIED = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_2")

Recipe = tuple[str, dict[str, float]]
"""A distance, and layers with their weights."""

COMPARED: dict[str, Recipe] = {
    "percept, quality": (
        QUALITY.distance,
        {n: QUALITY.layer_weights.get(n, 1) for n in QUALITY.layers},
    ),
    "percept, divisive in relu2_2": ("divisive", {"relu2_2": 1}),
    "percept, correlation in relu3_4": ("correlation", {"relu3_4": 1}),
    "percept, photo (l2)": ("l2", dict.fromkeys(DEFAULT_LAYERS, 1)),
    "percept, unit": ("unit", dict.fromkeys(DEFAULT_LAYERS, 1)),
    "percept, structure": ("structure", dict.fromkeys(RECTIFIED, 1)),
    "percept, correlation": ("correlation", dict.fromkeys(RECTIFIED, 1)),
}
PEAK_OF = "percept's peak of "
PEAK = (
    f"{PEAK_OF}{QUALITY.distance}, {QUALITY.layers}, {QUALITY.layer_weights}, "
    f"scoring version {SCORING_VERSION}"
)
"""The preset's: what was computed for another is not taken for it."""

Scores = dict[str, dict[str, float]]
"""Name of a score → name of a candidate → its score."""


def percept_scores(reference: Path, candidates: Sequence[Path]) -> Scores:
    """Each layer's distances of one reference's candidates, and the preset's peak.

    The layers of `photo` see the images as they are, the others as the preset has them.
    """
    weights = load("bundled")
    scales = scales_of(weights)
    whole, shrunk = (VGG19(weights, layers[-1]) for layers in (DEFAULT_LAYERS, RECTIFIED))
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
        for name, g in features(path).items():
            f, scale = of_reference[name], scales[name]
            every = (*DISTANCES, *BY_DEPTH)
            for what in ("l2", "unit") if name in DEFAULT_LAYERS else every:
                distance = distances_in([name], what)[name]
                sums = distance.sums(f, g - f, scale)
                value = distance.finished(sums, f[0, 0].numel(), scale)
                found.setdefault(f"{what} {name}", {})[path.name] = float(value)
        result = percept_cli.compare(reference, path, preset="quality")
        found.setdefault(PEAK, {})[path.name] = result.peak or 0.0
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
    # Each layer's distances were those of that preset's size.
    for name in [n for n in scores if n.startswith(PEAK_OF) and n != PEAK]:
        del scores[name]
    groups = [
        (rated.references[places[0]], [rated.candidates[place] for place in places])
        for rated in sets
        for places in rated.per_reference()
    ]
    for made, names in ((other_scores, metrics()), (percept_scores, [PEAK])):
        wanted = [
            (reference, [p for p in paths if any(p.name not in scores.get(n, {}) for n in names)])
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

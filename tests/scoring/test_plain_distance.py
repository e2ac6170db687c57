"""The engine against the slow and obvious: whatever pair, layers, distance, regions and tiles."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from conftest import SAMPLES
from PIL import Image
from plain_distance import plain
from rounding import near

from percept_cli.inputs.pairs import Pair
from percept_cli.network.distances import BY_DEPTH, DISTANCES
from percept_cli.network.layers import LAYERS, ORDER
from percept_cli.scoring import meter
from percept_cli.scoring.devices import Capacity
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

CASES = 16
DEEPEST = ORDER.index("pool4")


def drawn(rng: np.random.Generator, folder: Path, name: str) -> tuple[Pair, np.ndarray, np.ndarray]:
    """A part of a photograph, of any size, and the same with a few patches painted over."""
    with Image.open(
        SAMPLES / "references" / str(rng.choice(["coffee.png", "dashboard.png"]))
    ) as file:
        source = np.asarray(file.convert("RGB"))
    height, width = rng.integers(16, 120, 2)
    reference = source[60 : 60 + height, 40 : 40 + width]
    candidate = reference.copy()
    for _ in range(rng.integers(1, 4)):
        down, across = rng.integers(1, 12, 2)
        top, left = rng.integers(0, height - down), rng.integers(0, width - across)
        patch = candidate[top : top + down, left : left + across]
        noise = rng.integers(-rng.choice([3, 60]), 60, patch.shape)
        patch[:] = np.clip(patch.astype(int) + noise, 0, 255)
    paths = [folder / f"{name}-{role}.png" for role in ("reference", "candidate")]
    for path, image in zip(paths, (reference, candidate), strict=True):
        Image.fromarray(image).save(path)
    return Pair(*paths, name), reference, candidate


@pytest.mark.parametrize("case", range(CASES))
def test_the_engine_gives_what_the_plain_formulas_give(
    case: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(case)
    distances = [*DISTANCES, *BY_DEPTH]
    distance = distances[case % len(distances)]
    count = int(rng.integers(1, 4))
    layers = [ORDER[place] for place in sorted(rng.choice(DEEPEST + 1, count, replace=False))]
    weights = {name: float(rng.integers(1, 4)) for name in layers}
    ignore = [(8, 8, int(rng.integers(1, 30)), int(rng.integers(1, 30)))] * int(rng.integers(2))
    options = Options(
        layers=tuple(layers),
        layer_weights=weights,
        distance=distance,
        raw=bool(rng.integers(2)),
        ignore=tuple(",".join(map(str, box)) for box in ignore),
    )
    # Small tiles, large ones and whole images; one worker or more.
    side = int(rng.choice([64, 96, 8192]))
    capacity = Capacity(
        side, side, together=int(rng.choice([0, 40_000])), strips=bool(rng.integers(2))
    )
    monkeypatch.setattr(meter, "capacity_of", lambda *_: capacity)
    monkeypatch.setattr(os, "cpu_count", lambda: int(rng.integers(1, 5)))
    pairs = [drawn(rng, tmp_path, f"pair{number}") for number in range(3)]
    scored = Scorer(options).score([pair for pair, *_ in pairs], ahead=int(rng.integers(3)))
    deepest = layers[-1] if LAYERS[layers[-1]].kind != "pool" else f"relu{layers[-1][-1]}_2"
    for (_, reference, candidate), (_, found) in zip(pairs, scored, strict=True):
        expected = plain(reference, candidate, distance, weights, raw=options.raw, ignore=ignore)
        result = found.result
        if not any(expected.layers.values()):
            assert result.total == 0
            continue
        assert result.layers == near(expected.layers, deepest), (distance, layers)
        assert result.total == near(expected.total, deepest)
        if expected.map is not None:
            assert found.map == near(expected.map, deepest) and result.peak == found.map.max()

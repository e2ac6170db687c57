"""The command's scores of sample pairs are those that float64 gives, with any version of torch.

scripts/goldens.py makes them; scripts/supported_versions.py runs this with the oldest and the
newest versions that pyproject.toml allows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, Run
from rounding import near

GOLDEN = json.loads((Path(__file__).parent / "golden.json").read_text())


@pytest.mark.parametrize("distance", GOLDEN)
def test_scores_are_golden(distance: str, percept: Run, tmp_path: Path) -> None:
    expected = {f"{folder}/{name}": scores for folder, name, scores in named(GOLDEN[distance])}
    lines = [f"{SAMPLES}/references/{Path(c).name},{SAMPLES}/{c}" for c in expected]
    (tmp_path / "pairs.csv").write_text("\n".join(["reference,candidate", *lines]))
    done = percept("compare", "--pairs=pairs.csv", f"--distance={distance}", "--format=json")
    pairs = json.loads(done.stdout)["pairs"]
    assert len(pairs) == len(expected)
    for pair, (candidate, scores) in zip(pairs, expected.items(), strict=True):
        assert {"total": pair["total"], **pair["layers"]} == near(scores), candidate


def named(golden: dict[str, dict[str, dict[str, float]]]) -> Iterator[tuple[str, str, Any]]:
    for folder, images in golden.items():
        yield from ((folder, name, scores) for name, scores in images.items())

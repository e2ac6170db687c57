from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from percept_cli.network import scales, weights
from percept_cli.network.vgg import VGG19

pytestmark = pytest.mark.numeric


def test_the_table_is_what_the_photographs_measure() -> None:
    bundled = weights.load("bundled")
    table = scales.scales_of(bundled)
    assert tuple(table) == bundled.layers
    network, squares, changes = VGG19(bundled, "conv2_1"), [], []
    rng = np.random.default_rng(0)
    for file in sorted((Path(scales.__file__).parent / "photographs").glob("*.jpg")):
        pixels = np.asarray(Image.open(file)).transpose(2, 0, 1) / np.float32(255)
        other = pixels + rng.choice((-1, 1), pixels.shape) / np.float32(255)
        with torch.inference_mode():
            both = torch.from_numpy(np.stack((pixels, other)))
            _, (feature, changed) = next(network.features(both, ("conv2_1",)))
        squares.append(float(feature.double().square().mean()))
        changes.append(float((changed - feature).double().square().mean()))
    # JPEG decoders may differ by one level: no norm changes by more than that of the change.
    room = np.sqrt(np.mean(changes))
    assert table["conv2_1"] == pytest.approx(np.sqrt(np.mean(squares)), abs=room)


def test_other_weights_are_measured_once_and_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    torch.manual_seed(0)
    tensors = {"conv1_1.weight": torch.randn(64, 3, 3, 3), "conv1_1.bias": torch.zeros(64)}
    mine = weights.Weights("mine", "0123", tensors, (0.0,) * 3, (1.0,) * 3)
    first = scales.scales_of(mine)
    assert list(first) == ["conv1_1", "relu1_1"] and all(value > 0 for value in first.values())
    monkeypatch.setattr(scales, "measure", lambda _: pytest.fail("measured again"))
    assert scales.scales_of(mine) == first


def test_a_damaged_cache_is_measured_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    scales.cache_folder().mkdir(parents=True)
    (scales.cache_folder() / "0123.json").write_text("{")
    tensors = {"conv1_1.weight": torch.ones(64, 3, 3, 3), "conv1_1.bias": torch.zeros(64)}
    mine = weights.Weights("mine", "0123", tensors, (0.0,) * 3, (1.0,) * 3)
    assert scales.scales_of(mine)["conv1_1"] > 0

"""The sample images are what their script makes, and distances rise with each distortion."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import REFERENCES, SAMPLES
from make import DISTORTIONS, STRENGTHS, distort
from PIL import Image

from percept_cli.network.distances import BY_DEPTH, DISTANCES, distances_in
from percept_cli.network.layers import DEFAULT_LAYERS
from percept_cli.network.scales import scales_of
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import load

# What is made of Gram matrices does not know where a feature is: there a shift is only what happens
# at the border.
BLIND = {("gram", "shift"), ("correlation", "shift")}


def candidates(reference: Path, distortion: str) -> list[Path]:
    return [
        next((SAMPLES / f"{distortion}-{strength}").glob(f"{reference.stem}.*"))
        for strength in STRENGTHS
    ]


@pytest.mark.parametrize("distortion", DISTORTIONS)
def test_the_script_makes_the_files(distortion: str) -> None:
    for reference in REFERENCES:
        for strength, path in zip(STRENGTHS, candidates(reference, distortion), strict=True):
            made = np.asarray(distort(Image.open(reference), distortion, strength)).astype(int)
            # Decoders of JPEG may differ by a level in luma and chroma: by 1 + 1.772 in blue.
            tolerance = 3 if path.suffix == ".jpg" else 0
            assert np.abs(made - np.asarray(Image.open(path))).max() <= tolerance


@pytest.mark.parametrize("distortion", DISTORTIONS)
@pytest.mark.parametrize("reference", REFERENCES, ids=lambda path: path.stem)
def test_distances_rise_with_the_strength_of_a_distortion(reference: Path, distortion: str) -> None:
    weights = load("bundled")
    scales = scales_of(weights)
    paths = [reference, *candidates(reference, distortion)]
    pixels = np.stack([np.asarray(Image.open(path)) / np.float32(255) for path in paths])
    totals = {name: torch.zeros(len(STRENGTHS)) for name in (*DISTANCES, *BY_DEPTH)}
    with torch.inference_mode():
        images = torch.from_numpy(pixels).permute(0, 3, 1, 2)
        network = VGG19(weights, DEFAULT_LAYERS[-1])
        for layer, feature in network.features(images, DEFAULT_LAYERS):
            f, g = feature[:1].expand_as(feature[1:]), feature[1:]
            for name in totals:
                distance = distances_in([layer], name)[layer]
                sums = distance.sums(f, g - f, scales[layer])
                totals[name] += distance.finished(sums, f[0, 0].numel(), scales[layer])
    for name, total in totals.items():
        if (name, distortion) not in BLIND:
            assert 0 < total[0] < total[1] < total[2], name

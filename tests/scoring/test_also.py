"""psnr, ssim, ms-ssim and mae are the libraries' own, of the pixels that percept compared."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import anyvision  # noqa: F401 -- torchmetrics imports torchvision
import numpy as np
import pytest
import torch
import torchmetrics
from conftest import SAMPLES, clean_environment
from PIL import Image

import percept_cli
from percept_cli.errors import PerceptError

MEASURES = ("psnr", "ssim", "ms-ssim", "mae")
NAMES = sorted(path.stem for path in (SAMPLES / "references").glob("*.png"))
PAIRS = [
    (SAMPLES / f"references/{name}.png", next((SAMPLES / change).glob(f"{name}.*")))
    for change in ("jpeg-1", "jpeg-3", "blur-2", "noise-2")
    for name in NAMES
]


def command(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run the command beside any torchvision."""
    words = ["percept", *map(str, arguments)]
    code = f"import anyvision, sys; sys.argv = {words}; from percept_cli.cli import main; main()"
    folders = [
        str(SAMPLES.parent / "benchmarks"),
        *os.environ.get("PYTHONPATH", "").split(os.pathsep),
    ]
    path = os.pathsep.join(filter(None, folders))
    environment = clean_environment(PYTHONPATH=path)
    ran = [sys.executable, "-c", code]
    return subprocess.run(ran, cwd=cwd, env=environment, capture_output=True, text=True)


def of_file(path: Path) -> torch.Tensor:
    pixels = np.asarray(Image.open(path).convert("RGB"), np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].contiguous()


def test_measures_are_those_of_torchmetrics() -> None:
    image = torchmetrics.image
    theirs = {
        "psnr": image.PeakSignalNoiseRatio(data_range=1.0),
        "ssim": image.StructuralSimilarityIndexMeasure(data_range=1.0),
        "ms-ssim": image.MultiScaleStructuralSimilarityIndexMeasure(data_range=1.0),
        "mae": torchmetrics.MeanAbsoluteError(),
    }
    assert len(PAIRS) == 20
    # One function on one image: sums in another order of threads differ by roundings of float32.
    results = percept_cli.score(PAIRS, layers="conv1_1", also=MEASURES)
    for (reference, candidate), result in zip(PAIRS, results, strict=True):
        for name, metric in theirs.items():
            metric.reset()
            expected = float(metric(of_file(candidate), of_file(reference)))
            assert result.also[name] == pytest.approx(expected, rel=1e-5), (candidate, name)


def test_closed_forms() -> None:
    grey, lighter = (np.full((176, 176, 3), value, np.uint8) for value in (100, 110))
    ((found, same, small),) = [
        list(
            percept_cli.score(
                [(grey, lighter), (grey, grey), (grey[:64, :64], lighter[:64, :64])], also=MEASURES
            )
        )
    ]
    assert found.also["mae"] == pytest.approx(10 / 255, rel=1e-5)
    assert found.also["psnr"] == pytest.approx(-20 * np.log10(10 / 255), rel=1e-5)
    assert same.also == {"psnr": None, "ssim": 1.0, "ms-ssim": 1.0, "mae": 0.0}
    assert small.also["ms-ssim"] is None and small.also["ssim"]


def test_they_are_in_every_output(tmp_path: Path, small: tuple[Path, Path]) -> None:
    done = command("compare", *small, "--also=psnr, ssim", "--output=r.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    document = json.loads((tmp_path / "r.json").read_text())
    assert document["settings"]["also"] == ["psnr", "ssim"]
    values = document["pairs"][0]["also"]
    assert list(values) == ["psnr", "ssim"]
    done = command("compare", *small, "--also=psnr,ssim", "--format=csv", cwd=tmp_path)
    row = next(csv.DictReader(done.stdout.splitlines()))
    assert {name: float(row[name]) for name in values} == values and row["also"] == "psnr,ssim"
    done = command("compare", *small, "--also=psnr,ssim", "--report=r", cwd=tmp_path)
    shown = [f"{value:.4f}" for value in values.values()]
    assert all(number in done.stdout for number in shown)
    assert f'"psnr": {values["psnr"]}' in (tmp_path / "r/index.html").read_text()
    outputs = ("--also=psnr,ssim", "--peak-threshold=0", "--junit=j.xml", "--json=c.json")
    done = command("check", *small, *outputs, cwd=tmp_path)
    text = (tmp_path / "j.xml").read_text()
    assert all(number in done.stdout and number in text for number in shown)
    checked = json.loads((tmp_path / "c.json").read_text())
    assert checked["pairs"][0]["also"] == values


def test_unknown_measures_are_refused() -> None:
    with pytest.raises(PerceptError, match="unknown measure 'lpips': --also takes psnr, ssim"):
        percept_cli.compare(*PAIRS[0], also="psnr,lpips")

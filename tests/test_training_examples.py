"""The examples of training run, and leave what they promise."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, clean_environment

import percept_cli

EXAMPLES = SAMPLES.parent / "examples"
NAMES = ("super_resolution", "denoise", "inpaint", "style_transfer")
RUNS = ("pixels only", "with perceptual term")
PHOTOGRAPHS = ("astronaut", "grace_hopper", "rocket")


def run(name: str, steps: int, folder: Path) -> dict[str, list[float]]:
    """What is before and after: total with l2, with unit, and PSNR."""
    done = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py", f"--steps={steps}", f"--output={folder}"],
        env=clean_environment(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| ([a-z ]+) \| (\S+) \| (\S+) \| (\S+) dB \|$", done.stdout, re.M)
    return {name: [float(figure) for figure in figures] for name, *figures in rows}


@pytest.mark.parametrize("name", NAMES)
def test_an_example_writes_its_pictures_and_figures(name: str, tmp_path: Path) -> None:
    found = run(name, steps=2, folder=tmp_path)
    assert set(RUNS) < set(found) and all(len(figures) == 3 for figures in found.values())
    for picture in ("pictures", "loss", *(f"{p}, {r}" for p in PHOTOGRAPHS for r in RUNS)):
        assert (tmp_path / f"{picture}.png").stat().st_size


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_short(name: str) -> None:
    assert len((EXAMPLES / f"{name}.py").read_text().splitlines()) < 120


def test_the_perceptual_term_lowers_both_distances(tmp_path: Path) -> None:
    found = run("denoise", steps=60, folder=tmp_path)
    pixels, perceptual = (found[name] for name in RUNS)
    assert perceptual[0] < pixels[0] and perceptual[1] < pixels[1]


def test_validation_says_what_the_command_says_of_its_pictures(tmp_path: Path) -> None:
    arguments = [str(EXAMPLES / "validation.py"), "--steps=1", f"--output={tmp_path}"]
    # torchmetrics imports torchvision, which may not fit torch here.
    code = (
        f"import anyvision, runpy, sys; sys.argv = {arguments}; sys.path[0] = {str(EXAMPLES)!r}; "
    )
    code += "runpy.run_path(sys.argv[0], run_name='__main__')"
    environment = clean_environment(PYTHONPATH=str(SAMPLES.parent / "benchmarks"))
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    *_, said = re.findall(r"distance (\S+)", done.stdout)
    results = percept_cli.score_folders(tmp_path / "targets", tmp_path / "outputs", cache=False)
    assert results.summary().mean_total == pytest.approx(float(said), abs=1e-4)  # Four decimals.

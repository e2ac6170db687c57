"""What the README says is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import typer
from conftest import SAMPLES
from make import DISTORTIONS, STRENGTHS
from PIL import Image

import percept_cli
from percept_cli.cli.app import add_commands, app
from percept_cli.gate.rules import KEYS

add_commands()
README = (SAMPLES.parent / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"# {title}\n")[1].split("\n#")[0]


def options_of(name: str) -> set[str]:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    options = (option for parameter in command.params for option in parameter.opts)
    return {option for option in options if option.startswith("--")} - {"--help"}


def test_the_option_table_lists_every_option() -> None:
    listed = re.findall(r"^\| `(--[a-z-]+)` \|", section("Options of `percept compare`"), re.M)
    assert set(listed) == options_of("compare") and len(listed) == len(set(listed))


def test_the_table_of_the_gate_lists_every_option_that_compare_lacks() -> None:
    gate = section("A gate for CI")
    listed = {
        option
        for row in re.findall(r"^\| (`--.*?) \|", gate, re.M)
        for option in re.findall(r"`(--[a-z-]+)`", row)
    }
    assert listed - options_of("check") == set()
    assert options_of("check") - options_of("compare") <= listed
    for name in ("approve", "calibrate"):
        own = options_of(name) - options_of("check") - options_of("compare")
        assert all(f"`{option}`" in gate or f"{option} " in gate for option in own), own


def test_the_keys_of_single_images_are_those_the_code_knows() -> None:
    sentence = re.search(r"The keys are (.*?)\.", section("A gate for CI"), re.S)
    assert sentence and set(re.findall(r"`([a-z-]+)`", sentence[1])) == set(KEYS)


@pytest.mark.numeric
def test_the_table_of_distortions_is_true() -> None:
    rows = dict(re.findall(r"^\| (\w.*?) \| (\d\S+ \| \d\S+) \| \d\S+ \| \d", README, re.M))
    middle = len(STRENGTHS) // 2
    for name, distortion in DISTORTIONS.items():
        candidate = SAMPLES / f"{name}-{STRENGTHS[middle]}/coffee{distortion.suffix}"
        words = distortion.words.format(f"{distortion.amounts[middle]:g}")
        total, peak = map(float, rows[words].split(" | "))
        result = percept_cli.compare(SAMPLES / "references/coffee.png", candidate)
        room = decoding(candidate) if distortion.suffix == ".jpg" else (0, 0)
        # What is just between two figures of three decimals may be rounded to either.
        assert result.total == pytest.approx(total, abs=0.001 + room[0])
        assert result.peak == pytest.approx(peak, abs=0.001 + room[1])


def decoding(jpeg: Path) -> tuple[float, float]:
    """Total and peak from the image to one whose levels are one off, as decoders may differ.

    By the triangle inequality no distance to them differs by more.
    """
    with Image.open(jpeg) as image:
        pixels = np.asarray(image)
    signs = np.random.default_rng(0).choice((-1, 1), pixels.shape)
    result = percept_cli.compare(pixels, (pixels + signs).clip(0, 255).astype(np.uint8))
    assert result.peak is not None
    return result.total, result.peak

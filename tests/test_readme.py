"""What the README says is what the code does."""

from __future__ import annotations

import re

import pytest
import typer
from conftest import SAMPLES

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


def test_the_table_of_distortions_is_true() -> None:
    rows = re.findall(r"^\| JPEG of quality (\d+) \| (\S+) \| (\S+) \|", README, re.M)
    assert [quality for quality, _, _ in rows] == ["70", "30", "10"]
    for strength, (_, total, peak) in enumerate(rows, start=1):
        result = percept_cli.compare(
            SAMPLES / "references/coffee.png", SAMPLES / f"jpeg-{strength}/coffee.jpg"
        )
        # Decoders of JPEG may differ by a level or two.
        assert result.total == pytest.approx(float(total), abs=0.003)
        assert result.peak == pytest.approx(float(peak), abs=0.02)

"""What the README says is what the code does."""

from __future__ import annotations

import re

import pytest
import typer
from conftest import SAMPLES

import percept_cli
from percept_cli.cli.app import app

README = (SAMPLES.parent / "README.md").read_text()


def section(title: str) -> str:
    return README.split(f"# {title}\n")[1].split("\n#")[0]


def test_the_option_table_lists_every_option() -> None:
    command = typer.main.get_command(app).commands["compare"]  # type: ignore[attr-defined]
    options = {
        option
        for parameter in command.params
        for option in parameter.opts
        if option.startswith("--")
    }
    listed = re.findall(r"^\| `(--[a-z-]+)` \|", section("Options of `percept compare`"), re.M)
    assert set(listed) == options - {"--help"} and len(listed) == len(set(listed))


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

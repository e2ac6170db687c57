from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import SAMPLES, Run

from percept_cli.errors import PerceptError
from percept_cli.inputs.configuration import configured

PAIR = (SAMPLES / "references/coffee.png", SAMPLES / "references/coffee.png")
KEYS = ("layers", "distance")


def test_the_nearest_file_holds(tmp_path: Path) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    (tmp_path / "percept.toml").write_text('distance = "l1"')
    (inner / "pyproject.toml").write_text('[tool.other]\ndistance = "l2"')
    assert configured(inner, KEYS) == (tmp_path / "percept.toml", {"distance": "l1"})
    (tmp_path / "a" / "pyproject.toml").write_text('[tool.percept]\ndistance = "unit"')
    assert configured(inner, KEYS)[1] == {"distance": "unit"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('distanc = "l1"', "unknown key 'distanc': did you mean 'distance'"),
        ("x = 1", "unknown key 'x': known are distance, layers"),
        ("distance = ", "not readable as TOML"),
    ],
)
def test_wrong_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "percept.toml").write_text(text)
    with pytest.raises(PerceptError, match=f"percept.toml: {message}"):
        configured(tmp_path, KEYS)


def test_flag_beats_environment_beats_file_beats_default(percept: Run, tmp_path: Path) -> None:
    def distance(*flags: str, **environment: str) -> object:
        done = percept("compare", *PAIR, "--format=json", *flags, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)["settings"]["distance"]

    assert distance() == "l2"
    (tmp_path / "percept.toml").write_text('distance = "l1"')
    assert distance() == "l1"
    assert distance(PERCEPT_DISTANCE="mse") == "mse"
    assert distance("--distance=unit", PERCEPT_DISTANCE="mse") == "unit"


def test_the_file_takes_lists_and_tables(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "percept.toml").write_text(
        'layers = ["conv1_1", "pool2"]\nmax-pixels = 70000\n[layer-weight]\npool2 = 2\n'
    )
    done = percept("compare", *PAIR, "--format=json")
    assert f"options from {tmp_path / 'percept.toml'}" in done.stderr
    settings = json.loads(done.stdout)["settings"]
    assert settings["layers"] == ["conv1_1", "pool2"]
    assert settings["layer_weights"] == {"conv1_1": 1, "pool2": 2}
    assert settings["max_pixels"] == 70000


def test_a_wrong_value_in_the_file_is_one_line(percept: Run, tmp_path: Path) -> None:
    (tmp_path / "percept.toml").write_text('max-pixels = "many"')
    done = percept("compare", *PAIR)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "max-pixels" in done.stderr

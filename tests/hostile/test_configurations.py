"""Configuration files of any content: a PerceptError that names file and key, or it is used."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer
from conftest import Run

from percept_cli.cli.app import CONFIGURED, UsageError, add_commands, app
from percept_cli.errors import PerceptError
from percept_cli.inputs.configuration import TYPES

VALUES = (
    "1", "-1", "0", "1.5", "inf", "nan", "-inf", "true", '""', '"x"', '"~nosuchuser/w"',
    "[]", "[1]", '["x"]', '[["x"]]', "{}", "{conv1_1 = 1}", "{conv1_1 = nan}", '{conv1_1 = "x"}',
    "{x = {y = {}}}", "1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", "9" * 30, "1e400",
)  # fmt: skip


add_commands(CONFIGURED)


@pytest.mark.parametrize("table", ["", '[images."*"]\n'])
@pytest.mark.parametrize("key", [*TYPES, "unknown"])
def test_any_value_is_used_or_named(
    key: str, table: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    monkeypatch.chdir(tmp_path)
    for value in VALUES:
        (tmp_path / "percept.toml").write_text(f"{table}{key} = {value}\n")
        for command in CONFIGURED:
            try:
                app([command, "none.png", "none.png", "-q"], standalone_mode=False)
            except (PerceptError, UsageError) as error:
                assert "\n" not in str(error), value
            except (typer.Exit, SystemExit):
                pass


@pytest.mark.parametrize(
    "content",
    [
        b"\xff\xfex", b"\xff\xfex\x00", b"\x00", b"x", b"= 1",
        b"blur = " + b"9" * 5000, b"blur = " + b"[" * 5000,
        b"[a" + b".a" * 5000 + b"]", b"[images]\n[images]", b'"\xc3\x28" = 1', b"[[images]]\nx = 1",
    ],
)  # fmt: skip
def test_what_is_no_toml_is_said_to_be_none(percept: Run, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "percept.toml").write_bytes(content)
    done = percept("check", "a.png", "b.png")
    assert done.returncode == 2 and done.stderr.startswith("percept: "), done.stderr
    assert "percept.toml" in done.stderr and done.stderr.count("\n") == 1

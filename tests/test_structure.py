"""Imports run one way, and torch waits until a pair needs the network."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import SAMPLES, clean_environment
from PIL import Image

import percept_cli
from percept_cli.cli.app import COMMANDS, CONFIGURED, add_commands, app
from percept_cli.inputs.configuration import TYPES

ROOT = Path(percept_cli.__file__).parent
BELOW = {
    "cli": {"distributed", "gate", "scoring", "network", "inputs", "outputs"},
    "snapshots": {"cli", "gate", "scoring", "network", "inputs", "outputs"},
    "gate": {"scoring", "network", "inputs"},
    "scoring": {"network", "inputs"},
    "network": set(),
    "inputs": set(),
    "outputs": set(),
}
SHARED = {"results", "summary", "errors", "writing", "canvas"}
MODULES = sorted(path for path in ROOT.glob("*/**/*.py"))


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_down_only(module: Path) -> None:
    layer = module.relative_to(ROOT).parts[0]
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("percept_cli."):
            imported = str(node.module).split(".")[1]
            assert imported in {layer} | BELOW[layer] | SHARED, f"line {node.lineno}"


def modules_after(code: str) -> set[str]:
    """Top-level names of all modules loaded once the code has run, whatever its exit code."""
    script = f"""
import sys
try:
    {code}
except SystemExit:
    pass
print("modules", *sorted({{name.split(".")[0] for name in sys.modules}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def command(*arguments: str | Path) -> str:
    words = ["percept", *map(str, arguments)]
    return f"sys.argv = {words}; from percept_cli.cli import main; main()"


REFERENCES = SAMPLES / "references"
COFFEE = REFERENCES / "coffee.png", SAMPLES / "jpeg-3/coffee.jpg"


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        ("compare", "--help"),
        ("layers",),
        ("weights",),
        ("cache",),
        ("compare",),
        ("compare", "--no-such-flag"),
        ("compare", *COFFEE, "--layers=conv9_9"),
        ("compare", *COFFEE, "--layers=fc6"),
        ("compare", *COFFEE, "--distance=l3"),
        ("compare", *COFFEE, "--weights=nowhere.pth"),
        ("compare", *COFFEE, "--format=xml"),
        ("compare", REFERENCES, "nowhere"),
        ("compare", "nowhere.png", "nowhere.png"),
        ("compare", REFERENCES, REFERENCES),
        ("check", "--help"),
        ("check", REFERENCES, REFERENCES),
        ("check", REFERENCES, REFERENCES, "--peak-threshold=loose"),
        ("check", REFERENCES, REFERENCES, "--shard=2/3"),
        ("merge", "nowhere.json"),
        ("report", "nowhere.json"),
        ("approve", REFERENCES, REFERENCES, "--dry-run"),
        ("calibrate", REFERENCES, REFERENCES),
    ],
    ids=lambda arguments: " ".join(Path(a).name for a in arguments),
)
def test_what_needs_no_network_loads_no_torch(arguments: tuple[str | Path, ...]) -> None:
    loaded = modules_after(command(*arguments))
    assert "percept_cli" in loaded and "torch" not in loaded


def test_equal_files_are_compared_without_numpy_or_rich() -> None:
    arguments = ("compare", REFERENCES, REFERENCES, "--format=json", "--quiet")
    assert not modules_after(command(*arguments)) & {"torch", "numpy", "rich"}


def test_equal_pixels_in_other_files_need_no_torch(tmp_path: Path) -> None:
    Image.open(COFFEE[0]).save(tmp_path / "coffee.bmp")
    loaded = modules_after(command("compare", COFFEE[0], tmp_path / "coffee.bmp"))
    assert "numpy" in loaded and "torch" not in loaded


def test_templates_are_loaded_only_for_a_report(tmp_path: Path) -> None:
    check = ("check", REFERENCES, REFERENCES)
    assert "jinja2" not in modules_after(command(*check))
    reported = modules_after(command(*check, f"--report={tmp_path}"))
    assert "jinja2" in reported and "torch" not in reported


def test_importing_the_package_loads_no_torch() -> None:
    assert "torch" not in modules_after("import percept_cli, percept_cli.cli")


def test_comparing_loads_torch_but_never_torchvision() -> None:
    loaded = modules_after(command("compare", *COFFEE))
    assert "torch" in loaded and "torchvision" not in loaded


def test_a_configuration_file_holds_options_of_compare_and_check_only() -> None:
    """The other commands are not there to ask when one is run."""
    add_commands()
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    configurable = {
        name: {parameter.name for parameter in command.params if parameter.envvar}
        for name, command in commands.items()
    }
    for kept in ("cache", "no_cache", "cache_size"):
        assert kept in configurable["check"] and kept.replace("_", "-") not in TYPES
    assert set(commands) == set(COMMANDS)
    assert set().union(*configurable.values()) == set().union(
        *(configurable[name] for name in CONFIGURED)
    )

"""The wheel and the sdist hold all that percept needs, and nothing of the repository besides."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
from conftest import SAMPLES, clean_environment

ROOT = SAMPLES.parent
DATA = ("outputs/results.schema.json", "network/photographs/coffee.jpg", "py.typed")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", folder]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def names_in(built: Path, kind: str) -> list[str]:
    if kind == "wheel":
        with zipfile.ZipFile(next(built.glob("*.whl"))) as wheel:
            return wheel.namelist()
    with tarfile.open(next(built.glob("*.tar.gz"))) as sdist:
        return [name.split("/", 1)[1] for name in sdist.getnames()]


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_packages_hold_every_file_of_percept(built: Path, kind: str) -> None:
    names = names_in(built, kind)
    tracked = subprocess.run(
        ["git", "ls-files", "percept_cli"], cwd=ROOT, capture_output=True, text=True
    ).stdout.split()
    inside = tracked or [f"percept_cli/{name}" for name in DATA]
    assert set(inside) <= set(names)
    assert not any(name.startswith(("tests/", "benchmarks/", "docs/")) for name in names)


def test_an_installed_wheel_works_where_the_repository_is_not(built: Path, tmp_path: Path) -> None:
    wheel, target = next(built.glob("*.whl")), tmp_path / "installed"
    install = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index"]
    subprocess.run([*install, "--target", target, wheel], check=True)
    pair = [SAMPLES / name for name in ("references/coffee.png", "jpeg-3/coffee.jpg")]
    command = [sys.executable, "-m", "percept_cli", "check", *pair, "--report", "report"]
    environment = clean_environment(PYTHONPATH=str(target))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    assert (tmp_path / "report/index.html").is_file()
    where = [sys.executable, "-c", "import percept_cli; print(percept_cli.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert found.stdout.startswith(str(target))

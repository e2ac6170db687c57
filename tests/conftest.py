"""What the tests share: the real command, the sample images."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

if "PYTEST_XDIST_WORKER" in os.environ:
    # Each worker has a core: threads of several would wait for one another.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

COMPUTED = {"PERCEPT_NO_CACHE": "1"}
"""What is tested is computed, unless a test says otherwise."""
os.environ |= COMPUTED

SAMPLES = Path(__file__).parents[1] / "sample_images"
REFERENCES = sorted((SAMPLES / "references").glob("*.png"))

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def clean_environment(**more: str) -> dict[str, str]:
    """The environment without settings of percept's own, and without those of a CI service."""
    ours = ("PERCEPT_", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    return kept | COMPUTED | more


@pytest.fixture
def percept(tmp_path: Path) -> Run:
    """Run the real command in an empty folder."""

    def run(
        *arguments: str | Path, stdin: str | None = None, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "percept_cli", *map(str, arguments)],
            cwd=tmp_path,
            env=clean_environment(**environment),
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run


@pytest.fixture(scope="session")
def store() -> Iterator[dict[str, str]]:
    """What the environment says of an object store with two folders of images."""
    from object_store import running_store  # It takes a while to import.

    yield from running_store()


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The middle of each sample image, and of what JPEG made of it, in folders of PNG files."""
    folders = tuple(tmp_path_factory.mktemp("small") / name for name in ("references", "jpeg"))
    for folder, name in zip(folders, ("references", "jpeg-2"), strict=True):
        folder.mkdir()
        for file in (SAMPLES / name).iterdir():
            with Image.open(file) as image:
                left, top = image.width // 2 - 64, image.height // 2 - 64
                image.crop((left, top, left + 128, top + 128)).save(folder / f"{file.stem}.png")
    return folders[0], folders[1]

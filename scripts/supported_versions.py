"""The golden scores with the oldest and with the newest versions that pyproject.toml allows.

    python scripts/supported_versions.py [oldest|newest ...]

Makes a virtual environment for each with the oldest and newest Python that is installed here, and
prints what was in it and how its tests ended.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHONS = [f"python3.{minor}" for minor in range(10, 15)]
TESTS = ("tests/test_golden.py", "tests/inputs/test_images.py", "tests/outputs/test_formats.py")
SHOWN = ("torch", "numpy", "pillow", "typer", "rich")


def lowest() -> list[str]:
    """A constraint for each dependency with a lower bound: the oldest release it allows."""
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.optional")]
    return [f"{name}=={bound}.*" for name, bound in re.findall(r'"([\w-]+)>=([\d.]+)', block)]


def runs(python: str) -> bool:
    """Whether it is installed: a version manager has names for what is not."""
    command = [python, "--version"]
    return (
        bool(shutil.which(python)) and not subprocess.run(command, capture_output=True).returncode
    )


def main() -> None:
    found = [name for name in PYTHONS if runs(name)]
    missing = [name for name in PYTHONS if name not in found]
    if missing:
        print(f"not tested, since they are not installed here: {', '.join(missing)}")
    failed = False
    for which in sys.argv[1:] or ("oldest", "newest"):
        python = found[0 if which == "oldest" else -1]
        with tempfile.TemporaryDirectory() as folder:
            environment, constraints = Path(folder) / "venv", Path(folder) / "constraints.txt"
            constraints.write_text("\n".join(lowest() if which == "oldest" else []))
            subprocess.run([python, "-m", "venv", environment], check=True)
            own = environment / "bin/python"
            install = [own, "-m", "pip", "install", "-q", "-c", constraints, f"{ROOT}[test]"]
            subprocess.run(install, check=True)
            listed = subprocess.check_output(
                [own, "-m", "pip", "list", "--format=freeze"], text=True
            )
            versions = [line for line in listed.split() if line.lower().split("==")[0] in SHOWN]
            done = subprocess.run([own, "-m", "pytest", "-q", *TESTS], cwd=ROOT)
            failed |= bool(done.returncode)
            outcome = "failed" if done.returncode else "passed"
            print(f"{which}: {python}, {', '.join(versions)}: {outcome}", flush=True)
    sys.exit(failed)


if __name__ == "__main__":
    main()

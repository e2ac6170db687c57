"""Install the wheel and the sdist where nothing else is, use them, and say how that ended.

    pip install hatchling
    python scripts/smoke.py [PYTHON ...]

On the oldest and the newest Python that is installed here, unless others are named. pip installs
what it finds, which on Linux is torch with CUDA: several gigabytes for each. Writes its table to
docs/install.md.
"""

from __future__ import annotations

import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from supported_versions import PYTHONS, ROOT, runs

PAGE = ROOT / "docs/install.md"
BEGIN, END = "<!-- smoke: scripts/smoke.py -->", "<!-- end -->"
SAMPLES = ROOT / "sample_images"
PAIR = tuple(str(SAMPLES / name) for name in ("references/coffee.png", "jpeg-3/coffee.jpg"))
LOSS = (
    "import torch, percept_cli; x = torch.rand(1, 3, 64, 64, requires_grad=True); "
    "percept_cli.PerceptualLoss()(x, torch.rand(1, 3, 64, 64)).backward(); "
    "assert x.grad.abs().sum() > 0"
)


def used(folder: Path) -> str:
    """Use what is installed in an environment; "works", or what does not."""
    percept, python = folder / "bin/percept", folder / "bin/python"
    for expected, command in (
        (0, [percept, "--version"]),
        (0, [percept, "compare", *PAIR, "--heatmap", folder / "where.png"]),
        (1, [percept, "check", *PAIR, "--peak-threshold", "0.01", "--report", folder / "report"]),
        (0, [python, "-c", LOSS]),
    ):
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode != expected:
            lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
            return f"`{Path(command[0]).name} {command[1]}` fails: {lines[-1]}"
    return "works"


def outcome(python: str, file: Path) -> tuple[str, str]:
    """The torch that came with a package, and how using it ended."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        subprocess.run([python, "-m", "venv", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip"]
        subprocess.run([*pip, "install", "-q", file], check=True)
        versions = subprocess.check_output([*pip, "list", "--format=freeze"], text=True)
        return next(v for v in versions.split() if v.startswith("torch==")), used(folder)


def main() -> None:
    found = sys.argv[1:] or [name for name in PYTHONS if runs(name)]
    if not found:
        sys.exit(f"none of {', '.join(PYTHONS)} is installed here")
    rows, failed = [], False
    with tempfile.TemporaryDirectory() as dist:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-d", dist], cwd=ROOT, check=True
        )
        for python in dict.fromkeys((found[0], found[-1])):
            for kind, pattern in (("wheel", "*.whl"), ("sdist", "*.tar.gz")):
                torch, ended = outcome(python, next(Path(dist).glob(pattern)))
                failed |= ended != "works"
                rows.append(f"| {kind} | {python} | {torch} | {ended} |")
                print(rows[-1], flush=True)
    head = "| package | Python | with | outcome |\n|---|---|---|---|"
    made = "\n".join((BEGIN, f"{platform.system()}, {platform.machine()}\n\n{head}", *rows, END))
    text = PAGE.read_text()
    PAGE.write_text(re.sub(f"{re.escape(BEGIN)}.*?{END}", lambda _: made, text, flags=re.S))
    sys.exit(failed)


if __name__ == "__main__":
    main()

"""`percept check` of 300 screenshots of 1280×720, 3 of them changed, against `import torch`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import folders
from measuring import machine, medians, table

COUNT, CHANGED = 300, 3


def check(folder: Path) -> None:
    """Run the gate; three images must fail."""
    command = [sys.executable, "-m", "percept_cli", "check", "baseline", "edited", "--quiet"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 1 or f"{CHANGED} failed" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)


def main() -> None:
    bare = [sys.executable, "-c", "import torch"]
    with tempfile.TemporaryDirectory() as name:
        folders.write(Path(name), photographs=4, count=COUNT, changed=CHANGED)
        seconds = medians(
            {
                "percept check": lambda: check(Path(name)),
                "import torch": lambda: subprocess.run(bare, check=True),
            },
            rounds=5,
        )
    base = seconds["import torch"]
    rows = [(name, f"{time:.2f}", f"{time / base:.2f}") for name, time in seconds.items()]
    print(f"{COUNT} screenshots, {CHANGED} changed, whole process, {machine()}\n")
    print(table(("command", "seconds", "ratio"), rows))


if __name__ == "__main__":
    main()

"""500 screenshots of 1280×720, unchanged and nearly so: `percept compare` against odiff, blazediff.

odiff is the npm package odiff-bin; its server mode answers all pairs from one process. Give the
program's path as argument, or have `odiff` on the PATH. blazediff is `pip install blazediff`.

Those encoded anew have the same pixels in other bytes.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from measuring import machine, medians, table
from photographs import SOURCES
from PIL import Image, ImageDraw, ImageFont

COUNT = 500
BLAZEDIFF = """
import sys
from blazediff import compare
for number in range(int(sys.argv[1])):
    found = compare(f"baseline/{number:03}.png", f"encoded/{number:03}.png")
    assert found.match_result, found
"""
CHANGED = 5


def screenshot(number: int, photographs: int) -> Image.Image:
    """A page-like picture that no other number has: text, and photographs below it."""
    rng = np.random.default_rng(number)
    page = Image.new("RGB", (1280, 720), "white")
    for left in range(0, 320 * photographs, 320):
        with Image.open(SOURCES[int(rng.integers(len(SOURCES)))]) as image:
            page.paste(image.resize((300, 300)), (left + 10, 400))
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(size=18)
    for row in range(14):
        words = " ".join(str(value) for value in rng.integers(0, 99999, 20))
        draw.text((32, 24 + 26 * row), f"{number}: {words}", fill=(30, 30, 40), font=font)
    return page


def write(folder: Path, photographs: int, count: int = COUNT, changed: int = CHANGED) -> None:
    """Write the baselines, and copies: unchanged, encoded anew, and of which some have an edit."""
    for role in ("baseline", "same", "encoded", "edited"):
        (folder / role).mkdir()
    for number in range(count):
        name = f"{number:03}.png"
        page = screenshot(number, photographs)
        page.save(folder / "baseline" / name)
        shutil.copy(folder / "baseline" / name, folder / "same" / name)
        page.save(folder / "encoded" / name, compress_level=1)
        if number % (count // changed):
            shutil.copy(folder / "baseline" / name, folder / "edited" / name)
        else:
            ImageDraw.Draw(page).rectangle((600, 300, 700, 330), fill=(200, 60, 60))
            page.save(folder / "edited" / name)


def percept(folder: Path, candidates: str) -> None:
    """Compare the folders with the real command."""
    command = [sys.executable, "-m", "percept_cli", "compare", "baseline", candidates]
    command += ["--quiet", "--output", "results.json", "--no-cache"]
    subprocess.run(command, cwd=folder, check=True)


def unchanged(candidates: str) -> list[tuple[str, str]]:
    """The pairs of that folder with the baselines."""
    return [(f"baseline/{n:03}.png", f"{candidates}/{n:03}.png") for n in range(COUNT)]


def blazediff(folder: Path) -> None:
    """Compare what was encoded anew, one after the other, in one process."""
    command = [sys.executable, "-c", BLAZEDIFF, str(COUNT)]
    subprocess.run(command, cwd=folder, check=True)


def odiff_server(folder: Path, program: str, pairs: Iterable[tuple[str, str]]) -> None:
    """Compare pairs of equal pixels one after the other in one process of odiff."""
    with subprocess.Popen(
        [program, "--server"], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdin and server.stdout
        json.loads(server.stdout.readline())
        for number, (base, same) in enumerate(pairs):
            request = {"requestId": number, "base": base, "compare": same, "output": "diff.png"}
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            answer = json.loads(server.stdout.readline())
            if not answer.get("match"):
                raise SystemExit(f"odiff says of equal files: {answer}")
        server.stdin.close()


def odiff_runs(folder: Path, program: str) -> None:
    """Compare the unchanged pairs with a process of odiff for each."""
    for number in range(COUNT):
        command = [program, f"baseline/{number:03}.png", f"same/{number:03}.png"]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)


def figures(photographs: int, program: str) -> list[tuple[str, ...]]:
    """Rows of a table for pages with so many photographs."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, photographs)
        runs = {
            "percept, all equal": lambda: percept(folder, "same"),
            f"percept, {CHANGED} with a local change": lambda: percept(folder, "edited"),
            "odiff, a process each, all equal": lambda: odiff_runs(folder, program),
            "odiff, server mode, all equal": lambda: odiff_server(
                folder, program, unchanged("same")
            ),
            "percept, all encoded anew": lambda: percept(folder, "encoded"),
            "odiff, server mode, all encoded anew": lambda: odiff_server(
                folder, program, unchanged("encoded")
            ),
            "blazediff, one process, all encoded anew": lambda: blazediff(folder),
        }
        seconds = medians(runs, rounds=3)
    first = seconds["percept, all equal"]
    pages = f"{photographs} photographs" if photographs else "text only"
    return [(pages, name, f"{time:.2f}", f"{time / first:.1f}") for name, time in seconds.items()]


def main() -> None:
    found = sys.argv[1] if len(sys.argv) > 1 else shutil.which("odiff")
    if not found:
        raise SystemExit("odiff is not there: npm install odiff-bin, and give its path or set PATH")
    program = str(Path(found).resolve())
    rows = [row for photographs in (0, 4) for row in figures(photographs, program)]
    print(f"{COUNT} screenshots of 1280×720, whole process, {machine()}\n")
    print(table(("pages", "command", "seconds", "ratio"), rows))


if __name__ == "__main__":
    main()

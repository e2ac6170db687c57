"""Run every benchmark and write what they print into this folder's README: `python benchmarks`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    readme = HERE / "README.md"
    text = readme.read_text()
    for name in sys.argv[1:] or re.findall(r"<!-- figures: (\w+)\.py -->", text):
        done = subprocess.run(
            [sys.executable, HERE / f"{name}.py"], check=True, stdout=subprocess.PIPE, text=True
        )
        print(f"## {name}\n\n{done.stdout}", flush=True)
        block = f"<!-- figures: {name}.py -->\n{done.stdout.strip()}\n<!-- end -->"
        pattern = rf"<!-- figures: {name}\.py -->.*?<!-- end -->"
        text = re.sub(pattern, lambda _, made=block: made, text, flags=re.S)
        readme.write_text(text)


if __name__ == "__main__":
    main()

"""Run every benchmark and write what they print into this folder's README: `python benchmarks`."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main() -> None:
    readme = HERE / "README.md"
    failed = []
    names = re.findall(r"<!-- figures: (\w+)\.py -->", readme.read_text())
    for name in sys.argv[1:] or names:
        done = subprocess.run(
            [sys.executable, HERE / f"{name}.py"], stdout=subprocess.PIPE, text=True
        )
        if done.returncode:
            failed.append(name)
            continue
        print(f"## {name}\n\n{done.stdout}", flush=True)
        block = f"<!-- figures: {name}.py -->\n{done.stdout.strip()}\n<!-- end -->"
        pattern = rf"<!-- figures: {name}\.py -->.*?<!-- end -->"
        text = re.sub(pattern, lambda _, made=block: made, readme.read_text(), flags=re.S)
        readme.write_text(text)
    if failed:
        sys.exit(f"failed, and their tables are as they were: {', '.join(failed)}")


if __name__ == "__main__":
    main()

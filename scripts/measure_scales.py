"""Measure the layer scales of the bundled weights and write them into the package."""

from __future__ import annotations

import json
from pathlib import Path

from percept_cli.network import scales, weights

if __name__ == "__main__":
    bundled = weights.load("bundled")
    table = {bundled.sha256: {k: float(f"{v:.6g}") for k, v in scales.measure(bundled).items()}}
    file = Path(scales.__file__).with_name(scales.TABLE)
    file.write_text(json.dumps(table, indent=2) + "\n")
    print(file.read_text())

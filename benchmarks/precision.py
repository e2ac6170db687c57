"""What `--precision bf16` changes: the sample pairs' totals and peaks against float32."""

from __future__ import annotations

import statistics

from measuring import ROOT, machine, table

from percept_cli.inputs.pairs import pairs_of
from percept_cli.results import Result
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer


def results(precision: str, distance: str) -> list[Result]:
    """The sample images' results at this precision."""
    scorer, found = Scorer(Options(precision=precision, distance=distance)), []
    for folder in sorted((ROOT / "sample_images").glob("*-[1-3]")):
        pairs, _ = pairs_of(folder.parent / "references", folder)
        found += [scored.result for _, scored in scorer.score(pairs)]
    return found


def main() -> None:
    rows = []
    for distance in ("l2", "l1", "mse", "unit", "gram"):
        pairs = list(zip(results("bf16", distance), results("fp32", distance), strict=True))
        for figure in ("total", "peak"):
            values = [(getattr(near, figure), getattr(exact, figure)) for near, exact in pairs]
            errors = [near / exact - 1 for near, exact in values if exact]
            if errors:
                least, middle, most = min(errors), statistics.median(errors), max(errors)
                rows.append((distance, figure, *(f"{e:+.1e}" for e in (least, middle, most))))
    print(f"Relative error of bf16 over {len(pairs)} pairs, {machine()}\n")
    print(table(("distance", "figure", "least", "median", "most"), rows))


if __name__ == "__main__":
    main()

"""What `--precision` changes: the sample pairs' totals and peaks in tf32 and bf16 against float32.

bf16 is computed as the command does. TF32 is of NVIDIA's GPUs, so here it is imitated: what
convolutions and Gram matrices multiply is rounded to 10 bits behind the point, to the nearest as
GPUs are taken to do, and added up in float32.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from unittest.mock import patch

import torch
from measuring import ROOT, machine, table
from torch import Tensor

from percept_cli.inputs.pairs import pairs_of
from percept_cli.network import differences, distances
from percept_cli.network.convolution import convolve
from percept_cli.network.distances import DISTANCES, gram, gram_change
from percept_cli.results import Result
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import Scorer

CUT = 13
"""Bits of float32's mantissa that TF32 has not."""


def results(precision: str, distance: str) -> list[Result]:
    """The sample images' results at this precision."""
    scorer, found = Scorer(Options(precision=precision, distance=distance)), []
    for folder in sorted((ROOT / "sample_images").glob("*-[1-3]")):
        pairs, _ = pairs_of(folder.parent / "references", folder)
        found += [scored.result for _, scored in scorer.score(pairs)]
    return found


def rounded(x: Tensor) -> Tensor:
    """The nearest numbers that TF32 has, of equally near ones the even one."""
    bits = x.contiguous().view(torch.int32)
    half = (1 << (CUT - 1)) - 1
    bits = (bits + half + ((bits >> CUT) & 1)) & -(1 << CUT)
    return bits.view(torch.float32)


def rounding(work: Callable[..., Tensor], tensors: int) -> Callable[..., Tensor]:
    """The same of rounded numbers, the first of its arguments."""

    def of_rounded(*arguments: Tensor) -> Tensor:
        return work(*map(rounded, arguments[:tensors]), *arguments[tensors:])

    return of_rounded


def in_tf32(distance: str) -> list[Result]:
    """The results as a GPU has them in TF32, whose convolutions are direct."""

    def direct(x: Tensor, weight: Tensor, bias: Tensor, _: bool) -> Tensor:
        return convolve(x, weight, bias, True)

    with (
        patch.object(differences, "convolve", rounding(direct, 2)),
        patch.object(distances, "gram", rounding(gram, 1)),
        patch.object(distances, "gram_change", rounding(gram_change, 2)),
    ):
        return results("fp32", distance)


def main() -> None:
    rows = []
    for distance in DISTANCES:
        exact = results("fp32", distance)
        for precision, near in (("tf32", in_tf32(distance)), ("bf16", results("bf16", distance))):
            pairs = list(zip(near, exact, strict=True))
            for figure in ("total", "peak"):
                values = [(getattr(a, figure), getattr(b, figure)) for a, b in pairs]
                errors = [a / b - 1 for a, b in values if b]
                if errors:
                    least, middle, most = min(errors), statistics.median(errors), max(errors)
                    found = (f"{error:+.1e}" for error in (least, middle, most))
                    rows.append((precision, distance, figure, *found))
    rows.sort(key=lambda row: row[0] == "bf16")
    print(f"Relative error over {len(exact)} pairs, {machine()}\n")
    print(table(("precision", "distance", "figure", "least", "median", "most"), rows))


if __name__ == "__main__":
    main()

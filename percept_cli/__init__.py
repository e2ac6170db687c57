"""How different two images look, measured in the layers of VGG19."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from percept_cli.batch import Pair, PairResult, Region, Results, check, score, score_folders
    from percept_cli.errors import PerceptError
    from percept_cli.metric import PerceptualDistance as PerceptualDistance
    from percept_cli.network.loss import PerceptualLoss, StyleLoss, total_variation
    from percept_cli.scoring.load import Source

LOSSES = ("PerceptualLoss", "StyleLoss", "total_variation")
"""What torch is imported for, when it is asked for."""

METRIC = "PerceptualDistance"
"""What torchmetrics is imported for, when it is asked for."""

BATCH = ("Pair", "PairResult", "Results", "check", "score", "score_folders")
"""What is imported when it is asked for."""

__all__ = [
    "Pair",
    "PairResult",
    "PerceptError",
    "PerceptualLoss",
    "Results",
    "StyleLoss",
    "__version__",
    "check",
    "compare",
    "score",
    "score_folders",
    "total_variation",
]


def compare(
    reference: Source,
    candidate: Source,
    *,
    preset: str = "photo",
    layers: Sequence[str] | str | None = None,
    layer_weights: Mapping[str, float] | None = None,
    distance: str | None = None,
    raw: bool = False,
    blur: float | None = None,
    tolerance: int | None = None,
    floor: float | None = None,
    area: float | None = None,
    colour: float | None = None,
    shrink: int | None = None,
    weights: str = "bundled",
    resize: str = "reference",
    align: str = "none",
    size_tolerance: int = 0,
    background: str = "white,black",
    frame: int | None = None,
    ignore: str | Sequence[Region] = (),
    also: Sequence[str] | str = (),
    precision: str = "fp32",
    device: str = "auto",
    max_pixels: int = 200_000_000,
    max_bytes: int = 1 << 30,
    workers: int | None = None,
) -> PairResult:
    """Score one pair of images with the numbers of `percept compare`, whose options these are.

    The preset decides what is None.

    An image is a path, a Pillow image, or an H×W, H×W×3 or H×W×4 array, uint8 in 0..255 or
    floating point in 0..1. What is to `ignore` is x, y, width and height in pixels, as numbers or
    text, or the path of a mask. So many `workers` compute on the CPU, by default as many as there
    are cores for this process.

    Raises PerceptError for options that mean nothing and images that cannot be compared.
    """
    from percept_cli.batch import PairResult, options_of
    from percept_cli.scoring.score import Scorer

    options = options_of(
        preset,
        layers=layers,
        layer_weights=layer_weights,
        distance=distance,
        raw=raw,
        blur=blur,
        tolerance=tolerance,
        floor=floor,
        area=area,
        colour=colour,
        shrink=shrink,
        weights=weights,
        resize=resize,
        align=align,
        size_tolerance=size_tolerance,
        background=background,
        frame=frame,
        ignore=ignore,
        also=also,
        precision=precision,
        device=device,
        max_pixels=max_pixels,
        max_bytes=max_bytes,
    )
    return PairResult.of_scored(Scorer(options, workers=workers).compare(reference, candidate))


def __dir__() -> list[str]:
    return [*__all__, METRIC]


def __getattr__(name: str) -> Any:
    # The command imports this before it can tell an interrupt from an error: little, so far.
    if name == "PerceptError":
        from percept_cli import errors

        return errors.PerceptError
    if name in LOSSES:
        from percept_cli.network import loss

        return getattr(loss, name)
    if name == METRIC:
        from percept_cli.errors import PerceptError

        try:
            from percept_cli import metric
        except PerceptError as error:
            raise AttributeError(str(error)) from error
        return metric.PerceptualDistance
    if name in BATCH:
        from percept_cli import batch

        return getattr(batch, name)
    if name == "__version__":
        from importlib import metadata

        return metadata.version("percept-cli")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""How different two images look, measured in the layers of VGG19."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from percept_cli.errors import PerceptError

if TYPE_CHECKING:
    from percept_cli.network.loss import PerceptualLoss
    from percept_cli.results import Result
    from percept_cli.scoring.load import Source

__all__ = ["PerceptError", "PerceptualLoss", "compare"]


def compare(reference: Source, candidate: Source, **options: Any) -> Result:
    """Score one pair of images with the numbers of `percept compare`.

    An image is a path, a Pillow image, or an H×W, H×W×3 or H×W×4 array, uint8 in 0..255 or
    floating point in 0..1. Options are the fields of `percept_cli.scoring.options.Options`.

    Raises PerceptError for options that mean nothing and images that cannot be compared.
    """
    from percept_cli.scoring.options import Options
    from percept_cli.scoring.score import Scorer

    return Scorer(Options(**options)).compare(reference, candidate)


def __getattr__(name: str) -> Any:
    if name == "PerceptualLoss":
        from percept_cli.network.loss import PerceptualLoss

        return PerceptualLoss
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

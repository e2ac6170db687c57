"""Numbers that people also ask for, of the same pixels: torchmetrics', with their usual settings.

psnr: 10·log10(1 / mean squared error), in dB, over all pixels and channels of 0..1. ssim (Wang et
al. 2004) and ms-ssim (Wang et al. 2003): a Gaussian window of 11 pixels, sigma 1.5, per channel of
RGB, then their mean; <= 1. mae: mean absolute difference of pixels in 0..1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from percept_cli.errors import PerceptError
from percept_cli.inputs.files import reason_of

if TYPE_CHECKING:
    from torch import Tensor

    from percept_cli.inputs.images import Pixels

EQUAL = {"psnr": None, "ssim": 1.0, "ms-ssim": 1.0, "mae": 0.0}
"""Each measure, and what it is of equal images; the ratio of PSNR then is infinite."""

LEAST = {"ssim": 6, "ms-ssim": 176}
"""Pixels that both sides of an image must have."""


def measures_named(names: str | Iterable[str]) -> tuple[str, ...]:
    """The measures of a list, or of a text with commas; PerceptError for one there is not."""
    listed = names.split(",") if isinstance(names, str) else names
    chosen = tuple(dict.fromkeys(name.strip() for name in listed if name.strip()))
    for name in chosen:
        if name not in EQUAL:
            raise PerceptError(f"unknown measure {name!r}: --also takes {', '.join(EQUAL)}")
    if chosen and not find_spec("torchmetrics"):
        raise PerceptError("--also needs torchmetrics: run 'pip install \"percept-cli[metrics]\"'")
    return chosen


def of_equal(names: Iterable[str], size: tuple[int, int]) -> dict[str, float | None]:
    """What each measure is of two equal images of that width and height."""
    return {name: EQUAL[name] if _fits(name, size) else None for name in names}


def measured(names: Iterable[str], before: Pixels, after: Pixels) -> dict[str, float | None]:
    """Each measure of two images, H×W×3 of one size; None of those too small for it."""
    import torch

    from percept_cli.inputs.images import unit_range

    functions = _functions()
    size = before.shape[1], before.shape[0]
    reference, candidate = (
        torch.from_numpy(unit_range(pixels)).permute(2, 0, 1)[None].contiguous()
        for pixels in (before, after)
    )
    values = {
        name: float(functions[name](candidate, reference)) if _fits(name, size) else math.nan
        for name in names
    }
    return {name: value if math.isfinite(value) else None for name, value in values.items()}


def _functions() -> dict[str, Callable[[Tensor, Tensor], Tensor]]:
    """Each measure of N×3×H×W images in 0..1; PerceptError where torchmetrics is broken."""
    try:
        from torchmetrics.functional import image, mean_absolute_error
    except (ImportError, RuntimeError) as error:  # It imports torchvision, which must fit torch.
        raise PerceptError(
            f"--also: torchmetrics cannot be imported ({reason_of(error)}): "
            "install a torchvision that belongs to this torch, or none"
        ) from error
    ssim: Any = image.structural_similarity_index_measure
    multiscale: Any = image.multiscale_structural_similarity_index_measure
    return {
        "psnr": partial(image.peak_signal_noise_ratio, data_range=1.0),
        "ssim": partial(ssim, data_range=1.0),
        "ms-ssim": partial(multiscale, data_range=1.0),
        "mae": mean_absolute_error,
    }


def _fits(name: str, size: tuple[int, int]) -> bool:
    return min(size) >= LEAST.get(name, 1)

"""What moved by a pixel or two and looks the same, put back where it was.

A renderer of another platform, or another version of it, sets a label or a line a pixel further;
nobody sees that. So each position of one image is compared with that position around it in the
other whose surroundings look most alike (block matching, as video codecs estimate motion).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from percept_cli.network.blur import blur_radius, blurred

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

SURROUNDINGS = 4
"""Pixels on each side of a position that are looked at: with itself 9."""

BLUR = 0.7
"""Standard deviation, in pixels, of the blur before images are matched: edges look more alike."""

CLEARLY = 1e-3
"""How much less a sum of squares of levels, in 0..255, must be to count: more than rounding."""

ROWS = 64
"""Rows that are looked at together: what is made of each shift stays in the cache."""


def put_back(base: NDArray[Any], other: NDArray[Any], tolerance: int) -> NDArray[Any]:
    """The other image, each pixel taken from where its surroundings look most like the base's.

    Images H×W×3 of one type, uint8 in 0..255 or floating point; border pixels are repeated. A pixel
    is taken from up to `tolerance` pixels away on both axes, where the sum of squared differences
    over the 9×9 pixels around, slightly blurred, is least; of equals from the nearest, so what did
    not move stays.
    """
    import numpy as np

    height, width, _ = base.shape
    reach = SURROUNDINGS + tolerance + blur_radius(BLUR)
    shifts = _nearest_first(tolerance)
    around = np.pad(other, ((tolerance,) * 2, (tolerance,) * 2, (0, 0)), mode="edge")
    outcome = other.copy()
    for top in range(0, height, ROWS):
        bottom = min(top + ROWS, height)
        rows = slice(max(top - reach, 0), bottom + reach)
        changed = (base[rows] != other[rows]).any((0, 2)).nonzero()[0]
        if not len(changed):
            continue
        left, right = max(int(changed[0]) - reach, 0), min(int(changed[-1]) + reach + 1, width)
        seen = rows, slice(max(left - reach, 0), right + reach)
        best = _best_shift(base[seen], other[seen], shifts)
        best = best[top - rows.start :, left - seen[1].start :][: bottom - top, : right - left]
        for index, (down, aside) in enumerate(shifts):
            above, before = top + tolerance + down, left + tolerance + aside
            moved = around[above : above + bottom - top, before : before + right - left]
            np.copyto(outcome[top:bottom, left:right], moved, where=(best == index)[..., None])
    return outcome


def _best_shift(
    base: NDArray[Any], other: NDArray[Any], shifts: list[tuple[int, int]]
) -> NDArray[Any]:
    """By which of the shifts the other looks most like the base at each position, H×W."""
    import torch
    from torch.nn import functional

    levels = 1.0 if base.dtype == "uint8" else 255.0
    one, two = (
        blurred(torch.from_numpy(x.transpose(2, 0, 1)[None].astype("float64")) * levels, BLUR)
        for x in (base, other)
    )
    most = max(map(max, shifts))
    around = functional.pad(two, (most,) * 4, mode="replicate")
    best = torch.zeros(base.shape[:2], dtype=torch.int16)
    least = torch.full_like(one[0, 0], torch.inf)
    for index, (down, aside) in enumerate(shifts):
        moved = around[:, :, most + down :, most + aside :][..., : one.shape[2], : one.shape[3]]
        apart = _summed((one - moved).square_().sum((0, 1)))
        closer = apart < least - CLEARLY
        least = apart.where(closer, least)
        best.masked_fill_(closer, index)
    return best.numpy()


def _nearest_first(tolerance: int) -> list[tuple[int, int]]:
    steps = range(-tolerance, tolerance + 1)
    shifts = [(down, right) for down in steps for right in steps]
    return sorted(shifts, key=lambda shift: shift[0] ** 2 + shift[1] ** 2)


def _summed(apart: Tensor) -> Tensor:
    """Sums over the 9×9 positions around each, H×W; those beyond the border are 0."""
    from torch.nn import functional

    for axis, padding in ((1, (SURROUNDINGS,) * 2), (0, (0, 0, SURROUNDINGS, SURROUNDINGS))):
        around = functional.pad(apart, padding)
        sums, length = around, 1
        while 2 * length <= 2 * SURROUNDINGS:
            kept = sums.shape[axis] - length
            sums = sums.narrow(axis, 0, kept) + sums.narrow(axis, length, kept)
            length *= 2
        rest = apart.shape[axis]
        apart = sums.narrow(axis, 0, rest) + around.narrow(axis, length, rest)
    return apart

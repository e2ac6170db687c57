"""A first configuration, from what a project's images are and how much they differ."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from percept_cli.errors import PerceptError
from percept_cli.gate.calibrate import ROOM, proposed
from percept_cli.gate.thresholds import NAMED
from percept_cli.inputs.files import opened, read_bytes

MOST_LOOKED_AT = 40
FLAT = 0.3
"""Share of equal neighbours in a row from which an image is no photograph: pages have 0.7 and more,
photographs less than 0.1 (sample_images/references)."""

FEW = 0.1
"""Share of pairs a little above the usual threshold up to which that stays as it is."""

MOST_JND = 2.0
"""The widest threshold for photographs, in just noticeable differences."""


def are_rendered(images: Sequence[Path], max_pixels: int) -> bool:
    """Whether images are pages or drawings rather than photographs; those that are none are left.

    Raises PerceptError if none can be read.
    """
    from percept_cli.inputs.images import decoded

    shares = []
    for path in images[:: max(1, len(images) // MOST_LOOKED_AT)]:
        try:
            picture = decoded(opened(read_bytes(path), str(path), max_pixels), str(path))
        except PerceptError:
            continue
        pixels = picture.on("white").pixels
        shares.append(float((pixels[:, 1:] == pixels[:, :-1]).all(axis=2).mean()))
    if not shares:
        raise PerceptError("no image can be read: look at the folders")
    return statistics.median(shares) >= FLAT


@dataclass(frozen=True)
class Beginning:
    """What a first configuration says, and why."""

    preset: str
    key: str
    threshold: float | str
    reason: str
    above: Sequence[str]
    """Images that this threshold does not pass, the worst first."""


def beginning(rendered: bool, scores: Mapping[str, float]) -> Beginning:
    """The usual threshold, or a wider one where many pairs are a little above it.

    `scores` are peaks by name where images are `rendered`, else just noticeable differences. Plain
    changes are never taken for what is harmless: a threshold that passes them would pass anything.
    """
    preset, key, widest = "rendering", "peak-threshold", NAMED["lenient"]
    usual: float | str = "normal"
    limit = NAMED["normal"]
    if not rendered:
        preset, key, widest, usual, limit = "quality", "jnd", MOST_JND, 1, 1.0
    worst = sorted(scores, key=lambda name: -scores[name])
    if not worst or not scores[worst[0]]:
        return Beginning(preset, key, usual, "the usual threshold: no pair differs yet", ())
    above = [name for name in worst if scores[name] > limit]
    slightly = [scores[name] for name in above if ROOM * scores[name] <= widest]
    if len(slightly) <= FEW * len(scores):
        reason = f"the usual threshold: {len(scores) - len(above)} of {len(scores)} pairs pass"
        return Beginning(preset, key, usual, reason, above)
    threshold = proposed(slightly).threshold
    count = f"{len(slightly)} of {len(scores)} pairs"
    reason = f"wider than the usual threshold, for {count} just above that"
    left = [name for name in above if scores[name] > threshold]
    return Beginning(preset, key, threshold, reason, left)

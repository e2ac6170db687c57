"""What percept says: plain, frozen records that every output format writes in full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

VERSION = 1
"""Version of the result document; raised when a field changes its meaning."""

Status = Literal["identical", "compared", "missing", "new", "error"]
STATUSES: tuple[Status, ...] = ("identical", "compared", "missing", "new", "error")


@dataclass(frozen=True)
class Result:
    """What became of one pair."""

    reference: str | None
    candidate: str | None
    status: Status
    total: float | None = None
    """Weighted mean of the layer distances, >= 0."""
    peak: float | None = None
    """Largest cell of the map, >= 0; None where the distance has no map."""
    peak_at: tuple[int, int] | None = None
    """Middle of that cell, x and y in pixels of the evaluated image."""
    layers: Mapping[str, float] = field(default_factory=dict)
    """Distance of each layer, in network order."""
    width: int | None = None
    """Width of the images as evaluated, in pixels."""
    height: int | None = None
    notes: tuple[str, ...] = ()
    """What was done to the images before they were compared."""
    error: str | None = None

    @property
    def name(self) -> str:
        """The pair's name for people: its candidate's path, or its reference's."""
        return self.candidate or self.reference or "?"

    def document(self) -> dict[str, Any]:
        """This record as JSON has it."""
        return {
            "reference": self.reference,
            "candidate": self.candidate,
            "status": self.status,
            "total": self.total,
            "peak": self.peak,
            "peak_at": list(self.peak_at) if self.peak_at else None,
            "layers": dict(self.layers),
            "width": self.width,
            "height": self.height,
            "notes": list(self.notes),
            "error": self.error,
        }


@dataclass(frozen=True)
class Settings:
    """Everything needed to trust a run's numbers and to get them again."""

    weights: str
    weights_sha256: str | None
    """None where no pair needed the network."""
    layers: tuple[str, ...]
    layer_weights: Mapping[str, float]
    distance: str
    scale: Mapping[str, float] | None
    """What each layer's features were divided by; None where no pair needed the network."""
    resize: str
    background: str
    max_pixels: int
    precision: str
    device: str | None
    """None where no pair needed the network."""
    percept_version: str
    torch_version: str

    def document(self) -> dict[str, Any]:
        """These settings as JSON has them."""
        return {
            **vars(self),
            "layers": list(self.layers),
            "layer_weights": dict(self.layer_weights),
            "scale": dict(self.scale) if self.scale is not None else None,
        }


class Summary:
    """Counts and extremes of a run, kept as its results come; memory does not grow with them."""

    def __init__(self) -> None:
        self.counts: Counter[Status] = Counter()
        self.mean_total: float | None = None
        self.max_total: float | None = None
        self.max_peak: float | None = None
        self.complete = False

    def add(self, result: Result) -> None:
        """Count one more result."""
        self.counts[result.status] += 1
        if result.total is not None:
            scored = self.counts["identical"] + self.counts["compared"]
            mean = self.mean_total or 0.0
            self.mean_total = mean + (result.total - mean) / scored
            self.max_total = max(self.max_total or 0.0, result.total)
        if result.peak is not None:
            self.max_peak = max(self.max_peak or 0.0, result.peak)

    @property
    def pairs(self) -> int:
        return self.counts.total()

    def document(self) -> dict[str, Any]:
        """This summary as JSON has it."""
        return {
            "pairs": self.pairs,
            **{status: self.counts[status] for status in STATUSES},
            "mean_total": self.mean_total,
            "max_total": self.max_total,
            "max_peak": self.max_peak,
            "complete": self.complete,
        }

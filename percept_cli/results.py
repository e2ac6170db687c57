"""What percept says: plain, frozen records that every output format writes in full."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

VERSION = 2
"""Version of the result document; raised when a field changes its meaning."""

SCORING_VERSION = 4
"""Raised whenever the same pair with the same settings may get another figure, but for rounding."""

Status = Literal["identical", "compared", "passed", "failed", "missing", "new", "error"]
STATUSES: tuple[Status, ...] = get_args(Status)

Verdict = Literal["passed", "failed", "incomplete"]

Axis = Literal["rows", "columns"]


@dataclass(frozen=True)
class Region:
    """A rectangle of the evaluated image in which the images differ, in pixels."""

    x: int
    y: int
    width: int
    height: int
    peak: float
    """Largest cell of the map in it, >= 0."""


@dataclass(frozen=True)
class Band:
    """Rows or columns that only one of two aligned images has, or has elsewhere."""

    kind: Literal["inserted", "removed", "moved"]
    axis: Axis
    reference: tuple[int, int]
    """The first, from 0 on, and the one behind the last; where they are missing, both the same."""
    candidate: tuple[int, int]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Band:
        """The record that JSON has."""
        return cls(**_kept(cls, document))

    def document(self) -> dict[str, Any]:
        """This record as JSON has it."""
        spans = {"reference": list(self.reference), "candidate": list(self.candidate)}
        return {**vars(self), **spans}


@dataclass(frozen=True)
class FrameResult:
    """What became of one frame that differs, of several."""

    number: int
    """From 1 on."""
    total: float
    peak: float | None
    peak_at: tuple[int, int] | None
    regions: tuple[Region, ...]
    overlay: str | None = None
    """File of its map alone; made with a report."""
    jnd: Jnd | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> FrameResult:
        """The record that JSON has."""
        kept = _kept(cls, document)
        kept["regions"] = tuple(Region(**region) for region in kept["regions"])
        kept["jnd"] = Jnd(**kept["jnd"]) if kept.get("jnd") else None
        return cls(**kept)

    def document(self) -> dict[str, Any]:
        """This record as JSON has it."""
        return {
            **vars(self),
            "peak_at": list(self.peak_at) if self.peak_at else None,
            "jnd": vars(self.jnd) if self.jnd else None,
            "regions": [vars(region) for region in self.regions],
        }


@dataclass(frozen=True)
class Jnd:
    """How visible a difference is, in just noticeable differences."""

    value: float
    """>= 0; 1 is taken as what half of the people notice, flickering between the two images."""
    low: float
    """Lower end of the interval that holds 95 % of photographs."""
    high: float
    words: str
    """One of WORDS of scoring/jnd.py."""
    scale: str
    """Whose eyes say so: of other changes it is a guess."""


@dataclass(frozen=True)
class Elsewhere:
    """A figure of another frame, or on another background."""

    value: float
    frame: int | None
    background: str | None


@dataclass(frozen=True)
class Thresholds:
    """The largest values that pass a check; None judges nothing."""

    peak: float | None = None
    total: float | None = None
    layers: Mapping[str, float] = field(default_factory=dict)
    jnd: float | None = None

    def document(self) -> dict[str, Any]:
        """These thresholds as JSON has them."""
        return {**vars(self), "layers": dict(self.layers)}


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
    """Middle of that cell, x and y in pixels of the evaluated image, the candidate."""
    layers: Mapping[str, float] = field(default_factory=dict)
    """Distance of each layer, in network order."""
    regions: tuple[Region, ...] = ()
    """Where the images differ most, by falling peak."""
    width: int | None = None
    """Width of the images as evaluated, of aligned ones the candidate's, in pixels."""
    height: int | None = None
    notes: tuple[str, ...] = ()
    """What was done to the images before they were compared."""
    error: str | None = None
    floor: float | None = None
    """What was subtracted from cells with content, >= 0; None where there is no map."""
    thresholds: Thresholds | None = None
    """What a check judged by."""
    failures: tuple[str, ...] = ()
    """Why a check fails; empty if it does not."""
    overrides: Mapping[str, Any] = field(default_factory=dict)
    """Settings of this pair that differ from the run's."""
    heatmap_file: str | None = None
    """The heat map's file; `heatmap` in all outputs."""
    overlay: str | None = None
    """File of the map alone, to lay over the candidate; made with a report."""
    peak_parts: Mapping[str, float] = field(default_factory=dict)
    """What each layer, and `colour`, has in the cell of the peak, before floor and area."""
    background: str | None = None
    """What is behind transparent pixels in the numbers here; None where nothing is transparent."""
    frame: int | None = None
    """The frame, from 1 on, that these numbers are of: the worst of several; None for stills."""
    frames: tuple[FrameResult, ...] = ()
    """Of several frames the worst that differ, in their order, 20 at the most."""
    jnd: Jnd | None = None
    """How visible the difference is; None where that was not measured: in all but one preset."""
    elsewhere: Mapping[str, Elsewhere] = field(default_factory=dict)
    """What is larger in another frame, or on another background: total, peak, jnd, or a layer."""
    bands: tuple[Band, ...] = ()
    """Rows and columns that have no partner, where the images were aligned."""
    reference_sha256: str | None = None
    """Hash of the reference's file; None where the candidate has its content, or none is there."""
    candidate_sha256: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What a manifest, or the caller, says of the pair besides its images."""
    also: Mapping[str, float | None] = field(default_factory=dict)
    """Other measures that were asked for; None where one is infinite, or the images too small."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Result:
        """The record that JSON has."""
        kept = _kept(cls, document)
        limits = kept.get("thresholds")
        kept["thresholds"] = Thresholds(**limits) if limits else None
        kept["jnd"] = Jnd(**kept["jnd"]) if kept.get("jnd") else None
        kept["regions"] = tuple(Region(**region) for region in kept.get("regions", ()))
        kept["frames"] = tuple(FrameResult.of(frame) for frame in kept.get("frames", ()))
        larger = kept.get("elsewhere", {})
        kept["elsewhere"] = {name: Elsewhere(**figure) for name, figure in larger.items()}
        kept["bands"] = tuple(Band.of(band) for band in kept.get("bands", ()))
        kept["heatmap_file"] = document.get("heatmap")
        return cls(**kept)

    @property
    def size(self) -> float | None:
        """How different it is, to find the worst: as visible, or its peak, or its total."""
        if self.jnd:
            return self.jnd.value
        return self.total if self.peak is None else self.peak

    def figures(self) -> dict[str, float]:
        """What a check may judge, by name; empty where nothing was measured."""
        jnd = self.jnd.value if self.jnd else None
        named = {"total": self.total, "peak": self.peak, "jnd": jnd, **self.layers}
        return {name: value for name, value in named.items() if value is not None}

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
            "peak_parts": dict(self.peak_parts),
            "floor": self.floor,
            "jnd": vars(self.jnd) if self.jnd else None,
            "layers": dict(self.layers),
            "regions": [vars(region) for region in self.regions],
            "bands": [band.document() for band in self.bands],
            "width": self.width,
            "height": self.height,
            "background": self.background,
            "frame": self.frame,
            "frames": [frame.document() for frame in self.frames],
            "elsewhere": {name: vars(figure) for name, figure in self.elsewhere.items()},
            "notes": list(self.notes),
            "error": self.error,
            "thresholds": self.thresholds.document() if self.thresholds else None,
            "failures": list(self.failures),
            "overrides": dict(self.overrides),
            "heatmap": self.heatmap_file,
            "overlay": self.overlay,
            "reference_sha256": self.reference_sha256,
            "candidate_sha256": self.candidate_sha256,
            "extra": dict(self.extra),
            "also": dict(self.also),
        }


@dataclass(frozen=True)
class Shard:
    """Which part of the pairs a run took: every `of`-th from the `number`-th on."""

    number: int
    of: int
    plan: str = ""
    """Hash of all pairs and rules of the whole run; equal for shards that belong together."""

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Settings:
    """Everything needed to trust a run's numbers and to get them again."""

    preset: str
    weights: str
    weights_sha256: str | None
    """None where no pair needed the network."""
    layers: tuple[str, ...]
    layer_weights: Mapping[str, float]
    distance: str
    blur: float
    tolerance: int
    floor: float
    area: float
    """What the mean of the 9×9 cells around counts in a cell of the map that has that mean."""
    colour: float
    """What a change of colour counts in the map, per unit of OKLab."""
    shrink: int
    """Pixels of the shorter side to which larger images were shrunk first, and with them those that
    have more pixels in all than one of 4:3 then has; 0 if they were not."""
    scale: Mapping[str, float] | None
    """What each layer's features were divided by; None where no pair needed the network."""
    resize: str
    align: str
    """Along what images were aligned: rows, columns, auto for those of two sizes, or none."""
    size_tolerance: int
    """Pixels by which sizes might differ: what both had was compared."""
    background: str
    frame: int | None
    """The one frame that was compared; None for all."""
    max_pixels: int
    max_bytes: int
    precision: str
    device: str | None
    """None where no pair needed the network."""
    ignore: tuple[str, ...]
    percept_version: str
    scoring_version: int
    """Figures of two scoring versions are not to be compared."""
    torch_version: str
    also: tuple[str, ...] = ()
    """Other measures that were taken besides."""
    references: str | None = None
    """File or folder of the references, as the user named it; None for a manifest."""
    candidates: str | None = None
    configuration: str | None = None
    """The file that options came from; None where there is none."""
    shard: Shard | None = None
    """None where the run took all pairs."""

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Settings:
        """The settings that JSON has."""
        kept = _kept(cls, document)
        kept["shard"] = Shard(**kept["shard"]) if kept.get("shard") else None
        return cls(**kept)

    def document(self) -> dict[str, Any]:
        """These settings as JSON has them."""
        return {
            **vars(self),
            "layers": list(self.layers),
            "ignore": list(self.ignore),
            "also": list(self.also),
            "layer_weights": dict(self.layer_weights),
            "scale": dict(self.scale) if self.scale is not None else None,
            "shard": vars(self.shard) if self.shard else None,
        }


def _kept(record: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """What the document says of a record's fields; lists become tuples."""
    named = {f.name: document[f.name] for f in fields(record) if f.name in document}
    return {name: tuple(v) if isinstance(v, list) else v for name, v in named.items()}

"""Scored pairs ↔ what a cache keeps of them, and under which key."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import fields, replace
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import percept_cli
from percept_cli.canvas import Canvas, canvas_of
from percept_cli.inputs.ignore import region_of
from percept_cli.network.weights import path_of, sha256_of
from percept_cli.results import SCORING_VERSION, Result
from percept_cli.scoring.scored import Scored

if TYPE_CHECKING:
    from percept_cli.scoring.cache import Cache
    from percept_cli.scoring.cells import Grid
    from percept_cli.scoring.options import Options

Keeps = Literal["numbers", "maps", "pictures"]
"""What is wanted of pairs: with pictures also what a map lies over, which is decoded again."""

PACKAGES = (
    *("percept-cli", "torch", "numpy", "pillow", "torchmetrics"),
    *("pillow-heif", "pillow-jxl-plugin", "pillow-avif-plugin", "imagecodecs"),
)
"""What decodes and computes, where it is there."""

LENGTH = struct.Struct("<I")
SHAPE = struct.Struct("<II")


class Facts(NamedTuple):
    """What is known of a run only when its network is there."""

    weights_sha256: str
    device: str
    scale: Mapping[str, float]


class Slot(NamedTuple):
    """Where a pair's outcome is kept."""

    key: bytes
    own_notes: int
    """How many of its notes come from its names, not its contents."""


class Memory:
    """What a run knows from earlier ones; without a cache nothing."""

    def __init__(self, cache: Cache | None, keeps: Keeps = "numbers") -> None:
        self._cache = cache
        self.keeps = keeps
        self._keys: dict[int, bytes | None] = {}
        self._weights: dict[str, Path] = {}

    def close(self) -> None:
        """The run is over."""
        if self._cache:
            self._cache.close()

    def place(
        self, options: Options, reference: str | None, candidate: str | None, own_notes: int
    ) -> Slot | None:
        """Where files with these hashes have their outcome; None where nothing is kept of them."""
        if self._cache is None or reference is None or candidate is None:
            return None
        if id(options) not in self._keys:
            weights = self._weights[options.weights] = path_of(options.weights)
            self._keys[id(options)] = _key_of(options, weights)
        own = self._keys[id(options)]
        if own is None:
            return None
        # Masks are read for each pair, so they may have changed since the last one.
        regions = (region_of(region) for region in options.ignore)
        masks = [sha256_of(region) for region in regions if isinstance(region, Path)]
        pair = bytes.fromhex("".join((reference, candidate, *masks)))
        return Slot(hashlib.sha256(own + pair).digest(), own_notes)

    def find(
        self, place: Slot, known: Result, options: Options
    ) -> tuple[Scored, Facts | None] | None:
        """The outcome for a pair of which so much is known by its names."""
        packed = self._cache.get(place.key) if self._cache else None
        if packed is None:
            return None
        results, maps, facts = _unpacked(packed)
        if not maps:
            if self.keeps != "numbers" and options.has_map:
                return None
            maps = [None] * len(results)
        first, *frames = (
            Scored(result, options, map, canvas=_canvas_of(result))
            for result, map in zip(results, maps, strict=True)
        )
        result = replace(
            first.result,
            reference=known.reference,
            candidate=known.candidate,
            extra=known.extra,
            notes=(*known.notes, *first.result.notes),
        )
        return replace(first, result=result, frames=tuple(frames)), facts

    def keep(self, place: Slot, scored: Scored, facts: Facts | None) -> None:
        """Keep an outcome; the facts are None where the network was not needed."""
        if not self._cache:
            return
        if facts and facts.weights_sha256 != _hash_of(self._weights[scored.options.weights]):
            return  # They were exchanged while this ran.
        whole = (scored, *scored.frames)
        results = [
            replace(
                one.result,
                reference=None,
                candidate=None,
                extra={},
                notes=one.result.notes[place.own_notes :],
            )
            for one in whole
        ]
        maps = [one.map for one in whole] if self.keeps != "numbers" else []
        self._cache.put(place.key, _packed(results, maps, facts))


@once
def version_of(package: str) -> str:
    """The version of a package; empty where it is not there."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _key_of(options: Options, weights: Path) -> bytes | None:
    """Hash of all that makes numbers besides the images; None where the weights are not there."""
    if not weights.is_file():
        return None
    # Of the weights their content counts; the limits decide what is an error.
    names = (each.name for each in fields(options) if each.name != "weights")
    chosen = {name: getattr(options, name) for name in names}
    versions = SCORING_VERSION, *map(version_of, PACKAGES), _code()
    said = json.dumps([chosen, _hash_of(weights), versions], sort_keys=True)
    return hashlib.sha256(said.encode()).digest()


def _hash_of(weights: Path) -> str:
    status = weights.stat()
    return _hash_at(weights, status.st_mtime_ns, status.st_size)


@once
def _hash_at(weights: Path, *_: int) -> str:
    """The hash of weights that were last changed then."""
    return sha256_of(weights)


@once
def _code() -> str:
    """Hash of percept's own code: between two releases the version stays what it was."""
    digest = hashlib.sha256()
    folder = Path(percept_cli.__file__).parent
    for file in sorted((*folder.rglob("*.py"), *folder.rglob("*.json"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _canvas_of(result: Result) -> Canvas | None:
    size = result.width or 0, result.height or 0
    return canvas_of(result.bands, size) if result.bands else None


def _packed(results: list[Result], maps: list[Grid | None], facts: Facts | None) -> bytes:
    """As bytes; numbers keep all their bits."""
    text = json.dumps([[result.document() for result in results], facts]).encode()
    parts = [LENGTH.pack(len(text)), text]
    for grid in maps:
        parts.append(SHAPE.pack(*(grid.shape if grid is not None else (0, 0))))
        if grid is not None:
            parts.append(grid.astype("<f8", copy=False).tobytes())
    return zlib.compress(b"".join(parts), 1)


def _unpacked(packed: bytes) -> tuple[list[Result], list[Grid | None], Facts | None]:
    data = zlib.decompress(packed)
    (length,) = LENGTH.unpack_from(data)
    place = LENGTH.size + length
    documents, facts = json.loads(data[LENGTH.size : place])
    maps: list[Grid | None] = []
    while place < len(data):
        import numpy as np  # Results without maps need none.

        rows, columns = SHAPE.unpack_from(data, place)
        found = np.frombuffer(data, "<f8", rows * columns, place + SHAPE.size)
        maps.append(found.reshape(rows, columns).copy() if len(found) else None)
        place += SHAPE.size + found.nbytes
    return list(map(Result.of, documents)), maps, Facts(*facts) if facts else None

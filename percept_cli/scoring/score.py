"""Pairs → results, in order, while later pairs are still being decoded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from percept_cli.errors import OutOfMemory, PerceptError, shown
from percept_cli.inputs.pairs import Pair
from percept_cli.results import Result, Settings
from percept_cli.scoring.load import load
from percept_cli.scoring.options import Options

if TYPE_CHECKING:
    from percept_cli.inputs.images import Pixels
    from percept_cli.scoring.cells import Grid
    from percept_cli.scoring.load import Source
    from percept_cli.scoring.meter import Measurement, Meter

AHEAD = 2 * (os.cpu_count() or 1)
"""Pairs decoded before they are measured: enough to keep the network busy, few enough to hold."""

AHEAD_PIXELS = 64_000_000
"""Most pixels, of references, decoded ahead."""


@dataclass(frozen=True)
class Scored:
    """A pair's result, with what a picture of it needs; those are None unless it was compared."""

    result: Result
    map: Grid | None = None
    candidate: Pixels | None = None


class _Begun(NamedTuple):
    """A result without its distances, and the images that they are to be measured on."""

    result: Result
    pictures: tuple[Pixels, Pixels] | None = None


class Scorer:
    """Scores pairs under one set of options; loads torch and the network when first needed.

    `one_reference` says that all pairs have the same reference, which then is computed once.
    """

    def __init__(self, options: Options, *, one_reference: bool = False) -> None:
        self.options = options
        self._one_reference = one_reference

    @cached_property
    def _meter(self) -> Meter:
        from percept_cli.scoring.meter import Meter

        return Meter(self.options, one_reference=self._one_reference)

    def score(self, pairs: Iterable[Pair], ahead: int = AHEAD) -> Iterator[tuple[Pair, Scored]]:
        """Score pairs in their order; with `ahead=0` each before the next pair is asked for.

        A pair that cannot be compared gives a result with an error. PerceptError means that no
        pair can: the device is not there, or the weights cannot be loaded.
        """
        waiting: deque[tuple[Pair, Future[_Begun]]] = deque()
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            for pair in pairs:
                waiting.append((pair, pool.submit(self._begin, pair)))
                while len(waiting) > ahead:
                    answers, pixels = self._next(waiting)
                    ahead = min(ahead, max(AHEAD_PIXELS // pixels, 0))
                    yield from answers
            while waiting:
                yield from self._next(waiting)[0]
        finally:
            pool.shutdown(cancel_futures=True)

    def _next(
        self, waiting: deque[tuple[Pair, Future[_Begun]]]
    ) -> tuple[list[tuple[Pair, Scored]], int]:
        """The next pairs' results: of one pair, or of as many as are measured together."""
        pair, future = waiting.popleft()
        group = [(pair, future.result())]
        if group[0][1].pictures:
            while waiting and len(group) < self._meter.batch:
                pair, future = waiting.popleft()
                group.append((pair, future.result()))
        results = self._finish([begun for _, begun in group])
        pixels = max((begun.result.width or 1) * (begun.result.height or 1) for _, begun in group)
        pairs = [pair for pair, _ in group]
        return list(zip(pairs, results, strict=True)), pixels

    def compare(self, reference: Source, candidate: Source) -> Result:
        """Score two images; PerceptError if they cannot be compared."""
        result = Result(_name(reference), _name(candidate), "compared")
        begun = self._loaded(reference, candidate, result)
        if not begun.pictures:
            return begun.result
        (measured,) = self._meter.measure([begun.pictures])
        return self._scored(begun.result, measured, begun.pictures[1]).result

    def settings(self) -> Settings:
        """The options, with what was found out about weights and device if the network ran."""
        options = self.options
        meter: Meter | None = self.__dict__.get("_meter")
        return Settings(
            weights=options.weights,
            weights_sha256=meter.weights.sha256 if meter else None,
            layers=options.layers,
            layer_weights=options.layer_weights,
            distance=options.distance,
            scale=meter.scale if meter else None,
            resize=options.resize,
            background=options.background,
            max_pixels=options.max_pixels,
            precision=options.precision,
            device=str(meter.device) if meter else None,
            percept_version=_version("percept-cli"),
            torch_version=_version("torch"),
        )

    def _begin(self, pair: Pair) -> _Begun:
        """Everything that needs no network; only what still does keeps its images."""
        reference = shown(pair.reference) if pair.reference else None
        candidate = shown(pair.candidate) if pair.candidate else None
        if pair.error:
            return _Begun(Result(reference, candidate, "error", error=pair.error))
        if pair.reference is None:
            return _Begun(Result(reference, candidate, "new"))
        if pair.candidate is None:
            return _Begun(Result(reference, candidate, "missing"))
        result = Result(reference, candidate, "compared")
        try:
            return self._loaded(pair.reference, pair.candidate, result)
        except PerceptError as error:
            reason = str(error)
        except MemoryError:
            reason = f"{result.name}: not enough memory to prepare it: free some"
        return _Begun(replace(result, status="error", error=reason))

    def _loaded(self, reference: Source, candidate: Source, result: Result) -> _Begun:
        loaded = load(reference, candidate, self.options)
        width, height = loaded.size
        result = replace(result, width=width, height=height, notes=loaded.notes)
        if loaded.pictures is None:
            return _Begun(self._identical(result))
        before, after = loaded.pictures
        return _Begun(result, (before.pixels, after.pixels))

    def _finish(self, group: Sequence[_Begun]) -> list[Scored]:
        """Measure what is to be measured, all of it together."""
        pairs = [begun.pictures for begun in group if begun.pictures]
        try:
            measured = iter(self._meter.measure(pairs) if pairs else ())
        except OutOfMemory as error:
            return [Scored(_failed(b.result, error) if b.pictures else b.result) for b in group]
        return [
            self._scored(begun.result, next(measured), begun.pictures[1])
            if begun.pictures
            else Scored(begun.result)
            for begun in group
        ]

    def _scored(self, result: Result, measured: Measurement, candidate: Pixels) -> Scored:
        result = replace(result, total=measured.total, layers=measured.layers)
        if measured.map is not None:
            peak, at = self._peak(measured.map)
            result = replace(result, peak=peak, peak_at=at)
        return Scored(result, measured.map, candidate)

    def _identical(self, result: Result) -> Result:
        layers = dict.fromkeys(self.options.layers, 0.0)
        peak = 0.0 if self.options.has_map else None
        return replace(result, status="identical", total=0.0, peak=peak, layers=layers)

    def _peak(self, cells: Grid) -> tuple[float, tuple[int, int]]:
        """The largest cell, the first of equals, and its middle in pixels."""
        row, column = divmod(int(cells.argmax()), cells.shape[1])
        assert self.options.cell_layer is not None
        side = self.options.cell_layer.stride
        return float(cells[row, column]), (column * side + side // 2, row * side + side // 2)


def _failed(result: Result, error: OutOfMemory) -> Result:
    return replace(result, status="error", error=f"{result.name}: {error}")


def _name(source: Source) -> str | None:
    return shown(Path(source)) if isinstance(source, str | os.PathLike) else None


@cache
def _version(package: str) -> str:
    from importlib import metadata

    return metadata.version(package)

"""Pairs → results, in order, while later pairs are still being decoded."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from percept_cli.errors import PerceptError, shown
from percept_cli.inputs.images import Pixels
from percept_cli.inputs.pairs import Pair
from percept_cli.results import Result, Settings
from percept_cli.scoring.load import Loaded, Source, load
from percept_cli.scoring.options import Options

if TYPE_CHECKING:
    from percept_cli.scoring.cells import Grid
    from percept_cli.scoring.meter import Meter

AHEAD = 2 * (os.cpu_count() or 1)
"""Pairs decoded before they are measured: enough to keep the network busy, few enough to hold."""


@dataclass(frozen=True)
class Scored:
    """A pair's result, with what a picture of it needs; those are None unless it was compared."""

    result: Result
    map: Grid | None = None
    candidate: Pixels | None = None


class Scorer:
    """Scores pairs under one set of options; loads torch and the network when first needed."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @cached_property
    def _meter(self) -> Meter:
        from percept_cli.scoring.meter import Meter

        return Meter(self.options)

    def score(self, pairs: Iterable[Pair], ahead: int = AHEAD) -> Iterator[tuple[Pair, Scored]]:
        """Score pairs in their order; with `ahead=0` each before the next pair is asked for.

        A pair that cannot be compared gives a result with an error. PerceptError means that no
        pair can: the device is not there, or the weights cannot be loaded.
        """
        waiting: deque[tuple[Pair, Future[tuple[Result, Loaded | None]]]] = deque()
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            for pair in pairs:
                waiting.append((pair, pool.submit(self._load, pair)))
                if len(waiting) > ahead:
                    pair, future = waiting.popleft()
                    yield pair, self._measured(*future.result())
            for pair, future in waiting:
                yield pair, self._measured(*future.result())
        finally:
            pool.shutdown(cancel_futures=True)

    def compare(self, reference: Source, candidate: Source) -> Result:
        """Score two images; PerceptError if they cannot be compared."""
        result = Result(_name(reference), _name(candidate), "compared")
        return self._measured(result, load(reference, candidate, self.options)).result

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

    def _load(self, pair: Pair) -> tuple[Result, Loaded | None]:
        """Everything that needs no network; only what still does comes with its images."""
        reference = shown(pair.reference) if pair.reference else None
        candidate = shown(pair.candidate) if pair.candidate else None
        if pair.error:
            return Result(reference, candidate, "error", error=pair.error), None
        if pair.reference is None:
            return Result(reference, candidate, "new"), None
        if pair.candidate is None:
            return Result(reference, candidate, "missing"), None
        try:
            loaded = load(pair.reference, pair.candidate, self.options)
        except PerceptError as error:
            return Result(reference, candidate, "error", error=str(error)), None
        return Result(reference, candidate, "compared"), loaded

    def _measured(self, result: Result, loaded: Loaded | None) -> Scored:
        if loaded is None:
            return Scored(result)
        width, height = loaded.size
        result = replace(result, width=width, height=height, notes=loaded.notes)
        if loaded.pictures is None:
            return Scored(self._identical(result))
        reference, candidate = (picture.pixels for picture in loaded.pictures)
        measured = self._meter.measure([(reference, candidate)])[0]
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


def _name(source: Source) -> str | None:
    return shown(Path(source)) if isinstance(source, str | os.PathLike) else None


@cache
def _version(package: str) -> str:
    return metadata.version(package)

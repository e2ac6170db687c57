"""Decoded images → their distances. The one place where scoring runs the network."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from percept_cli.errors import OutOfMemory, PerceptError
from percept_cli.inputs.images import Pixels, unit_range
from percept_cli.network.blur import blur_radius
from percept_cli.network.colour import COLOUR_REACH, colour_change
from percept_cli.network.differences import Memory, Window, strip_rows, tap_differences
from percept_cli.network.displacement import put_back
from percept_cli.network.layers import LAYERS
from percept_cli.network.scales import applied
from percept_cli.network.vgg import VGG19
from percept_cli.network.weights import Weights, load
from percept_cli.network.workers import available, workers_of
from percept_cli.scoring.area import count_areas
from percept_cli.scoring.cells import Cells, Colours, Grid, Part, Sums, Tally, sums_for
from percept_cli.scoring.devices import (
    capacity_of,
    devices_named,
    exact_arithmetic,
    free_bytes,
    has_tf32,
)
from percept_cli.scoring.floor import subtract_floor
from percept_cli.scoring.options import Options
from percept_cli.scoring.regions import (
    Blocks,
    Crop,
    Rectangle,
    changed_cells,
    crops,
    grown,
    tiles_seen,
    with_changed,
)

KEPT_BYTES = 1 << 30
"""Memory there always is for the features of a reference with many candidates."""

MOST_TOGETHER = 16
"""Most crops in a batch."""

COLOUR_ROWS = 128
"""Rows of pixels whose colours are compared together."""

OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "alloc_failed",
    "could not create a primitive",
    "could not create a memory",
    "unable to find an engine",
    "unable to find a valid cudnn algorithm",
)
"""What torch says when it is, on its several devices; "create" is oneDNN's, "find" cuDNN's."""

DTYPES = {"fp32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Measurement:
    """The distances of one pair."""

    layers: dict[str, float]
    total: float
    map: Grid | None
    """Rows × columns of cells, >= 0; None where no chosen layer has positions to compare."""
    parts: dict[str, float] = field(default_factory=dict)
    """What each layer, and the colour, has in the cell of the peak; empty without a map."""
    floor: float = 0.0
    """What was subtracted from every cell that has content."""

    @property
    def finite(self) -> bool:
        """Whether all of it are numbers."""
        peak = 0.0 if self.map is None else float(self.map.max())
        return math.isfinite(self.total) and math.isfinite(peak)


class _Found(NamedTuple):
    """What is known so far of how an image differs from the base."""

    other: Pixels
    sums: dict[str, Sums]
    colours: Colours | None


class _Pair(NamedTuple):
    """Two different images in the order in which they are computed.

    With a tolerance the other one is compared twice, as it is and with small displacements undone,
    and what either way explains is forgiven.
    """

    base: Pixels
    ways: tuple[_Found, ...]
    changed: Blocks
    tally: Tally


_Job = tuple[_Pair, Crop]


@lru_cache(maxsize=16)
def frozen_network(weights: Weights, deepest: str, device: torch.device, precision: str) -> VGG19:
    """The one network of this kind in the process."""
    network = VGG19(weights, deepest).to(device, DTYPES[precision])
    if device.type != "cpu" or precision == "bf16":
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network


class Meter:
    """Measures pairs of images with one network and one set of options, on one device.

    That is the first one of those that the options name, unless it is given. On the CPU so many
    `workers` do the work, by default all that there may be; several threads may measure at once.
    With `one_reference` all pairs have the same one, and its features are kept between them where
    that takes no more than KEPT_BYTES or a quarter of the memory that is free at first.
    """

    def __init__(
        self,
        options: Options,
        device: torch.device | None = None,
        *,
        one_reference: bool = False,
        workers: int | None = None,
    ) -> None:
        # With a tolerance the order of the two decides which is displaced: it is always the same.
        self._one_reference = one_reference and not options.tolerance
        self.options = options
        self.device = device or devices_named(options.device)[0]
        if options.precision == "tf32" and not has_tf32(self.device):
            raise PerceptError(
                f"--precision tf32: {self.device} has none, NVIDIA's GPUs since Ampere do: use fp32"
            )
        self.weights = load(options.weights)
        self._distances = options.distances
        try:
            self._network = frozen_network(
                self.weights, options.deepest, self.device, options.precision
            )
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise PerceptError(
                f"out of memory on {self.device} for the weights alone: free some"
            ) from error
        on_cpu = self.device.type == "cpu"
        self.workers = workers_of(workers or available()) if on_cpu else None
        free = free_bytes(self.device)
        self._largest = self._capacity = capacity_of(self.device, free)
        self._remembered: tuple[Pixels, dict[Rectangle, Memory]] | None = None
        self._most_kept = max(KEPT_BYTES, free // 4)
        self.scale = applied(self.weights, self._distances, options.raw)

    @property
    def together(self) -> int:
        """How many pixels are worth measuring together, in whatever pairs; 0 for one by one."""
        return self._capacity.together

    def measure(
        self, pairs: Sequence[tuple[Pixels, Pixels]], changed: Sequence[Blocks] = ()
    ) -> list[Measurement]:
        """Distances of pairs of images, H×W×3; those of a pair are alike in size and type.

        They are not too small for the layers. `changed` says which cells of the deepest layer
        differ in each pair, as `changed_cells` does; it is found out where it is left out.

        Raises OutOfMemory where even the smallest part of an image does not fit into memory.
        """
        side = self.options.deepest_reach.stride
        changed = changed or [changed_cells(*pair, side) for pair in pairs]
        work = partial(self._fitting, pairs, changed)
        return self.workers.run(work) if self.workers else work()

    def _fitting(
        self, pairs: Sequence[tuple[Pixels, Pixels]], changed: Sequence[Blocks]
    ) -> list[Measurement]:
        """What `measure` returns, in parts that fit into memory."""
        while True:
            try:
                return self._measured(pairs, changed)
            except (RuntimeError, MemoryError) as error:
                if not _is_out_of_memory(error):
                    raise
                said = str(error).partition("\n")[0]
            # Only now, without the error, nothing holds the tensors that did not fit.
            self._remembered = None
            try:
                self._capacity = self._capacity.smaller()
            except OutOfMemory as error:
                self._capacity = self._largest  # Other pairs may fit.
                raise OutOfMemory(f"{error} ({said})" if said else str(error)) from error
            if self.device.type != "cpu":
                getattr(torch, self.device.type).empty_cache()

    def _measured(
        self, pairs: Sequence[tuple[Pixels, Pixels]], changed: Sequence[Blocks]
    ) -> list[Measurement]:
        started = [self._started(*pair, cells) for pair, cells in zip(pairs, changed, strict=True)]
        jobs = [(pair, crop) for pair in started for crop in self._crops(pair)]
        with exact_arithmetic(self.device, self.options.precision):
            for batch in self._batches(jobs):
                self._run(batch)
        return [self._finished(pair) for pair in started]

    def _started(self, reference: Pixels, candidate: Pixels, changed: Blocks) -> _Pair:
        side = self.options.deepest_reach.stride
        if not self._one_reference and _comes_first(candidate, reference, changed, side):
            # Whichever is named first, the same one is the base: swapping them changes nothing.
            reference, candidate = candidate, reference
        elif (kept := self._remembered) and np.array_equal(kept[0], reference):
            reference = kept[0]  # Whoever has the same one goes together.
        others = [candidate]
        if self.options.tolerance:
            others.append(put_back(reference, candidate, self.options.tolerance))
            still = changed_cells(reference, others[1], side)
            # What is put back and then equal does not differ.
            changed = changed | still if still.any() else still
        ways = tuple(self._nothing_found(other) for other in others)
        return _Pair(reference, ways, changed, Tally(self._capacity.together))

    def _nothing_found(self, other: Pixels) -> _Found:
        size, layer = (other.shape[1], other.shape[0]), self.options.cell_layer
        sums = {
            name: sums_for(distance, LAYERS[name], layer, size, self.scale[name])
            for name, distance in self._distances.items()
        }
        return _Found(other, sums, Colours(layer, size) if self.options.colour and layer else None)

    def _crops(self, pair: _Pair) -> list[Crop]:
        height, width = pair.base.shape[:2]
        layer = self.options.deepest_reach
        if layer.kind == "fc":
            whole = Rectangle(0, 0, width, height)
            every = with_changed(Crop(whole, whole), pair.changed, layer.stride)
            return [every] if pair.changed.any() else []
        statistics = any(distance.whole for distance in self._distances.values())
        everywhere = statistics and bool(pair.changed.any())
        return crops(pair.changed, layer, (width, height), self._tile, everywhere)

    @property
    def _tile(self) -> tuple[int, int]:
        return self._capacity.width, self._capacity.height

    def _run(self, jobs: Sequence[_Job]) -> None:
        """Let the network see crops of one size, and count what each of them owns."""
        remembered = self._is_remembered(*jobs[0])
        bases = jobs[:1] if remembered else jobs
        base = self._images([_cut(pair.base, crop.seen) for pair, crop in bases])
        ways = [
            (way, pair.tally, crop)
            for each in zip(*(p.ways for p, _ in jobs), strict=True)
            for way, (pair, crop) in zip(each, jobs, strict=True)
        ]
        other = self._images([_cut(way.other, crop.seen) for way, _, crop in ways])

        blur = self.options.blur
        changed = _window([crop for _, crop in jobs], blur_radius(blur))

        def tap(name: str, row: int, f: Tensor, d: Tensor) -> None:
            layer = LAYERS[name]
            for index, (way, tally, crop) in enumerate(ways):
                part: Part | None = Part(0, 0, slice(0, 1), slice(0, 1))
                if layer.kind != "fc":
                    whole = self._distances[name].whole
                    window = changed.at(layer) if changed else None
                    place = crop, layer.stride, row, f.shape[2:]
                    part = _owned(*place, None if whole else window)
                    if part and whole and window:
                        nearer = _owned(*place, window)
                        nothing = slice(0, 0), slice(0, 0)
                        part = part._replace(changed=nearer[2:4] if nearer else nothing)
                if part:
                    of = index % len(bases)
                    tally.add(way.sums[name], f[of : of + 1], d[index : index + 1], part)

        rows, width = None, base.shape[3]
        if self._capacity.strips:
            rows = min(strip_rows(width), self._capacity.height)
        elif LAYERS[self.options.deepest].kind == "fc":
            # The whole image is one crop, whatever its size.
            rows = max(self._capacity.width * self._capacity.height // width, 16)
        memory = self._memory(*jobs[0]) if remembered else None
        names = self.options.layers
        alone = self._distances[self.options.deepest].of_change
        tap_differences(self._network, base, other, names, tap, rows, memory, changed, blur, alone)
        for pair, crop in jobs:
            for way in pair.ways:
                if way.colours:
                    _count_colours(pair.base, way.other, crop, way.colours)

    def _batches(self, jobs: list[_Job]) -> Iterator[list[_Job]]:
        """The jobs in groups that the network sees together, of one size and type of pixels.

        Of the one reference they are the same part.
        """
        known: dict[object, list[_Job]] = {}
        alike: dict[object, list[_Job]] = {}
        for pair, crop in jobs:
            if self._is_remembered(pair, crop):
                known.setdefault((id(pair.base), crop.seen), []).append((pair, crop))
            else:
                kind = crop.seen.width, crop.seen.height, pair.base.dtype
                alike.setdefault(kind, []).append((pair, crop))
        for group in (*known.values(), *alike.values()):
            fitting = self._capacity.together // group[0][1].seen.pixels
            largest = min(max(fitting, 1), MOST_TOGETHER)
            for start in range(0, len(group), largest):
                yield group[start : start + largest]

    def _is_remembered(self, pair: _Pair, crop: Crop) -> bool:
        """Whether this is all of the one reference, or a tile of it, and all of it can be kept."""
        if not self._one_reference:
            return False
        height, width = pair.base.shape[:2]
        layer = self.options.deepest_reach
        parts = [Rectangle(0, 0, width, height)]
        if layer.kind != "fc":
            parts = tiles_seen(layer, (width, height), self._tile)
        pixels = sum(part.pixels for part in parts)
        values = sum(
            step.channels * pixels // step.stride**2
            for step in self._network.steps
            if step.kind == "conv"
        )
        fits = self._network.dtype.itemsize * values <= self._most_kept
        return fits and crop.seen in parts

    def _memory(self, pair: _Pair, crop: Crop) -> Memory:
        """What is known of the one reference, in what the network sees of it."""
        kept = self._remembered  # Another thread may exchange it for another base's at any time.
        if not kept or not np.array_equal(kept[0], pair.base):
            self._remembered = kept = pair.base, {}
        return kept[1].setdefault(crop.seen, Memory())

    def _images(self, parts: list[Pixels]) -> Tensor:
        images = torch.from_numpy(np.stack(parts))
        if self.device.type == "cuda":
            # From pinned memory it is copied while the device still computes what came before.
            images = images.pin_memory().to(self.device, non_blocking=True)
        return images.to(self.device).permute(0, 3, 1, 2)

    def _finished(self, pair: _Pair) -> Measurement:
        """What has been found, the smaller where the other image was compared in two ways."""
        pair.tally.finish()
        (_, sums, colours), *others = pair.ways
        for way in others:
            for name, each in sums.items():
                each.forgive(way.sums[name])
            if colours and way.colours:
                colours.forgive(way.colours)
        weights = self.options.layer_weights
        layers = {name: each.distance() for name, each in sums.items()}
        total = float(np.average(list(layers.values()), weights=list(weights.values())))
        if not self.options.has_map:
            return Measurement(layers, total, None)
        located = {
            name: each
            for name, each in sums.items()
            if isinstance(each, Cells) and LAYERS[name].kind != "fc"
        }
        shares = sum(weights[name] for name in located)
        # One after the other and in place: a map may have a cell for each pixel.
        parts = (each.cell_distances() * (weights[name] / shares) for name, each in located.items())
        grid = next(parts)
        for part in parts:
            grid += part
        layer = self.options.cell_layer
        assert layer
        images = pair.base, pair.ways[0].other
        floor = subtract_floor(grid, images, layer.stride, self.options.floor)
        count_areas(grid, self.options.area)
        if colours:
            np.maximum(grid, colours.cells * self.options.colour, out=grid)
        row, column = divmod(int(grid.argmax()), grid.shape[1])
        found = {name: each.cell_distance(row, column) for name, each in located.items()}
        if colours:
            found["colour"] = float(colours.cells[row, column]) * self.options.colour
        return Measurement(layers, total, grid, found, floor)


def _count_colours(base: Pixels, other: Pixels, crop: Crop, colours: Colours) -> None:
    """Count how colours changed where a crop owns pixels that see a change, in strips."""
    height, width = base.shape[:2]
    around = grown(crop.changed or crop.own, COLOUR_REACH, (width, height))
    own = around.within(crop.own)
    for top in range(own.top, own.bottom, COLOUR_ROWS):
        part = Rectangle(own.left, top, own.right, min(top + COLOUR_ROWS, own.bottom))
        seen = grown(part, COLOUR_REACH, (width, height))
        images = (
            torch.from_numpy(unit_range(_cut(x, seen))).permute(2, 0, 1)[None]
            for x in (base, other)
        )
        changes = colour_change(*images)[0].numpy()
        rows = slice(top - seen.top, part.bottom - seen.top)
        columns = slice(part.left - seen.left, part.right - seen.left)
        colours.add(changes[rows, columns], top, part.left)


def _owned(
    crop: Crop, stride: int, row: int, shape: Sequence[int], changed: Window | None
) -> Part | None:
    """What a crop owns and can differ, of a tensor of rows × columns whose first row is `row`."""
    seen, own = crop.seen, crop.own
    above, first_column = seen.top // stride, seen.left // stride
    first_row, (height, width) = above + row, shape
    top = max(own.top // stride, first_row)
    bottom = min(own.bottom // stride, first_row + height)
    left, right = own.left // stride, min(own.right // stride, first_column + width)
    if changed:
        top = max(top, above + changed.top)
        bottom = min(bottom, above + changed.bottom)
        left = max(left, first_column + changed.left)
        right = min(right, first_column + changed.right)
    if top >= bottom or left >= right:
        return None
    return Part(
        top,
        left,
        slice(top - first_row, bottom - first_row),
        slice(left - first_column, right - first_column),
    )


def _window(crops: Sequence[Crop], blur: int) -> Window | None:
    """What can differ in any of these crops once blurred, counted from the first pixel seen."""
    found = []
    for seen, changed in ((crop.seen, crop.changed) for crop in crops):
        if changed is None:
            return None
        left, top = changed.left - seen.left, changed.top - seen.top
        found.append((left, top, left + changed.width, top + changed.height))
    lefts, tops, rights, bottoms = zip(*found, strict=True)
    return Window(
        max(min(lefts) - blur, 0), max(min(tops) - blur, 0), max(rights) + blur, max(bottoms) + blur
    )


def _comes_first(one: Pixels, other: Pixels, changed: Blocks, side: int) -> bool:
    """Whether the first value that differs is smaller in the first image."""
    row = changed.any(axis=1).argmax() * side
    first, second = (image[row : row + side] for image in (one, other))
    place = (first != second).argmax()
    return bool(first.flat[place] < second.flat[place])


def _cut(image: Pixels, part: Rectangle) -> Pixels:
    return image[part.top : part.bottom, part.left : part.right]


def _is_out_of_memory(error: Exception) -> bool:
    said = str(error).lower()
    return isinstance(error, MemoryError) or any(words in said for words in OUT_OF_MEMORY)

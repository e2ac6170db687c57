"""A scored pair: its result, and what a picture of it needs."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from percept_cli.results import Region, Result
from percept_cli.scoring.options import Options

if TYPE_CHECKING:
    from percept_cli.canvas import Box, Canvas
    from percept_cli.inputs.images import Pixels
    from percept_cli.scoring.cells import Grid


@dataclass(frozen=True)
class Scored:
    """A pair's result, with what a picture of it needs; those are None unless it was compared."""

    result: Result
    options: Options
    map: Grid | None = None
    candidate: Pixels | None = None
    """What the map lies over; of aligned images the canvas of both."""
    canvas: Canvas | None = None
    """Where aligned images lie."""
    shapes_differ: bool = False
    """Whether the error is that sizes or numbers of frames differ."""
    frames: tuple[Scored, ...] = ()
    """Of several frames the worst that differ, as `result.frames` has them."""

    def regions(self, level: float | None = None) -> tuple[Region, ...]:
        """Regions around cells of at least that level, else of a share of the peak."""
        from percept_cli.scoring.places import regions_of

        layer, size = self.options.cell_layer, self.evaluated
        assert self.map is not None and layer is not None
        found = regions_of(self.map, layer.stride, size, level)
        return tuple(self._in_candidate(region) for region in found) if self.canvas else found

    @property
    def evaluated(self) -> tuple[int, int]:
        """Width and height of what the map is of."""
        if self.canvas:
            return self.options.evaluated_size(self.canvas.shared_size, self.canvas.shared_size)
        return self.result.width or 0, self.result.height or 0

    def _in_candidate(self, region: Region) -> Region:
        box = region.x, region.y, region.width, region.height
        return Region(*self.in_candidate(box), region.peak)

    def in_candidate(self, box: Box) -> Box:
        """Where in the candidate a rectangle of what was evaluated is."""
        if not self.canvas:
            return box
        (x, y, width, height), shared = box, self.canvas.shared_size
        across, down = (n / m for n, m in zip(shared, self.evaluated, strict=True))
        left, top = min(int(x * across), shared[0] - 1), min(int(y * down), shared[1] - 1)
        right = min(math.ceil((x + width) * across), shared[0])
        bottom = min(math.ceil((y + height) * down), shared[1])
        return self.canvas.in_candidate((left, top, max(right - left, 1), max(bottom - top, 1)))

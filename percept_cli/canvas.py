"""Where two aligned images lie on a canvas with room for what only one of them has."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from percept_cli.results import Band

if TYPE_CHECKING:
    from numpy.typing import NDArray

Span = tuple[int, int]
"""First pixel, and the one behind the last."""

Starts = list[tuple[int, int]]
"""Where pieces begin, rising, and where they begin in another count."""

Box = tuple[int, int, int, int]
"""Left, top, width and height in pixels."""

SHOWN_BANDS = 4
"""Bands told of in words."""


@dataclass(frozen=True)
class Track:
    """Both images along one axis: pieces that they share, and pieces that one of them has."""

    pieces: tuple[tuple[Span, Span], ...]
    """Spans of the reference and of the candidate; one of them is empty where only one is there."""

    @classmethod
    def of(cls, bands: Sequence[Band], reference: int, candidate: int) -> Track:
        """The track of images of so many pixels."""
        gone = iter(sorted(b.reference for b in bands if b.kind != "inserted"))
        come = iter(sorted(b.candidate for b in bands if b.kind != "removed"))
        ends = (reference, reference), (candidate, candidate)
        left, right = next(gone, ends[0]), next(come, ends[1])
        pieces: list[tuple[Span, Span]] = []
        here = there = 0
        while here < reference or there < candidate:
            shared = min(left[0] - here, right[0] - there)
            if shared > 0:
                pieces.append(((here, here + shared), (there, there + shared)))
                here, there = here + shared, there + shared
            elif shared == 0 and left[0] == here < left[1]:
                pieces.append((left, (there, there)))
                here, left = left[1], next(gone, ends[0])
            elif shared == 0 and right[0] == there < right[1]:
                pieces.append(((here, here), right))
                there, right = right[1], next(come, ends[1])
            else:
                raise ValueError("bands that fit no images of these sizes")
        return cls(tuple(pieces))

    @cached_property
    def length(self) -> int:
        """Pixels of the canvas along this axis."""
        return sum(_length(piece) for piece in self.pieces)

    @property
    def sides(self) -> tuple[int, int]:
        """Pixels of the reference and of the candidate along this axis."""
        reference, candidate = (
            sum(piece[side][1] - piece[side][0] for piece in self.pieces) for side in (0, 1)
        )
        return reference, candidate

    def placed(self) -> Iterator[tuple[int, Span, Span]]:
        """Each piece's first pixel on the canvas, and what is there of both images."""
        start = 0
        for piece in self.pieces:
            yield start, *piece
            start += _length(piece)

    def shared(self) -> Iterator[tuple[int, Span, Span]]:
        """Those pieces that both images have."""
        for start, reference, candidate in self.placed():
            if reference[0] < reference[1] and candidate[0] < candidate[1]:
                yield start, reference, candidate

    def on_canvas(self, span: Span, *, of_reference: bool = False) -> Span:
        """Where on the canvas some of an image's pixels are."""
        return _moved(span, self._on_canvas[0 if of_reference else 1])

    def in_candidate(self, span: Span) -> Span:
        """Where in the candidate some pixels of what both share are, counted through all of it."""
        return _moved(span, self._in_candidate)

    @cached_property
    def _on_canvas(self) -> tuple[Starts, Starts]:
        reference, candidate = (
            [
                (spans[side][0], start)
                for start, *spans in self.placed()
                if spans[side][0] < spans[side][1]
            ]
            for side in (0, 1)
        )
        return reference, candidate

    @cached_property
    def _in_candidate(self) -> Starts:
        starts, before = [], 0
        for _, _, (first, last) in self.shared():
            starts.append((before, first))
            before += last - first
        return starts


def _moved(span: Span, starts: Starts) -> Span:
    """Where a span's first and last pixel are, of pieces that begin at one place and another."""
    ends = []
    for place in (span[0], span[1] - 1):
        here, there = starts[bisect_right(starts, place, key=lambda start: start[0]) - 1]
        ends.append(there + place - here)
    return ends[0], ends[1] + 1


def _length(piece: tuple[Span, Span]) -> int:
    (first, last), (other_first, other_last) = piece
    return max(last - first, other_last - other_first)


@dataclass(frozen=True)
class Canvas:
    """Both images' rows and columns."""

    rows: Track
    columns: Track

    @classmethod
    def of(cls, bands: Sequence[Band], reference: Span, candidate: Span) -> Canvas:
        """The canvas of two images of that width and height, with these bands."""
        tracks = [
            Track.of([band for band in bands if band.axis == axis], reference[n], candidate[n])
            for n, axis in enumerate(("columns", "rows"))
        ]
        return cls(tracks[1], tracks[0])

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the canvas."""
        return self.columns.length, self.rows.length

    @property
    def shared_size(self) -> tuple[int, int]:
        """Width and height of what both images have."""
        width, height = (
            sum(last - first for _, (first, last), _ in track.shared())
            for track in (self.columns, self.rows)
        )
        return width, height

    def shared(self, image: NDArray[Any], *, of_reference: bool = False) -> NDArray[Any]:
        """What both images have of an image, H×W or H×W×C, in one piece."""
        import numpy as np

        for axis, track in enumerate((self.rows, self.columns)):
            spans = [spans[0 if of_reference else 1] for _, *spans in track.shared()]
            if spans != [(0, image.shape[axis])]:
                parts = [np.moveaxis(image, axis, 0)[slice(*span)] for span in spans]
                image = np.moveaxis(np.concatenate(parts), 0, axis)
        return np.ascontiguousarray(image)

    def paint(self, image: NDArray[Any], onto: NDArray[Any], *, of_reference: bool = False) -> None:
        """Copy an image to where it lies on the canvas, an array of its size."""
        for top, *rows in self.rows.placed():
            for left, *columns in self.columns.placed():
                (first, last), (begin, end) = (x[0 if of_reference else 1] for x in (rows, columns))
                part = image[first:last, begin:end]
                onto[top : top + last - first, left : left + end - begin] = part

    def spread(self, shared: NDArray[Any]) -> NDArray[Any]:
        """What is known of each pixel that both have, H×W, at its place on the canvas; else 0."""
        import numpy as np

        width, height = self.size
        onto = np.zeros((height, width), shared.dtype)
        down = 0
        for top, (first, last), _ in self.rows.shared():
            along = 0
            for left, (begin, end), _ in self.columns.shared():
                part = shared[down : down + last - first, along : along + end - begin]
                onto[top : top + last - first, left : left + end - begin] = part
                along += end - begin
            down += last - first
        return onto

    def in_candidate(self, box: Box) -> Box:
        """Where in the candidate a rectangle of what both share is."""
        return _boxed(self.columns.in_candidate, self.rows.in_candidate, box)

    def of_candidate(self, box: Box) -> Box:
        """Where on the canvas a rectangle of the candidate is."""
        return _boxed(self.columns.on_canvas, self.rows.on_canvas, box)

    def of_band(self, band: Band) -> list[Box]:
        """Where a band is: where it was taken from, where it came to, or both."""
        track = self.rows if band.axis == "rows" else self.columns
        spans = []
        if band.kind != "inserted":
            spans.append(track.on_canvas(band.reference, of_reference=True))
        if band.kind != "removed":
            spans.append(track.on_canvas(band.candidate))
        width, height = self.size
        return [
            (0, start, width, end - start)
            if band.axis == "rows"
            else (start, 0, end - start, height)
            for start, end in spans
        ]


def _boxed(columns: Callable[[Span], Span], rows: Callable[[Span], Span], box: Box) -> Box:
    x, y, width, height = box
    (left, right), (top, bottom) = columns((x, x + width)), rows((y, y + height))
    return left, top, right - left, bottom - top


def canvas_of(bands: Sequence[Band], candidate: tuple[int, int]) -> Canvas:
    """The canvas of a result's images, from its bands and the candidate's width and height.

    Raises ValueError for bands that fit no such image.
    """
    return Canvas.of(bands, reference_size(bands, candidate), candidate)


def reference_size(bands: Sequence[Band], candidate: tuple[int, int]) -> tuple[int, int]:
    """Width and height of the reference that a candidate of that size was aligned with."""
    size = dict(zip(("columns", "rows"), candidate, strict=True))
    for band in bands:
        size[band.axis] += (band.reference[1] - band.reference[0]) * (band.kind == "removed")
        size[band.axis] -= (band.candidate[1] - band.candidate[0]) * (band.kind == "inserted")
    return size["columns"], size["rows"]


def bands_in_words(bands: Sequence[Band]) -> Iterator[str]:
    """What became of how many rows or columns, and where; after the first few only how many."""
    for band in bands[:SHOWN_BANDS]:
        at = "y" if band.axis == "rows" else "x"
        (first, end), (other, other_end) = band.reference, band.candidate
        count = max(end - first, other_end - other)
        what = f"{count} {band.axis if count > 1 else band.axis[:-1]} {band.kind}"
        if band.kind == "moved":
            yield f"{what} from {at} {first} to {at} {other}"
        else:
            yield f"{what} at {at} {other if band.kind == 'inserted' else first}"
    if len(bands) > SHOWN_BANDS:
        yield f"{len(bands) - SHOWN_BANDS} more bands"

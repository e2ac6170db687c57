"""A pair's two images, brought to one size, or the knowledge that they are identical."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, cast

from PIL import Image

from percept_cli.errors import PerceptError, shown
from percept_cli.inputs import files
from percept_cli.inputs.ignore import check_regions, without
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.options import Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from percept_cli.inputs.images import Picture
    from percept_cli.scoring.regions import Blocks

T = TypeVar("T")

Source: TypeAlias = Union[str, "os.PathLike[str]", Image.Image, "NDArray[Any]"]
"""An image: a path, a Pillow image, or an array as images.from_array takes."""


@dataclass(frozen=True)
class Loaded:
    """Two images ready to be measured."""

    size: tuple[int, int]
    """Width and height at which they are evaluated."""
    pictures: tuple[Picture, Picture] | None
    """Reference and candidate, with one type of pixels; None if they are identical."""
    changed: Blocks | None = None
    """Which cells of the deepest layer differ; None if nothing was decoded."""
    held: int = 0
    """Pixels that count where reading ahead is limited: those of the larger image."""
    notes: tuple[str, ...] = ()


def undecoded(size: tuple[int, int]) -> int:
    """What an image counts that was only looked at: the next of its size may be decoded."""
    return math.prod(size) // 8


def load_equal(reference: Path, candidate: Path, options: Options) -> Loaded | None:
    """Read two files that hold the same bytes; None if they do not, PerceptError as `load`."""
    return _equal(_File.of(reference), _File.of(candidate), options)


def load(reference: Source, candidate: Source, options: Options) -> Loaded:
    """Read two images; PerceptError names the one that cannot be used and says why."""
    left, right = _File.of(reference), _File.of(candidate)
    if equal := _equal(left, right, options):
        return equal
    from percept_cli.scoring.regions import changed_cells  # Equal files need no numpy.

    name = right.name if right else "candidate"
    before = _decoded(left or reference, "reference", options)
    left = None  # Its bytes are no longer needed.
    after = _decoded(right or candidate, "candidate", options)
    spans = before.guessed_span, after.guessed_span
    if None not in spans and spans[0] != spans[1]:
        raise PerceptError(
            f"{name}: its values seem to lie in 0..{spans[1]}, the reference's in 0..{spans[0]}: "
            "save both in one range"
        )
    size = _evaluated(before.size, after.size, name, options)
    held = max(map(math.prod, (before.size, after.size, size)))
    spread = max(_filter_reach(picture.size, size) for picture in (before, after))
    before, after = before.resized(size), after.resized(size)
    if options.ignore:
        before, after = _ignoring(
            name, without, (before, after), options.ignore, options.max_pixels, spread
        )
    notes = *(f"reference {n}" for n in before.notes), *(f"candidate {n}" for n in after.notes)
    if before.pixels.dtype != after.pixels.dtype:
        before, after = before.in_unit_range(), after.in_unit_range()
    changed = changed_cells(before.pixels, after.pixels, options.deepest_reach.stride)
    return Loaded(size, (before, after) if changed.any() else None, changed, held, notes)


def _equal(left: _File | None, right: _File | None, options: Options) -> Loaded | None:
    if not (left and right and left.content == right.content):
        return None
    stored = files.size_of(right.content, right.name, options.max_pixels)
    size = _evaluated(stored, stored, right.name, options)
    _ignoring(right.name, check_regions, options.ignore, size, options.max_pixels)
    return Loaded(size, None, held=undecoded(stored))


def _ignoring(name: str, act: Callable[..., T], *arguments: Any) -> T:
    """What comes of it; an error names the image."""
    try:
        return act(*arguments)
    except PerceptError as error:
        raise PerceptError(f"{name}: {error}") from error


def _filter_reach(before: tuple[int, int], after: tuple[int, int]) -> int:
    """Pixels of the resized image on each side that a pixel's colour reaches: bicubic, two wide."""
    if before == after:
        return 0
    scale = max(new / old for old, new in zip(before, after, strict=True))
    return 2 * math.ceil(max(scale, 1)) + 1


@dataclass(frozen=True)
class _File:
    name: str
    content: bytes

    @classmethod
    def of(cls, source: Source) -> _File | None:
        if not isinstance(source, str | os.PathLike):
            return None
        path = Path(source)
        return cls(shown(path), files.read_bytes(path))


def _decoded(source: Source | _File, role: str, options: Options) -> Picture:
    # Equal files need no numpy.
    from percept_cli.inputs import images

    if isinstance(source, _File):
        image = files.opened(source.content, source.name, options.max_pixels)
        return images.decoded(image, source.name, options.background)
    if isinstance(source, Image.Image):
        files.check_pixels(source.size, role, options.max_pixels)
        return images.decoded(source, role, options.background)
    return images.from_array(
        cast("NDArray[Any]", source), role, options.background, options.max_pixels
    )


def _evaluated(
    reference: tuple[int, int], candidate: tuple[int, int], name: str, options: Options
) -> tuple[int, int]:
    try:
        size = options.evaluated_size(reference, candidate)
    except PerceptError as error:
        raise type(error)(f"{name}: {error}") from error
    least = LAYERS[options.deepest].stride
    if min(size) < least:
        raise PerceptError(
            "{}: compared at {}x{}, too small for {}, which needs {least}x{least}: choose "
            "shallower layers, or a larger --resize".format(
                name, *size, options.deepest, least=least
            )
        )
    return size

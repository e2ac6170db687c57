"""A pair's two images, brought to one size, or the knowledge that they are identical."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from threading import Lock
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, Union, cast

from PIL import Image

from percept_cli.errors import PerceptError, ShapesDiffer, shown
from percept_cli.inputs import files
from percept_cli.inputs.ignore import GREY, check_regions, ignored_pixels, without
from percept_cli.inputs.stored import Member, Place, Remote, Stored, place_of
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.options import Options

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from percept_cli.canvas import Canvas
    from percept_cli.inputs.images import Picture, Pixels
    from percept_cli.scoring.alignment import Alignment
    from percept_cli.scoring.regions import Blocks

T = TypeVar("T")

DECODING = [Lock() for _ in range(64)]
"""Of Pillow images, which several pairs may have, each is decoded under one of these."""

Source: TypeAlias = Union[str, "os.PathLike[str]", Remote, Member, Image.Image, "NDArray[Any]"]
"""An image: a path, a Pillow image, or an array as images.from_array takes."""


def as_place(source: Source | None) -> Place | None:
    """Where the image is; None if it is no file, nor stored anywhere."""
    if isinstance(source, Stored):
        return source
    return place_of(source) if isinstance(source, str | os.PathLike) else None


@dataclass(frozen=True)
class View:
    """Two opaque images, of one size and type, in which pixels differ."""

    reference: Pixels
    candidate: Pixels
    changed: Blocks
    """Which cells of the deepest layer differ."""
    background: str | None
    """What is behind their transparent pixels; None if they have none."""
    canvas: Pixels | None = None
    """Of aligned images all of both, the candidate where both are, on the background."""

    @property
    def shown(self) -> Pixels:
        """What its map lies over."""
        return self.candidate if self.canvas is None else self.canvas


@dataclass(frozen=True)
class Frame:
    """A frame of both images, or two stills."""

    number: int
    size: tuple[int, int]
    """Width and height at which it is evaluated; of aligned images the candidate's."""
    views: tuple[View, ...] = ()
    """One for each background on which the images differ."""
    identical: bool = False
    """Whether all pixels are equal, and as opaque."""
    notes: tuple[str, ...] = ()
    alignment: Alignment | None = None
    """How the two correspond, where something has no partner."""
    canvas: Pixels | None = None
    """Of aligned images without a view all of both, the candidate where both are."""


@dataclass(frozen=True)
class Loaded:
    """Two images ready to be measured."""

    frames: Iterable[Frame]
    """Of animations each is decoded when it is asked for."""
    count: int = 1
    held: int = 0
    """Pixels that count where reading ahead is limited: those of the larger image."""
    sha256: tuple[str | None, str | None] = (None, None)
    """Hashes of both files, where their contents differ."""


def undecoded(size: tuple[int, int]) -> int:
    """What an image counts that was only looked at: the next of its size may be decoded."""
    return math.prod(size) // 8


@dataclass
class Contents:
    """What two sources hold, not decoded yet: the bytes of those that are files."""

    reference: _File | Source | None
    candidate: _File | Source | None

    @classmethod
    def of(cls, reference: Source, candidate: Source, options: Options) -> Contents:
        """Read them; PerceptError names the one that cannot be read."""
        left, right = (_File.of(source, options.max_bytes) for source in (reference, candidate))
        return cls(left or reference, right or candidate)

    @property
    def sha256(self) -> tuple[str | None, str | None]:
        """Hashes of those that are files."""
        left, right = (
            source.sha256 if isinstance(source, _File) else None
            for source in (self.reference, self.candidate)
        )
        return left, right


def load_equal(contents: Contents, options: Options) -> Loaded | None:
    """Two files that hold the same bytes; None if they do not, PerceptError as `load`."""
    left, right = contents.reference, contents.candidate
    # Whether there is such a frame, only decoding tells.
    if options.frame or not (isinstance(left, _File) and isinstance(right, _File)):
        return None
    if left.content != right.content:
        return None
    stored = files.size_of(right.content, right.name, options.max_pixels)
    size = _evaluated(stored, stored, right.name, options)
    _ignoring(right.name, check_regions, options.ignore, size, options.max_pixels)
    return Loaded((Frame(1, size, identical=True),), held=undecoded(stored))


class Known:
    """The decoded reference of many candidates, so that it is decoded once."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._content: bytes | None = None
        self._picture: Picture | None = None

    def picture(self, content: bytes, decode: Callable[[], Picture]) -> Picture:
        """What decoding gives, or gave for a file of the same content."""
        with self._lock:
            if self._picture is None or self._content != content:
                self._content, self._picture = content, decode()
            return self._picture


def load(contents: Contents, options: Options, known: Known | None = None) -> Loaded:
    """Decode two images; PerceptError names the one that cannot be used and says why.

    A still reference is taken from what is `known`.
    """
    if equal := load_equal(contents, options):
        return equal
    left, right = contents.reference, contents.candidate
    name, sha256 = right.name if isinstance(right, _File) else "candidate", contents.sha256
    before = _Images(left, "reference", options, known)
    after = _Images(right, "candidate", options)
    # Their bytes are needed no longer than the images.
    left = right = contents.reference = contents.candidate = None
    held = max(math.prod(images.size) for images in (before, after))
    numbers = _numbers(before.count, after.count, name, options.frame)
    if max(before.count, after.count) > 1:  # Of animations, drawn alike, none has grown.
        options = replace(options, align="none")
    frames = (_frame(before.take(n), after.take(n), n, name, options) for n in numbers)
    if len(numbers) > 1:
        return Loaded(frames, len(numbers), held, sha256)
    frame = next(frames)
    return Loaded((frame,), 1, max(held, math.prod(frame.size)), sha256)


def _numbers(reference: int, candidate: int, name: str, chosen: int | None) -> Sequence[int]:
    """The frames to compare, of images that have so many."""
    if chosen is None:
        if reference != candidate:
            raise ShapesDiffer(
                f"{name}: frames differ: reference {reference}, candidate {candidate}: "
                "--frame N compares one"
            )
        return range(1, reference + 1)
    if chosen > min(reference, candidate):
        raise PerceptError(
            f"{name}: no frame {chosen} to compare: reference {reference}, candidate {candidate}: "
            "choose one that both have"
        )
    return (chosen,)


def _frame(before: Picture, after: Picture, number: int, name: str, options: Options) -> Frame:
    """What is to be measured of a frame."""
    spans = before.guessed_span, after.guessed_span
    if None not in spans and spans[0] != spans[1]:
        raise PerceptError(
            f"{name}: its values seem to lie in 0..{spans[1]}, the reference's in 0..{spans[0]}: "
            "save both in one range"
        )
    stored, sizes = (before, after), (before.size, after.size)
    differ = "sizes differ: reference {}x{}, candidate {}x{}".format(*before.size, *after.size)
    if before.size != after.size and _nearly_equal(*sizes, options):
        width, height = map(min, zip(*sizes, strict=True))
        before, after = (x.mapped(lambda it: it[:height, :width]) for x in (before, after))
        frame = _whole_frame(before, after, number, name, options)
        note = f"{differ}: what both have was compared"
        return replace(frame, identical=False, notes=(note, *frame.notes))
    if options.ignore and before.size == after.size and options.aligned_along(*sizes):
        before, after = _ignoring(
            name, without, (before, after), options.ignore, options.max_pixels
        )
    if alignment := _alignment(before, after, options):
        notes = (differ,) if before.size != after.size else ()
        return _aligned_frame(before, after, alignment, number, name, options, notes)
    frame = _whole_frame(before, after, number, name, options)
    seen = not options.ignore and sizes == (frame.size, frame.size)
    return replace(frame, identical=frame.identical and _as_stored(*stored, seen=seen))


def _nearly_equal(reference: tuple[int, int], candidate: tuple[int, int], options: Options) -> bool:
    pixels = (abs(one - other) for one, other in zip(reference, candidate, strict=True))
    return max(pixels) <= options.size_tolerance


def _alignment(before: Picture, after: Picture, options: Options) -> Alignment | None:
    """How the two correspond; None if that was not asked for, or all has a partner, or too little.

    What is behind transparent pixels then is the first of the backgrounds.
    """
    axis = options.aligned_along(before.size, after.size)
    if axis is None:
        return None
    from percept_cli.scoring.alignment import aligned

    background = files.backgrounds_of(options.background)[0]
    alignment = aligned(before.on(background).in_bytes(), after.on(background).in_bytes(), axis)
    large_enough = min(alignment.canvas.shared_size) >= LAYERS[options.deepest].stride
    return alignment if alignment.bands and large_enough else None


def _aligned_frame(
    before: Picture,
    after: Picture,
    alignment: Alignment,
    number: int,
    name: str,
    options: Options,
    notes: tuple[str, ...],
) -> Frame:
    """What both images have is measured; ignored regions are those of the reference."""
    canvas, size = alignment.canvas, after.size
    left = before.mapped(partial(canvas.shared, of_reference=True))
    right = after.mapped(canvas.shared)
    if options.ignore:
        ignored = _ignoring(name, ignored_pixels, options.ignore, before.size, options.max_pixels)
        ignored = canvas.shared(ignored, of_reference=True)
        left, right = (x.greyed(ignored, GREY) for x in (left, right))
    frame = _whole_frame(left, right, number, name, replace(options, ignore=()))
    painted = partial(_painted, before, after, canvas)
    return replace(
        frame,
        size=size,
        views=tuple(replace(view, canvas=painted(view.background)) for view in frame.views),
        identical=False,
        notes=(*notes, *frame.notes),
        alignment=alignment,
        canvas=None if frame.views else painted(files.backgrounds_of(options.background)[0]),
    )


def _painted(before: Picture, after: Picture, canvas: Canvas, background: str | None) -> Pixels:
    """All of both images, on that background."""
    import numpy as np

    if background:
        before, after = before.on(background), after.on(background)
    if before.pixels.dtype != after.pixels.dtype:
        before, after = before.in_unit_range(), after.in_unit_range()
    width, height = canvas.size
    # Rows of one image meet columns of the other where neither has anything.
    grey = GREY if after.pixels.dtype == np.uint8 else GREY / 255
    onto = np.full((height, width, 3), grey, after.pixels.dtype)
    canvas.paint(before.pixels, onto, of_reference=True)
    canvas.paint(after.pixels, onto)
    return onto


def _whole_frame(
    before: Picture, after: Picture, number: int, name: str, options: Options
) -> Frame:
    """What is to be measured of two pictures, position by position; identical if nothing is."""
    size = _evaluated(before.size, after.size, name, options)
    notes = tuple(_notes(before, after, size))
    if before.alpha is None and after.alpha is None:
        view = _view(before, after, None, size, name, options)
        return Frame(number, size, (view,) if view else (), not view, notes)
    backgrounds = files.backgrounds_of(options.background)
    seen = (_view(before, after, colour, size, name, options) for colour in backgrounds)
    views = tuple(view for view in seen if view)
    if not views and len(backgrounds) == 1:
        opposite = _opposite(backgrounds[0])
        if _view(before, after, opposite, size, name, options):
            note = f"they differ in what {backgrounds[0]} behind transparent pixels hides"
            return Frame(number, size, notes=(*notes, note))
    note = f"transparency composited on {' and on '.join(backgrounds)}"
    return Frame(number, size, views, not views, (*notes, note))


def _as_stored(before: Picture, after: Picture, *, seen: bool) -> bool:
    """Whether two pictures that look equal are so as stored: resizing and masks may hide much.

    Their colours need no look if they have been `seen`, all of them and as they are.
    """
    import numpy as np

    if before.reduced or after.reduced:
        return False
    if before.alpha is None or after.alpha is None:
        alike = before.alpha is after.alpha
    else:
        alike = np.array_equal(before.alpha, after.alpha)
    if seen or not alike:
        return alike
    if before.pixels.dtype != after.pixels.dtype:
        before, after = before.in_unit_range(), after.in_unit_range()
    # Colours that are wholly transparent count for nothing.
    one, other = (x.pixels if x.alpha is None else x.pixels[x.alpha > 0] for x in (before, after))
    return np.array_equal(one, other)


def _notes(before: Picture, after: Picture, size: tuple[int, int]) -> Iterator[str]:
    roles = (("reference", before), ("candidate", after))
    if before.size == after.size != size:
        yield "both resized from {}x{} to {}x{}".format(*before.size, *size)
    for role, picture in roles:
        yield from (f"{role} {note}" for note in picture.notes)
        if picture.size != size and before.size != after.size:
            yield "{} resized from {}x{} to {}x{}".format(role, *picture.size, *size)


def _opposite(background: str) -> str:
    """A colour on which nothing looks as on that background."""
    return "black" if sum(files.background_colour(background)) > 3 * 127 else "white"


def _view(
    before: Picture,
    after: Picture,
    background: str | None,
    size: tuple[int, int],
    name: str,
    options: Options,
) -> View | None:
    """The images on that background, brought to that size; None if no pixel differs."""
    from percept_cli.scoring.regions import changed_cells  # Equal files need no numpy.

    if background:
        before, after = before.on(background), after.on(background)
    spread = max(_filter_reach(picture.size, size) for picture in (before, after))
    before, after = (x.resized(size, soft=options.shrink > 0) for x in (before, after))
    if options.ignore:
        before, after = _ignoring(
            name, without, (before, after), options.ignore, options.max_pixels, spread
        )
    if before.pixels.dtype != after.pixels.dtype:
        before, after = before.in_unit_range(), after.in_unit_range()
    changed = changed_cells(before.pixels, after.pixels, options.deepest_reach.stride)
    return View(before.pixels, after.pixels, changed, background) if changed.any() else None


def _ignoring(name: str, act: Callable[..., T], *arguments: Any) -> T:
    """What comes of it; an error names the image."""
    try:
        return act(*arguments)
    except PerceptError as error:
        raise PerceptError(f"{name}: {error}") from error


def _filter_reach(before: tuple[int, int], after: tuple[int, int]) -> int:
    """Pixels of the resized image on each side that a pixel's colour reaches: at most two wide."""
    if before == after:
        return 0
    scale = max(new / old for old, new in zip(before, after, strict=True))
    return 2 * math.ceil(max(scale, 1)) + 1


@dataclass(frozen=True)
class _File:
    name: str
    content: bytes

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()

    @classmethod
    def of(cls, source: Source, max_bytes: int) -> _File | None:
        path = as_place(source)
        if path is None:
            return None
        return cls(shown(path), files.read_bytes(path, max_bytes))


class _Images:
    """The frames of one image, each decoded when it is taken."""

    def __init__(
        self, source: Source | _File | None, role: str, options: Options, known: Known | None = None
    ) -> None:
        self._name, self._most = role, options.max_pixels
        self._known, self._content = known, b""
        self._image: Image.Image | None = None
        self._array: NDArray[Any] | None = None
        self.count = 1
        if isinstance(source, _File):
            self._name, self._content = source.name, source.content
            self._image = files.opened(source.content, source.name, options.max_pixels)
            self.count = files.frames_of(self._image, source.name)
        elif isinstance(source, Image.Image):
            files.check_pixels(source.size, role, options.max_pixels)
            self._image = source  # The frame it stands at.
        elif source is None:
            raise PerceptError(f"{role}: None is no image: give a path, a Pillow image or an array")
        else:
            self._array = cast("NDArray[Any]", source)
        self.size = self._image.size if self._image else (0, 0)

    def take(self, number: int) -> Picture:
        """A frame, from 1 on; of a still only once."""
        from percept_cli.inputs import images  # Equal files need no numpy.

        image, self._image = self._image, self._image if self.count > 1 else None
        if image is None:
            assert self._array is not None
            return images.from_array(self._array, self._name, self._most)
        if self.count == 1:
            if not self._content:
                with DECODING[id(image) // 64 % len(DECODING)]:
                    return images.decoded(image, self._name)
            decode = partial(images.decoded, image, self._name)
            return self._known.picture(self._content, decode) if self._known else decode()
        name = f"{self._name}: frame {number}"
        files.seek(image, number, name, self._most)
        return images.decoded(image, name)


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

"""Pairs → results, in order, while later pairs are still being decoded."""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from heapq import nlargest
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

from percept_cli.errors import OutOfMemory, PerceptError, ShapesDiffer, shown
from percept_cli.inputs.files import read_bytes, size_of
from percept_cli.inputs.stored import IN_FLIGHT, Place, Stored
from percept_cli.results import SCORING_VERSION, Elsewhere, FrameResult, Result, Settings
from percept_cli.scoring.also import measured as measured_also
from percept_cli.scoring.also import of_equal
from percept_cli.scoring.jnd import jnd_of
from percept_cli.scoring.load import (
    Contents,
    Frame,
    Known,
    Loaded,
    View,
    as_place,
    load,
    load_equal,
    undecoded,
)
from percept_cli.scoring.measuring import AHEAD_PIXELS, Measuring, done
from percept_cli.scoring.memory import Facts, Memory, Slot, version_of
from percept_cli.scoring.options import Options
from percept_cli.scoring.scored import Scored

if TYPE_CHECKING:
    from percept_cli.inputs.images import Pixels
    from percept_cli.scoring.alignment import Alignment
    from percept_cli.scoring.load import Source
    from percept_cli.scoring.meter import Measurement
    from percept_cli.scoring.meters import Meters

AHEAD = 2 * (os.cpu_count() or 1)
"""Pairs decoded before they are measured: enough to keep the network busy, few enough to hold."""

MOST_FRAMES = 20
"""Most frames of one animation that a result tells of."""


NOT_FINITE = "features too large for their numbers: leave out --raw, or use sound weights"

QUICK = 5e-4
"""Seconds to read a pair below which two threads take longer than one: they share Python."""

AGAIN = 0.05
"""What another thread's pair counts, until it is tried again whether this one would be quick."""


class _Begun(NamedTuple):
    """A result without its distances, and the images that they are to be measured on."""

    result: Result
    options: Options
    views: tuple[View, ...] = ()
    """Those of two stills, or of a frame."""
    frames: Iterable[Frame] = ()
    """Those of an animation, not decoded yet."""
    held: int = 0
    """Pixels that count where reading ahead is limited."""
    shapes_differ: bool = False
    alignment: Alignment | None = None
    canvas: Pixels | None = None
    place: Slot | None = None
    """Where the outcome is to be kept; None if it is not."""
    scored: Scored | None = None
    """The outcome, where it is known already."""


class _Here:
    """Does work in this thread as long as that is quick, less than handing it to another costs."""

    def __init__(self) -> None:
        self._times = 0.0
        self._seconds = 0.0

    def quickly(self, work: Callable[[], _Begun | None]) -> _Begun | None:
        """What comes of the work, None where it has been slow before: from a slow disk, say."""
        if self._seconds > QUICK * max(self._times, 20):
            self._times += AGAIN
            return None
        start = perf_counter()
        outcome = work()
        self._times += 1
        # The first may have something to open.
        self._seconds += min(perf_counter() - start, 10 * QUICK)
        return outcome


class AnyPair(Protocol):
    """Two images, and what is known of them; `Pair` is one."""

    @property
    def reference(self) -> Source | None: ...
    @property
    def candidate(self) -> Source | None: ...
    @property
    def error(self) -> str | None: ...
    @property
    def notes(self) -> tuple[str, ...]: ...
    @property
    def extra(self) -> Mapping[str, Any]: ...


P = TypeVar("P", bound=AnyPair)


class Scorer:
    """Scores pairs; loads torch and the network when first needed.

    `options_of` gives the options of pairs that have their own. `one_reference` says that all pairs
    have the same reference, which then is computed once. `workers` is how many threads compute on
    the CPU; by default as many as there are cores for this process. What the `memory` knows is not
    measured again.
    """

    def __init__(
        self,
        options: Options,
        options_of: Callable[[Any], Options] | None = None,
        *,
        one_reference: bool = False,
        workers: int | None = None,
        memory: Memory | None = None,
    ) -> None:
        if workers is not None and workers < 1:
            raise PerceptError(f"--workers {workers}: give 1 or more")
        self.options = options
        self._workers = workers
        self._reference_computed = False
        self._options_of = options_of or (lambda _: options)
        self._one_reference = one_reference
        self._reference = Known() if one_reference else None
        self._meters: dict[int, Meters] = {}
        self._memory = memory or Memory(None)
        self._facts: dict[int, Facts] = {}

    def score(self, pairs: Iterable[P], ahead: int = AHEAD) -> Iterator[tuple[P, Scored]]:
        """Score pairs in their order; with `ahead=0` each before the next pair is asked for.

        A pair that cannot be compared gives a result with an error. PerceptError means that no
        pair can: the device is not there, or the weights cannot be loaded.
        """
        decoding: deque[tuple[P, Future[_Begun]]] = deque()
        measuring: Measuring[P] = Measuring(in_turn=not ahead)
        # Until a size is known, one pair is read ahead; then the largest of the last ones counts.
        limit, here, held = min(ahead, 1), _Here(), deque[int](maxlen=ahead + 1)
        pool = ThreadPoolExecutor(max(os.cpu_count() or 1, IN_FLIGHT))
        try:
            for pair in pairs:
                begun = here.quickly(partial(self._without_work, pair))
                future = done(begun) if begun else self._submitted(pool, pair)
                decoding.append((pair, future))
                if ahead and isinstance(pair.candidate, Stored):
                    ahead = max(ahead, IN_FLIGHT)  # Most of its time it waits.
                while len(decoding) > limit:
                    count = self._hand_on(decoding, held, measuring)
                    # What is measured together comes off at once, and so many are to follow.
                    limit = min(ahead and ahead + count - 1, AHEAD_PIXELS // max(*held, 1))
                    yield from measuring.ready()
            while decoding:
                self._hand_on(decoding, held, measuring)
                yield from measuring.ready()
            yield from measuring.rest()
        finally:
            pool.shutdown(cancel_futures=True)
            measuring.give_up()
            self._memory.close()

    def _submitted(self, pool: ThreadPoolExecutor, pair: AnyPair) -> Future[_Begun]:
        try:
            return pool.submit(self._begin, pair)
        except RuntimeError:  # The system has no more threads.
            return done(self._begin(pair))

    def _hand_on(
        self,
        decoding: deque[tuple[P, Future[_Begun]]],
        held: deque[int],
        measuring: Measuring[P],
    ) -> int:
        """Let the next pair be measured, with those that are ready to be measured with it."""
        pair, future = decoding.popleft()
        first = future.result()
        group, pixels = [(pair, first)], _pixels(first.result)
        workers = None
        if first.views:
            meters = self._meters_of(first.options)
            workers = meters.workers
            ready = 1 + sum(future.done() for _, future in decoding)
            most = -(-ready // workers.count) if workers else ready
            while len(group) < most and pixels < meters.together and decoding[0][1].done():
                begun = decoding[0][1].result()
                if begun.options is not first.options or begun.frames:
                    break
                group.append((decoding.popleft()[0], begun))
                pixels += _pixels(begun.result)
        held.extend(begun.held for _, begun in group)
        pairs = [pair for pair, _ in group]
        work = partial(self._finish, [begun for _, begun in group], first.options)
        measuring.add(pairs, work, workers, sum(begun.held for _, begun in group))
        if self._one_reference and first.views and not self._reference_computed:
            measuring.wait()  # All that follow use what this one has found of the reference.
            self._reference_computed = True
        return len(group)

    def compare(self, reference: Source, candidate: Source) -> Scored:
        """Score two images; PerceptError if they cannot be compared."""
        result = Result(_name(reference), _name(candidate), "compared")
        contents = Contents.of(reference, candidate, self.options)
        begun = self._loaded(contents, result, self.options)
        (scored,) = self._finish([begun], self.options)
        if scored.result.error:
            raise PerceptError(scored.result.error)
        return scored

    def load_network(self) -> None:
        """Load what is loaded when a pair first needs it."""
        self._meters_of(self.options)

    def settings(self) -> Settings:
        """The options, with what was found out about weights and device if the network ran."""
        options, facts = self.options, next(iter(list(self._facts.values())), None)
        own = self._facts.get(id(options))
        return Settings(
            preset=options.preset,
            weights=options.weights,
            weights_sha256=facts.weights_sha256 if facts else None,
            layers=options.layers,
            layer_weights=options.layer_weights,
            distance=options.distance,
            blur=options.blur,
            tolerance=options.tolerance,
            floor=options.floor,
            area=options.area,
            colour=options.colour,
            shrink=options.shrink,
            scale=own.scale if own else None,
            resize=options.resize,
            align=options.align,
            size_tolerance=options.size_tolerance,
            background=options.background,
            frame=options.frame,
            max_pixels=options.max_pixels,
            max_bytes=options.max_bytes,
            precision=options.precision,
            device=facts.device if facts else None,
            ignore=options.ignore,
            percept_version=version_of("percept-cli"),
            scoring_version=SCORING_VERSION,
            torch_version=version_of("torch"),
            also=options.also,
        )

    def _meters_of(self, options: Options) -> Meters:
        if id(options) not in self._meters:
            if "torch" not in sys.modules:
                _import_torch()
            from percept_cli.scoring.meters import Meters

            meters = Meters(options, one_reference=self._one_reference, workers=self._workers)
            facts = Facts(meters.weights.sha256, meters.device, meters.scale)
            self._meters[id(options)], self._facts[id(options)] = meters, facts
        return self._meters[id(options)]

    def _begin(self, pair: AnyPair) -> _Begun:
        """Everything that needs no network; only what still does keeps its images."""
        options = self._options_of(pair)
        result = _result_of(pair)
        if pair.error:
            return _Begun(replace(result, status="error", error=pair.error), options)
        if pair.candidate is None:
            return _Begun(replace(result, status="missing"), options)
        if pair.reference is None:
            place = as_place(pair.candidate)
            if place is None:
                return _Begun(replace(result, status="new"), options)
            return self._new(place, result, options)
        shapes_differ = False
        try:
            contents = Contents.of(pair.reference, pair.candidate, options)
            if loaded := load_equal(contents, options):
                return self._of(loaded, result, options)
            begun = self._remembered(contents, result, options)
            if begun.scored and self._memory.keeps == "pictures":
                begun = begun._replace(scored=_with_picture(begun.scored, contents))
            return begun if begun.scored else self._loaded(contents, result, options, begun.place)
        except PerceptError as error:
            reason, shapes_differ = str(error), isinstance(error, ShapesDiffer)
        except MemoryError:
            reason = f"{result.name}: not enough memory to prepare it: free some"
        except OSError as error:
            reason = f"{result.name}: cannot be read ({error.strerror or error}): check it"
        failed = replace(result, status="error", error=reason)
        if shapes_differ:
            failed = replace(
                failed,
                reference_sha256=_hash_of(pair.reference, options),
                candidate_sha256=_hash_of(pair.candidate, options),
            )
        return _Begun(failed, options, shapes_differ=shapes_differ)

    def _without_work(self, pair: AnyPair) -> _Begun | None:
        """The result of equal files, or a remembered one; None if there is work to do."""
        reference, candidate = pair.reference, pair.candidate
        if pair.error or not (isinstance(reference, Path) and isinstance(candidate, Path)):
            return None
        options, result = self._options_of(pair), _result_of(pair)
        try:
            contents = Contents.of(reference, candidate, options)
            if loaded := load_equal(contents, options):
                return self._of(loaded, result, options)
            if self._memory.keeps == "pictures":
                return None
            begun = self._remembered(contents, result, options)
        except (PerceptError, MemoryError, OSError):
            return None
        return begun if begun.scored else None

    def _remembered(self, contents: Contents, result: Result, options: Options) -> _Begun:
        """The outcome, if it is known from an earlier run; else where it is to be kept."""
        place = self._memory.place(options, *contents.sha256, len(result.notes))
        begun = _Begun(result, options, place=place)
        found = self._memory.find(place, result, options) if place else None
        if not found:
            return begun
        scored, facts = found
        if facts:
            self._facts.setdefault(id(options), facts)
        size = scored.result.width or 0, scored.result.height or 0
        return begun._replace(result=scored.result, scored=scored, held=undecoded(size))

    def _new(self, path: Place, result: Result, options: Options) -> _Begun:
        result = replace(result, status="new")
        try:
            content = read_bytes(path, options.max_bytes)
            size = size_of(content, result.name, options.max_pixels)
        except PerceptError as error:
            return _Begun(replace(result, status="error", error=str(error)), options)
        sha256 = hashlib.sha256(content).hexdigest()
        return _Begun(replace(result, candidate_sha256=sha256), options, held=undecoded(size))

    def _loaded(
        self, contents: Contents, result: Result, options: Options, place: Slot | None = None
    ) -> _Begun:
        loaded = load(contents, options, self._reference)
        return self._of(loaded, result, options)._replace(place=place)

    def _of(self, loaded: Loaded, result: Result, options: Options) -> _Begun:
        names = "reference_sha256", "candidate_sha256"
        more: dict[str, Any] = dict(zip(names, loaded.sha256, strict=True))
        if loaded.count > 1:
            result = replace(result, **more)
            return _Begun(result, options, frames=loaded.frames, held=loaded.held)
        (frame,) = loaded.frames
        begun = self._of_frame(frame, result, options, more | {"frame": options.frame})
        return begun._replace(held=loaded.held)

    def _of_frame(
        self, frame: Frame, result: Result, options: Options, more: dict[str, Any] | None = None
    ) -> _Begun:
        width, height = frame.size
        notes = (*result.notes, *frame.notes)
        more = (more or {}) | {"width": width, "height": height, "notes": notes}
        if frame.alignment:
            more["bands"] = frame.alignment.bands
        if not frame.views:
            more |= _without_difference(options, frame.size)
            more["status"] = "identical" if frame.identical else "compared"
        result = replace(result, **more)
        begun = _Begun(result, options, frame.views)
        return begun._replace(alignment=frame.alignment, canvas=frame.canvas)

    def _finish(self, group: Sequence[_Begun], options: Options) -> list[Scored]:
        """Measure what is to be measured, all of it together; frames one by one."""
        outcomes = self._finish_anew(group, options)
        for begun, scored in zip(group, outcomes, strict=True):
            if begun.place and not begun.scored and not scored.result.error:
                measured = begun.views or scored.frames
                facts = self._facts.get(id(options)) if measured else None
                self._memory.keep(begun.place, scored, facts)
        return outcomes

    def _finish_anew(self, group: Sequence[_Begun], options: Options) -> list[Scored]:
        if any(begun.frames for begun in group):
            (begun,) = group
            return [self._over_frames(begun)]
        views = [view for begun in group for view in begun.views]
        try:
            measured = iter(self._measured(views, options) if views else ())
        except OutOfMemory as error:
            if len(group) > 1:
                return [one for begun in group for one in self._finish_anew([begun], options)]
            (begun,) = group
            failed = replace(begun.result, status="error", error=f"{begun.result.name}: {error}")
            return [Scored(failed, options)]
        return [
            _worst([self._scored(begun, view, next(measured)) for view in begun.views])
            if begun.views
            else _unmeasured(begun)
            for begun in group
        ]

    def _measured(self, views: Sequence[View], options: Options) -> list[Measurement]:
        pairs = [(view.reference, view.candidate) for view in views]
        return self._meters_of(options).measure(pairs, [view.changed for view in views])

    def _over_frames(self, begun: _Begun) -> Scored:
        """The worst frame's result, of frames that are decoded and measured one by one."""
        worst: Scored | None = None
        largest: dict[str, Elsewhere] = {}
        different: list[Scored] = []
        count = differing = unequal = 0
        try:
            for frame in begun.frames:
                one = self._of_frame(frame, begun.result, begun.options)
                (scored,) = self._finish([one], begun.options)
                if scored.result.error:
                    return scored
                scored = replace(scored, result=replace(scored.result, frame=frame.number))
                worst = max(worst or scored, scored, key=_size)
                _note_larger(largest, scored.result)
                count += 1
                unequal += scored.result.status != "identical"
                if scored.result.total:
                    differing += 1
                    different.append(replace(scored, candidate=None))
                    different = nlargest(MOST_FRAMES, different, key=_size)
        except PerceptError as error:
            failed = replace(begun.result, status="error", error=str(error))
            return Scored(failed, begun.options, shapes_differ=isinstance(error, ShapesDiffer))
        assert worst
        frames = tuple(sorted(different, key=lambda scored: scored.result.frame or 0))
        note = f"{differing} of {count} frames differ"
        note += f", frame {worst.result.frame} the most" if differing > 1 else ""
        result = replace(
            worst.result,
            status="compared" if unequal else "identical",
            frame=worst.result.frame if frames else None,
            frames=tuple(_frame_result(scored.result) for scored in frames),
            elsewhere=_beyond(largest, worst.result),
            notes=(*worst.result.notes, note),
        )
        return replace(worst, result=result, frames=frames)

    def _scored(self, begun: _Begun, view: View, measured: Measurement) -> Scored:
        if not measured.finite:
            reason = f"{begun.result.name}: {NOT_FINITE}"
            return Scored(replace(begun.result, status="error", error=reason), begun.options)
        result = replace(
            begun.result, total=measured.total, layers=measured.layers, background=view.background
        )
        if also := begun.options.also:
            result = replace(result, also=measured_also(also, view.reference, view.candidate))
        canvas = begun.alignment.canvas if begun.alignment else None
        scored = Scored(result, begun.options, measured.map, view.shown, canvas)
        if measured.map is not None:
            from percept_cli.scoring.places import peak_of

            cell_layer = begun.options.cell_layer
            assert cell_layer is not None
            peak, at = peak_of(measured.map, cell_layer.stride)
            result = replace(
                result,
                peak=peak,
                peak_at=scored.in_candidate((*at, 1, 1))[:2],
                peak_parts=measured.parts,
                floor=measured.floor,
                regions=scored.regions(),
            )
        result = replace(result, jnd=jnd_of(measured.total, result.peak, begun.options))
        return replace(scored, result=result)


def _import_torch() -> None:
    """Import it in another thread: an interrupt in the midst of it would end the process."""
    with ThreadPoolExecutor(1) as thread:
        try:
            imported = thread.submit(import_module, "torch")
        except RuntimeError:  # The system has no more threads.
            return
        imported.result()


def _with_picture(scored: Scored, contents: Contents) -> Scored:
    """The same with what its map lies over, decoded from the files."""
    result = scored.result
    for frame in load(contents, scored.options).frames:
        if result.frame in (None, frame.number):
            views = (view for view in frame.views if view.background == result.background)
            view = next(views, None)
            return replace(scored, candidate=view.shown if view else frame.canvas)
    return scored


def _unmeasured(begun: _Begun) -> Scored:
    """The result of what needed no network; where rows are missing there is a map of nothing."""
    if begun.scored:
        return begun.scored
    scored = Scored(begun.result, begun.options, shapes_differ=begun.shapes_differ)
    if not (begun.alignment and begun.options.has_map):
        return scored
    import numpy as np

    nothing = np.zeros((1, 1))
    return replace(scored, map=nothing, candidate=begun.canvas, canvas=begun.alignment.canvas)


def _pixels(result: Result) -> int:
    """Of one of its images, as evaluated; 0 where there is none."""
    return (result.width or 0) * (result.height or 0)


def _without_difference(options: Options, size: tuple[int, int]) -> dict[str, Any]:
    """What is known of a result without the network."""
    layers = dict.fromkeys(options.layers, 0.0)
    least = 0.0 if options.has_map else None
    jnd = jnd_of(0.0, least, options)
    also = of_equal(options.also, size)
    return {
        **{"total": 0.0, "peak": least, "floor": least},
        **{"layers": layers, "jnd": jnd, "also": also},
    }


def _worst(views: Sequence[Scored]) -> Scored:
    """Of what is seen on several backgrounds the worst."""
    worst, largest = max(views, key=_size), dict[str, Elsewhere]()
    for scored in views:
        _note_larger(largest, scored.result)
    return replace(worst, result=replace(worst.result, elsewhere=_beyond(largest, worst.result)))


def _note_larger(largest: dict[str, Elsewhere], result: Result) -> None:
    """Keep a result's figures, and those of its other backgrounds, that are larger than known."""
    own = {n: Elsewhere(v, result.frame, result.background) for n, v in result.figures().items()}
    others = {n: replace(larger, frame=result.frame) for n, larger in result.elsewhere.items()}
    for name, figure in (own | others).items():
        if name not in largest or figure.value > largest[name].value:
            largest[name] = figure


def _beyond(largest: Mapping[str, Elsewhere], result: Result) -> dict[str, Elsewhere]:
    """Those that are larger than the result's own."""
    own = result.figures()
    return {name: found for name, found in largest.items() if found.value > own.get(name, 0.0)}


def _size(scored: Scored) -> float:
    return scored.result.size or 0.0


def _frame_result(result: Result) -> FrameResult:
    number, total = result.frame or 1, result.total or 0.0
    return FrameResult(number, total, result.peak, result.peak_at, result.regions, jnd=result.jnd)


def _result_of(pair: AnyPair) -> Result:
    """What is known of a pair before it is compared."""
    reference, candidate = pair.reference, pair.candidate
    return Result(
        None if reference is None else _name(reference),
        None if candidate is None else _name(candidate),
        "compared",
        notes=pair.notes,
        extra=pair.extra,
    )


def _hash_of(source: Source | None, options: Options) -> str | None:
    place = as_place(source)
    if place is None:
        return None
    return hashlib.sha256(read_bytes(place, options.max_bytes)).hexdigest()


def _name(source: Source) -> str | None:
    place = as_place(source)
    return None if place is None else shown(place)

"""Many pairs in Python, with the numbers, the order and the options of the commands."""

from __future__ import annotations

import base64
import io
import logging
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from percept_cli.errors import PerceptError, shown
from percept_cli.gate.baselines import checked_pairs
from percept_cli.gate.check import Check, verdict
from percept_cli.gate.rules import KEYS, SHARED, Rules, by_jnd
from percept_cli.inputs.configuration import check_type
from percept_cli.inputs.pairs import is_folder, pairs_of
from percept_cli.inputs.stored import place_of
from percept_cli.network.layers import chosen
from percept_cli.outputs.words import figure, notes_of, places_of, summary_line
from percept_cli.results import Result
from percept_cli.scoring.cache import cache_for
from percept_cli.scoring.load import as_place
from percept_cli.scoring.memory import Keeps, Memory
from percept_cli.scoring.options import Options
from percept_cli.scoring.score import AnyPair, Scorer
from percept_cli.scoring.scored import Scored
from percept_cli.summary import Summary

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from percept_cli.scoring.load import Source

    AnyPath: TypeAlias = "str | os.PathLike[str]"
    Region: TypeAlias = "AnyPath | Sequence[int]"

SHOWN_REGIONS = 5


@dataclass(frozen=True)
class Pair:
    """Two images to compare, and whatever else is known of them."""

    reference: Source | None
    """A path, a Pillow image, or an array, as `percept_cli.compare` takes them."""
    candidate: Source | None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Goes through to `Result.extra` and the columns of every output."""
    error: str | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, pair: Pair | tuple[Source, Source]) -> Pair:
        """The pair itself, or that of two images."""
        if isinstance(pair, Pair):
            return pair
        try:
            reference, candidate = pair
        except (TypeError, ValueError) as error:
            raise PerceptError(f"{pair!r}: give (reference, candidate), or a Pair") from error
        return cls(_path(reference), _path(candidate))


@dataclass(frozen=True)
class PairResult(Result):
    """What became of one pair, with its map."""

    _scored: Scored | None = field(default=None, repr=False, compare=False)
    _images: tuple[Source, Source] | None = field(default=None, repr=False, compare=False)

    @classmethod
    def of_scored(cls, scored: Scored, pair: AnyPair | None = None) -> PairResult:
        """The result, knowing its map, or of what to make it."""
        known = {each.name: getattr(scored.result, each.name) for each in fields(Result)}
        if pair is None or pair.reference is None or pair.candidate is None:
            return cls(**known, _scored=scored)
        return cls(**known, _scored=scored, _images=(pair.reference, pair.candidate))

    @classmethod
    def of_many(cls, scored: Iterable[tuple[AnyPair, Scored]]) -> Iterator[PairResult]:
        """Results that are all held: maps and pictures of files are made when asked for."""
        for pair, one in scored:
            files = all(as_place(image) is not None for image in (pair.reference, pair.candidate))
            kept = replace(one, map=None, candidate=None, frames=()) if files else one
            yield cls.of_scored(kept, pair)

    @cached_property
    def scored(self) -> Scored | None:
        """With its map and picture: where they were not kept, measured once more."""
        kept = self._scored
        if not (kept and self._images and self.total is not None) or kept.candidate is not None:
            return kept
        options = replace(kept.options, frame=self.frame or kept.options.frame)
        return Scorer(options).compare(*self._images)

    @property
    def map(self) -> NDArray[Any] | None:
        """Where the images differ: rows × columns of cells >= 0, float64, or None without a map.

        A cell is a position of the deepest layer. Of aligned images it is of what both have.
        """
        return self.scored.map if self.scored else None

    def heatmap(self) -> Image.Image | None:
        """The map over the candidate, as `--heatmap` draws it; None where there is no map."""
        from percept_cli.cli.heatmaps import map_of
        from percept_cli.outputs.heatmap import heatmap

        found = map_of(self.scored) if self.scored else None
        if found is None or self.scored is None or self.scored.candidate is None:
            return None
        return heatmap(self.scored.candidate, found)

    def _repr_html_(self) -> str:
        """For notebooks: the heat map, the distances, and where the images differ."""
        from markupsafe import escape

        rows = [("total", self.total), ("peak", self.peak), *self.layers.items()]
        numbers = "".join(f"<tr><th>{n}</th><td>{figure(v)}</td></tr>" for n, v in rows)
        lines = [*([self.error] if self.error else ()), *places_of(self, SHOWN_REGIONS)]
        words = "".join(f"<div>{escape(line)}</div>" for line in (*lines, *notes_of(self)))
        picture = self.heatmap()
        shown = ""
        if picture:
            stream = io.BytesIO()
            picture.save(stream, "PNG")
            data = base64.b64encode(stream.getvalue()).decode()
            shown = (
                f'<img alt="heat map" style="max-width:480px" src="data:image/png;base64,{data}">'
            )
        name = escape(f"{self.reference or 'reference'} → {self.candidate or 'candidate'}")
        return f"<div><b>{name}</b>: {self.status}</div>{shown}<table>{numbers}</table>{words}"


class Results(Sequence[PairResult]):
    """The results of several pairs, in order."""

    def __init__(self, results: Iterable[PairResult], left_out: Iterable[str] = ()) -> None:
        self._results = tuple(results)
        self._left_out = tuple(dict.fromkeys(left_out))

    def __len__(self) -> int:
        return len(self._results)

    def __getitem__(self, place: Any) -> Any:
        found = self._results[place]
        return Results(found) if isinstance(place, slice) else found

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {summary_line(self.summary())}>"

    def summary(self, by: str | None = None) -> Summary:
        """Counts, extremes and how totals spread; `by` groups by a field of `Result.extra`."""
        summary = Summary.over(self._results, by)
        summary.complete = True
        summary.left_out = self._left_out
        return summary

    def rows(self) -> list[dict[str, Any]]:
        """A flat record per pair: what JSON has, with a column per layer and per extra field."""
        return [_row(result) for result in self._results]

    def to_pandas(self) -> Any:
        """The rows as a pandas.DataFrame; ImportError where pandas is missing."""
        import pandas

        return pandas.DataFrame(self.rows())

    def to_arrow(self) -> Any:
        """The rows as a pyarrow.Table; ImportError where pyarrow is missing."""
        import pyarrow

        rows = self.rows()
        names = dict.fromkeys(name for row in rows for name in row)
        return pyarrow.table({name: [row.get(name) for row in rows] for name in names})

    def _repr_html_(self) -> str:
        from markupsafe import escape

        head = "".join(f"<th>{name}</th>" for name in ("pair", "status", "total", "peak"))
        rows = "".join(
            f"<tr><td>{escape(r.name)}</td><td>{r.status}</td><td>{figure(r.total)}</td>"
            f"<td>{figure(r.peak)}</td></tr>"
            for r in self._results
        )
        return f"<div>{escape(summary_line(self.summary()))}</div><table>{head}{rows}</table>"


class Checked(Results):
    """A check's judged results."""

    def summary(self, by: str | None = None) -> Summary:
        """As for scores, with the verdict."""
        summary = super().summary(by)
        summary.verdict = verdict(summary, sum(bool(r.failures) for r in self._results))
        return summary

    @property
    def passed(self) -> bool:
        """Whether all of it passed, and something was compared."""
        return self.summary().verdict == "passed"

    @property
    def failed(self) -> Results:
        """What fails, or could not be compared."""
        return Results(r for r in self._results if r.failures or r.status == "error")


def score(
    pairs: Iterable[Pair | tuple[Source, Source]],
    *,
    workers: int | None = None,
    cache: AnyPath | bool = True,
    **options: Any,
) -> Iterator[PairResult]:
    """Score pairs in their order, each yielded when it is there, while later ones are computed.

    `options` are those of `percept_cli.compare`. A pair that cannot be compared gives a result with
    an `error`; PerceptError is raised for options that mean nothing. Files whose scores the `cache`
    has, the user's or that in a folder, are not computed again. A result holds its map and the
    candidate's pixels: keep `Result.document()` of millions.
    """
    scorer = Scorer(options_of(**options), workers=workers, memory=_memory(cache))
    return (
        PairResult.of_scored(scored, pair)
        for pair, scored in scorer.score(Pair.of(pair) for pair in pairs)
    )


def score_folders(
    references: AnyPath,
    candidates: AnyPath,
    *,
    workers: int | None = None,
    cache: AnyPath | bool = True,
    **options: Any,
) -> Results:
    """Score a folder, or one image, against a folder, as `percept compare` matches them.

    `options` are those of `percept_cli.compare`, `cache` is that of `score`. Files that have no
    partner are results of status missing or new. Raises PerceptError where nothing is to compare.
    """
    before, after = place_of(references), place_of(candidates)
    pairs, others = pairs_of(before, after)
    if not pairs:
        raise PerceptError(f"nothing to compare: no images in {shown(before)} and {shown(after)}")
    one = is_folder(after) and not is_folder(before)
    scorer = Scorer(
        options_of(**options), one_reference=one, workers=workers, memory=_memory(cache)
    )
    return Results(PairResult.of_many(scorer.score(pairs)), others)


def check(
    baseline: AnyPath,
    candidate: AnyPath,
    *,
    allow_new: bool = False,
    workers: int | None = None,
    cache: AnyPath | bool = True,
    **options: Any,
) -> Checked:
    """Judge candidates by their baselines as `percept check` does, without a configuration file.

    `cache` is that of `score`.
    `options` are the command's, with underscores: what is measured, `peak_threshold`, `threshold`,
    `jnd`, `layer_threshold` (layer → distance), and `images`, settings by glob. Raises PerceptError
    for options that mean nothing, and where there is nothing to compare.
    """
    images = options.pop("images", None)
    keys = {name.replace("_", "-"): v for name, v in options.items() if v is not None}
    if unknown := set(keys) - {*KEYS, *SHARED}:
        raise PerceptError(f"unknown option {min(unknown).replace('-', '_')!r}")
    base: dict[str, Any] = {"preset": "rendering", "resize": "none", "align": "auto"} | keys
    for key, value in keys.items():
        check_type("percept_cli.check", key, list(value) if isinstance(value, tuple) else value)
    base["ignore"] = _regions(base.get("ignore"))
    base["resize"] = str(base["resize"])
    if base.get("jnd") is not None and "preset" not in keys:
        base |= {key: value for key, value in by_jnd(base).items() if key not in keys}
    memory = _memory(cache, "maps")
    rules = Rules(base, images)
    judge = Check(rules, allow_new=allow_new, workers=workers, memory=memory)
    before, after = place_of(baseline), place_of(candidate)
    pairs, others = checked_pairs(before, after)
    if not pairs:
        raise PerceptError(f"nothing to compare: no images in {shown(before)} and {shown(after)}")
    if is_folder(after):
        rules.check_used([pair.name for pair in pairs])
    return Checked(PairResult.of_many(judge.results(pairs)), others)


def options_of(preset: str = "photo", **chosen_ones: Any) -> Options:
    """Options from the arguments of `percept_cli.compare`; PerceptError for one it has not."""
    if unknown := set(chosen_ones) - {each.name for each in fields(Options)}:
        raise PerceptError(f"unknown option {min(unknown)!r}: percept_cli.compare has all of them")
    given = dict(chosen_ones)
    if given.get("layers") is not None:
        given["layers"] = chosen(given["layers"])
    given["ignore"] = _regions(given.get("ignore"))
    return Options.of(preset, **given)


def _memory(cache: AnyPath | bool, keeps: Keeps = "numbers") -> Memory:
    return Memory(cache_for(cache, logging.getLogger("percept").warning), keeps)


def _regions(ignore: str | Sequence[Region] | None) -> tuple[str, ...]:
    return tuple(map(_region, [ignore] if isinstance(ignore, str) else ignore or ()))


def _region(region: Region) -> str:
    if isinstance(region, str | os.PathLike):
        return os.fspath(region)
    try:
        return ",".join(map(str, region))
    except TypeError as error:
        raise PerceptError(
            f"ignored region {region!r}: give a list of x,y,width,height in pixels, or of masks"
        ) from error


def _path(source: Source) -> Source:
    return place_of(source) if isinstance(source, str) else source


def _row(result: Result) -> dict[str, Any]:
    """A result as columns; what has parts stays as JSON has it."""
    document: dict[str, Any] = result.document()
    layers, extra = document.pop("layers"), document.pop("extra")
    also = document.pop("also")
    jnd = cast("dict[str, Any] | None", document.pop("jnd")) or {}
    document["jnd"] = jnd.get("value")
    document["jnd_words"] = jnd.get("words")
    measured = {**document, **layers, **also}
    own = {name: value for name, value in extra.items() if name not in measured}
    clashing = {name: value for name, value in extra.items() if name in measured}
    return {**measured, **own} | ({"extra": clashing} if clashing else {})

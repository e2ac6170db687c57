"""Results of shards → those of the whole run, as if one machine had made them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from percept_cli.errors import PerceptError, shown
from percept_cli.gate.check import verdict
from percept_cli.inputs.saved import Saved
from percept_cli.network.layers import ORDER
from percept_cli.results import Result, Settings, Shard
from percept_cli.summary import Summary

FOUND_OUT = ("weights_sha256", "device", "scale")
"""Settings that a shard does not know if none of its pairs needed the network."""

COMPARED = [f.name for f in fields(Settings) if f.name not in ("scale", "configuration", "shard")]
"""Settings that are equal in all shards: each knows only the scales of its own layers, and the same
configuration may lie elsewhere."""


def merged(shards: Sequence[Saved]) -> Saved:
    """One run's results from those of all its shards, in any order.

    Raises PerceptError for a shard that is missing, there twice, or of another run.
    """
    ordered = sorted(shards, key=lambda saved: _shard(saved).number)
    first = ordered[0]
    _check_alike(ordered)
    _check_whole(ordered)
    settings = _settings(ordered)
    places = (
        ((place, number), result)
        for number, saved in enumerate(ordered)
        for place, result in enumerate(saved.results)
    )
    results = tuple(result for _, result in sorted(places, key=lambda item: item[0]))
    return Saved(first.file, settings, results, _summary(ordered, results))


def _shard(saved: Saved) -> Shard:
    if saved.settings.shard is None:
        raise PerceptError(
            f"{shown(saved.file)}: results of a whole run: give those of a run with --shard"
        )
    return saved.settings.shard


def _check_alike(ordered: Sequence[Saved]) -> None:
    """PerceptError unless all are parts of one run."""
    first = ordered[0]
    one, there = _shard(first), shown(first.file)
    for saved in ordered:
        other, here = _shard(saved), shown(saved.file)
        if one.of != other.of:
            raise PerceptError(
                f"{here} is shard {other}, but {there} {one}: give shards of one run"
            )
        if saved.summary.by != first.summary.by:
            raise PerceptError(
                f"{here} is grouped --by {saved.summary.by}, but {there} by {first.summary.by}: "
                "run all shards with the same settings"
            )
        for name in COMPARED:
            _check_setting(name, saved, _telling(name, ordered))
        plans = one.plan.split("-"), other.plan.split("-")
        for what, ours, theirs in zip(("pairs", "rules"), *plans, strict=False):
            if ours != theirs:
                raise PerceptError(
                    f"{here} has other {what} than {there}: run all shards on the same images with "
                    "the same settings"
                )


def _telling(name: str, ordered: Sequence[Saved]) -> Saved:
    """The first shard that knows this setting."""
    known = (saved for saved in ordered if getattr(saved.settings, name) is not None)
    return next(known, ordered[0])


def _check_setting(name: str, saved: Saved, other: Saved) -> None:
    ours, theirs = getattr(saved.settings, name), getattr(other.settings, name)
    if ours == theirs or (ours is None and name in FOUND_OUT):
        return
    raise PerceptError(
        f"{shown(saved.file)} has {_words(name, ours)}, but {shown(other.file)} "
        f"{_words(name, theirs)}: run all shards with the same settings"
    )


def _words(name: str, value: Any) -> str:
    shown_value = ", ".join(value) if isinstance(value, tuple) else value
    return f"{name.replace('_', ' ')} {shown_value}"


def _check_whole(ordered: Sequence[Saved]) -> None:
    """PerceptError if a shard is there twice or not at all, or lacks results."""
    files: dict[int, Saved] = {}
    for saved in ordered:
        shard = _shard(saved)
        if shard.number in files:
            twice = f"{shown(files[shard.number].file)} and {shown(saved.file)}"
            raise PerceptError(f"shard {shard} is there twice: {twice}: leave one out")
        files[shard.number] = saved
    of = _shard(ordered[0]).of
    missing = [f"{number}/{of}" for number in range(1, of + 1) if number not in files]
    if missing:
        are = "shard {} is" if len(missing) == 1 else "shards {} are"
        raise PerceptError(f"{are.format(', '.join(missing))} missing: name the results of each")
    whole = [saved for saved in ordered if saved.summary.complete]
    counts = [len(saved.results) for saved in whole]
    if counts != sorted(counts, reverse=True) or (counts and counts[0] - counts[-1] > 1):
        listed = ", ".join(f"{_shard(saved)} has {len(saved.results)}" for saved in whole)
        raise PerceptError(f"shards of one run differ by one result at most: {listed}: run again")


def _settings(ordered: Sequence[Saved]) -> Settings:
    """The settings of the whole, with what any shard has found out."""
    every = [saved.settings for saved in ordered]

    def first_known(name: str) -> Any:
        return next((v for s in every if (v := getattr(s, name)) is not None), None)

    scales = {name: v for s in every for name, v in (s.scale or {}).items()}
    return replace(
        every[0],
        weights_sha256=first_known("weights_sha256"),
        device=first_known("device"),
        scale={name: scales[name] for name in ORDER if name in scales}
        if first_known("scale") is not None
        else None,
        shard=None,
    )


def _summary(ordered: Sequence[Saved], results: Sequence[Result]) -> Summary:
    summary = Summary.over(results, ordered[0].summary.by)
    summary.complete = all(saved.summary.complete for saved in ordered)
    left_out = (file for saved in ordered for file in saved.summary.left_out)
    summary.left_out = tuple(dict.fromkeys(left_out))
    if any(saved.summary.verdict for saved in ordered):
        failing = sum(bool(result.failures) for result in results)
        # Having nothing to compare makes no part incomplete: one that is, without an error, could
        # not write an output.
        broken = any(
            saved.summary.verdict == "incomplete" and not saved.summary.counts["error"]
            for saved in ordered
        )
        summary.verdict = verdict(summary, failing, broken=broken)
    return summary

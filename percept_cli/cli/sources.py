"""What a command is to compare, from its arguments."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import Any

from percept_cli.errors import PerceptError, shown
from percept_cli.gate.baselines import checked_pairs
from percept_cli.inputs.pairs import Pair, is_folder, pairs_from_lines, pairs_in, pairs_of
from percept_cli.inputs.shards import part_of, plan_of, shard_named
from percept_cli.inputs.stored import Remote, is_archive, place_of, resolved
from percept_cli.outputs.words import command_line, left_out_words
from percept_cli.results import Settings, Shard


@dataclass(frozen=True)
class Source:
    """Pairs, and what is known about them before they are read."""

    pairs: Iterable[Pair]
    total: int | None = None
    single: bool = False
    """Whether the user named two images, not folders or a manifest."""
    one_reference: bool = False
    """Whether all pairs have the same reference."""
    inputs: tuple[Path, ...] = ()
    """Files and folders that are read, so must not be written to."""
    urls: tuple[Remote, ...] = ()
    """Of what is read elsewhere, what the user named."""
    live: bool = False
    """Whether somebody waits for each answer before sending the next pair."""
    named: tuple[Path | Remote, Path | Remote] | None = None
    """The two files or folders that the user named; None for a manifest."""
    left_out: tuple[str, ...] = ()
    """Files that are no images."""
    shard: Shard | None = None
    """Which part of the pairs these are; None for all."""

    def part(self, shard: str | None, rules: object, *, by_name: bool) -> Source:
        """Only the pairs of that shard, of a run with these rules; everything for None.

        `by_name` keeps pairs of one name together. Raises PerceptError where there are no shards.
        """
        if shard is None:
            return self
        if self.live:
            raise PerceptError("--shard: --pairs - has no end to take a part of: leave it out")
        pairs = list(self.pairs)
        chosen = replace(shard_named(shard), plan=plan_of(pairs, rules))
        mine = list(part_of(pairs, chosen, by_name=by_name))
        if not pairs:
            raise PerceptError("nothing to compare: no pair was named")
        return replace(self, pairs=mine, total=len(mine), shard=chosen)

    def having(self, column: str) -> Source:
        """The same pairs; PerceptError if the first has no such column."""
        pairs = iter(self.pairs)
        first = list(islice(pairs, 1))
        if first and not first[0].error and column not in first[0].extra:
            raise PerceptError(f"--by {column}: the first pair has no such column: name another")
        return replace(self, pairs=chain(first, pairs))

    def described(self, settings: Settings, configuration: Path | None) -> Settings:
        """The settings of a run that compares this, with options from that file."""
        return replace(settings, **self.description(configuration))

    def description(self, configuration: Path | None) -> dict[str, Any]:
        """Settings that no scorer knows."""
        references, candidates = map(shown, self.named) if self.named else (None, None)
        return {
            "references": references,
            "candidates": candidates,
            "configuration": shown(configuration) if configuration else None,
            "shard": self.shard,
        }


def source_of(
    reference: Path | Remote | None, candidate: Path | Remote | None, manifest: str | None
) -> Source:
    """The pairs two paths or a manifest stand for; PerceptError if they stand for none."""
    if manifest is not None:
        if reference or candidate:
            raise PerceptError("--pairs names the images: leave out REFERENCE and CANDIDATE")
        if manifest == "-":
            return Source(pairs_from_lines(_stdin(), Path(), "stdin"), live=True)
        place = place_of(manifest)
        if isinstance(place, Remote):
            return Source(pairs_in(place), urls=(place,))
        return Source(pairs_in(place), inputs=(place,))
    if not (reference and candidate):
        raise PerceptError("name a REFERENCE and a CANDIDATE, or --pairs: see 'percept compare -h'")
    pairs, skipped = pairs_of(reference, candidate)
    one_reference = is_folder(candidate) and not is_folder(reference)
    return _listed(reference, candidate, pairs, skipped, one_reference=one_reference)


def checked_source(baseline: Path | Remote, candidate: Path | Remote) -> Source:
    """What a check compares; PerceptError if there is nothing."""
    if is_folder(candidate):
        if not (is_archive(baseline) or baseline.exists()):
            command = command_line("approve", shown(baseline), shown(candidate)) or "approve"
            raise PerceptError(f"{shown(baseline)}: no baselines: make them: {command}")
    elif not _is_named(candidate):
        if not _is_named(baseline):
            raise PerceptError(f"{shown(baseline)}, {shown(candidate)}: no such files: check them")
        if not is_folder(baseline):
            return _listed(baseline, candidate, [Pair(baseline, None, candidate.name)], [])
    pairs, skipped = checked_pairs(baseline, candidate)
    return _listed(baseline, candidate, pairs, skipped)


def _is_named(place: Path | Remote) -> bool:
    """Whether there is something, if only a link to what is gone."""
    return os.path.lexists(place) if isinstance(place, Path) else place.exists()


def _listed(
    reference: Path | Remote,
    candidate: Path | Remote,
    pairs: Sequence[Pair],
    skipped: list[str],
    *,
    one_reference: bool = False,
) -> Source:
    left_out = tuple(dict.fromkeys(skipped))
    if not pairs:
        others = f"; {left_out_words(left_out)}" if left_out else ""
        raise PerceptError(
            f"nothing to compare: no images in {shown(reference)} and {shown(candidate)}{others}"
        )
    # Those of a single image stand beside it; those of a folder are in it.
    single = not is_folder(candidate)
    variants = [pair.baseline for pair in pairs if pair.baseline] if single else []
    files = [place for place in (reference, candidate) if isinstance(place, Path)]
    return Source(
        pairs,
        len(pairs),
        single=single,
        one_reference=one_reference,
        inputs=(*files, *variants),
        urls=tuple(place for place in (reference, candidate) if isinstance(place, Remote)),
        named=(reference, candidate),
        left_out=left_out,
    )


def refuse_inputs(target: Path | Remote, source: Source) -> None:
    """PerceptError for a file or folder to write that is, or lies in, something to read."""
    if isinstance(target, Remote):
        name = target.url.rstrip("/") + "/"
        if any(name.startswith(url.url.rstrip("/") + "/") for url in source.urls):
            raise PerceptError(
                f"{shown(target)} is what is compared and would be overwritten: name another"
            )
        return
    real = target.resolve()
    for path in (path.resolve() for path in source.inputs):
        if real == path or path in real.parents:
            raise PerceptError(
                f"{shown(target)} is among what is compared and would be overwritten: name another"
            )


def refuse_twice(outputs: Iterable[Path | Remote | None]) -> None:
    """PerceptError where two of the outputs that were named are one."""
    named = [output for output in outputs if output]
    for place, output in enumerate(named):
        if resolved(output) in map(resolved, named[:place]):
            raise PerceptError(f"{shown(output)} is named for two outputs: name another")


def _stdin() -> io.TextIOWrapper:
    return io.TextIOWrapper(sys.stdin.buffer, encoding="utf-8-sig", errors="surrogateescape")

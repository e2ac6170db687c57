"""`percept calibrate`."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.check import context_of_check, rules_of
from percept_cli.cli.exits import INCOMPLETE
from percept_cli.cli.memory import memory_of
from percept_cli.cli.progress import with_progress
from percept_cli.cli.talk import Talk
from percept_cli.errors import PerceptError, one_line, shown
from percept_cli.gate.baselines import checked_pairs, matches
from percept_cli.gate.calibrate import Proposal, proposed, write_thresholds
from percept_cli.inputs.pairs import Pair, pairs_in
from percept_cli.inputs.stored import Remote, place_of
from percept_cli.outputs.words import MOST_NAMED, left_out_words
from percept_cli.scoring.score import Scorer
from percept_cli.scoring.scored import Scored

BINS = 12

Score = Literal["peak", "total", "jnd"]
"""What a check judges by: just noticeable differences if the configuration says so, else the peak,
or the total where there is none."""

KEYS: dict[Score, str] = {"peak": "peak-threshold", "total": "threshold", "jnd": "jnd"}

NO_THRESHOLDS = ("--peak-threshold", "none", "--threshold", "0")
"""Flags with which any settings may be measured: a threshold is what is looked for."""


def calibrate(
    context: typer.Context,
    baseline: Annotated[
        Any,
        typer.Argument(
            parser=place_of,
            metavar="[BASELINE]",
            help="Image or folder of pairs that look the same.",
        ),
    ] = None,
    candidate: Annotated[
        Any,
        typer.Argument(parser=place_of, metavar="[CANDIDATE]", help="Their other images."),
    ] = None,
    same_pairs: Annotated[
        Any,
        typer.Option(
            "--pairs",
            parser=place_of,
            metavar="FILE",
            help="A manifest of pairs that look the same.",
        ),
    ] = None,
    different: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="BASELINE CANDIDATE", help="Pairs known to differ."),
    ] = None,
    different_pairs: Annotated[
        Any,
        typer.Option(parser=place_of, metavar="FILE", help="A manifest of pairs known to differ."),
    ] = None,
    glob: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Propose a threshold for these alone; repeatable."),
    ] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Write the thresholds to the configuration file.")
    ] = False,
    workers: shared.Workers = None,
    quiet: shared.Quiet = False,
) -> None:
    """Propose a threshold for `check`, from pairs that look the same and pairs that differ.

    Measures as `check` would with the settings of percept.toml, or of pyproject.toml if that has a
    table tool.percept, and of the environment; --write puts the thresholds there.

    Examples:

        percept calibrate screenshots-linux/ screenshots-mac/

        percept calibrate linux/ mac/ --different before/ after/ --write
    """
    talk = Talk(quiet)
    talk.configuration(context.obj.file)
    of_check = context_of_check(context, *NO_THRESHOLDS)
    rules = rules_of(of_check)
    scorer = Scorer(
        rules.recipe_of_others.options,
        lambda pair: rules.recipe_for(pair.name).options,
        workers=workers or of_check.params["workers"],
        memory=memory_of(of_check, talk, "numbers"),
    )
    recipe = rules.recipe_of_others
    what: Score = "peak" if recipe.options.has_map else "total"
    what = "jnd" if recipe.thresholds.jnd is not None else what
    paths = [baseline, candidate] if baseline and candidate else []
    differing = [place_of(path) for path in different or ()]
    globs = glob or []
    known = {}
    for kind, two, manifest in (
        ("same", paths, same_pairs),
        ("different", differing, different_pairs),
    ):
        pairs, left_out = _pairs(two, manifest)
        if left_out:
            talk.note(left_out_words(left_out))
        scored = scorer.score(pairs)
        shown_scored = scored if quiet else with_progress(scored, len(pairs))
        known[kind] = _scores(shown_scored, talk, what)
    if equal := [name for name, score in known["different"].items() if not score]:
        talk.note(f"{len(equal)} of the pairs that differ are equal, and left out")
        known["different"] = {n: s for n, s in known["different"].items() if s}
    others = {
        kind: {
            name: score
            for name, score in scores.items()
            if rules.recipe_for(name).options is scorer.options
            and not any(matches(name, one) for one in globs)
        }
        for kind, scores in known.items()
    }
    proposals = {one: _proposal(known, one) for one in globs}
    if any(others["same"].values()) or not globs:
        proposals[""] = _proposal(others, "*")
    for name, proposal in proposals.items():
        _show(name, proposal, what)
        _show_standing_out(known if name else others, name, proposal, what)
    if write and talk.errors:
        talk.note("nothing written: not all pairs could be compared")
    elif write:
        file = context.obj.file or Path("percept.toml")
        found = {name: proposal.threshold for name, proposal in proposals.items()}
        write_thresholds(file, KEYS[what], found.pop("", None), found)
        talk.note(f"written to {shown(file)}")
    raise typer.Exit(INCOMPLETE if talk.errors else 0)


def _pairs(
    paths: Sequence[Path | Remote], manifest: Path | Remote | None
) -> tuple[list[Pair], list[str]]:
    """Pairs of both kinds, and files that are no images."""
    pairs, others = checked_pairs(*paths) if paths else ([], [])
    listed = pairs_in(manifest) if manifest else ()
    return [*pairs, *listed], list(dict.fromkeys(others))


def _scores(scored: Iterable[tuple[Pair, Scored]], talk: Talk, what: Score) -> dict[str, float]:
    """Each image's score; of its variants the smallest."""
    found: dict[str, float] = {}
    for pair, one in scored:
        result = one.result
        if what == "jnd" and result.total and not result.jnd:
            talk.note(f"{result.name}: has no just noticeable differences: left out")
            continue
        jnd = result.jnd.value if result.jnd else result.total
        score = {"peak": result.peak, "total": result.total, "jnd": jnd}[what]
        if result.error or score is None:
            talk.error(result.error or f"{result.name}: {result.status}: left out")
        else:
            found[pair.name] = min(score, found.get(pair.name, score))
    return found


def _proposal(known: dict[str, dict[str, float]], glob: str) -> Proposal:
    chosen = {
        kind: [score for name, score in scores.items() if matches(name, glob)]
        for kind, scores in known.items()
    }
    try:
        return proposed(chosen["same"], chosen["different"])
    except PerceptError as error:
        raise PerceptError(f"{glob}: {error}" if glob != "*" else str(error)) from error


def _show(glob: str, proposal: Proposal, what: str) -> None:
    for line in (*_histogram(proposal), *_words(proposal, what)):
        print(f"{glob}: {line}" if glob and not line.startswith(" ") else line)


def _show_standing_out(
    known: dict[str, dict[str, float]], glob: str, proposal: Proposal, what: str
) -> None:
    """Which of the pairs that look the same may be no such pairs, and what holds without them."""
    if not (count := proposal.standing_out):
        return
    level = proposal.same[-count]
    far = {
        name: score
        for name, score in known["same"].items()
        if score >= level and matches(name, glob or "*")
    }
    worst = sorted(far.items(), key=lambda item: -item[1])
    named = ", ".join(f"{one_line(name)} {score:.4g}" for name, score in worst[:MOST_NAMED])
    rest = {name: score for name, score in known["same"].items() if name not in far}
    without = "all are identical"
    if any(rest.values()):
        threshold = _proposal(known | {"same": rest}, glob or "*").threshold
        without = f"{what} threshold {threshold:g}"
    stand = "stands" if count == 1 else "stand"
    print(
        f"{count} of the same {stand} out: {named}{', …' if count > MOST_NAMED else ''}: look "
        f"whether it is the same; without: {without}"
    )


def _words(proposal: Proposal, what: str) -> Iterable[str]:
    same, different, threshold = proposal.same, proposal.different, proposal.threshold
    yield f"{what} threshold {threshold:g}"
    if proposal.overlap:
        yield (
            f"the two overlap: at {threshold:g}, {proposal.false_alarms} of {len(same)} pairs that "
            f"look the same fail, and {proposal.misses} of {len(different)} that differ pass"
        )
        return
    if same[-1]:
        room = f"{threshold / same[-1]:.2f} times above the largest"
        yield f"{room} of {len(same)} pairs that look the same ({same[-1]:.4g})"
    else:
        yield f"all {len(same)} pairs that look the same are equal"
    if different:
        yield (
            f"the smallest of {len(different)} pairs that differ ({different[0]:.4g}) is "
            f"{different[0] / threshold:.2f} times above it"
        )


def _histogram(proposal: Proposal) -> Iterable[str]:
    """Both distributions, a line per bin."""
    same, different = proposal.same, proposal.different
    width = (max(same[-1], *(different[-1:] or [0]), proposal.threshold) or 1) / BINS
    yield f"{'from':>10}  {'same':24}  {'different' if different else ''}"
    for place in range(BINS):
        low, high = place * width, (place + 1) * width
        last = place == BINS - 1
        counts = [
            sum(low <= value < high or (last and value >= high) for value in values)
            for values in (same, different)
        ]
        bars = [
            f"{'█' * math.ceil(18 * n / len(v)) if n else ''} {n or ''}"
            for n, v in zip(counts, (same, different), strict=True)
        ]
        here = low <= proposal.threshold < high or (last and proposal.threshold >= high)
        mark = "  ← threshold" if here else ""
        yield f"  {low:8.4f}  {bars[0]:24}  {bars[1]}{mark}".rstrip()

"""`percept calibrate`."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from percept_cli.gate.rules import MEASURED, THRESHOLDS
from percept_cli.gate.thresholds import thresholds_of
from percept_cli.inputs.pairs import Pair, pairs_in
from percept_cli.inputs.stored import place_of
from percept_cli.outputs.words import MOST_NAMED, left_out_words
from percept_cli.scoring.score import Scorer
from percept_cli.scoring.scored import Scored

BINS = 12

Score = Literal["peak", "total", "jnd"]
"""What a check judges by: just noticeable differences if the configuration says so, else the peak,
or the total where there is none."""

KEYS: dict[Score, str] = {"peak": "peak-threshold", "total": "threshold", "jnd": "jnd"}

OWN = {key.replace("-", "_") for key in ("preset", *MEASURED, *THRESHOLDS)}
"""Settings of an image's own with which another threshold judges it, or other figures."""

Scores = list[tuple[str, float]]
"""Names of images, several times where they have several pairs, and scores."""

Known = dict[str, Scores]
"""Of pairs that look the same and of those that differ."""

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
    sought = _Sought(context, glob or [])
    rules, of_check, globs = sought.rules, sought.of_check, sought.globs
    scorer = Scorer(
        rules.recipe_of_others.options,
        lambda pair: rules.recipe_for(pair.name).options,
        workers=workers or of_check.params["workers"],
        memory=memory_of(of_check, talk, "numbers"),
    )
    paths = [baseline, candidate] if baseline and candidate else []
    differing = [place_of(path) for path in different or ()]
    apart: set[str] = set()
    known: Known = {}
    for kind, two, manifest in (
        ("same", paths, same_pairs),
        ("different", differing, different_pairs),
    ):
        from_folders, left_out = checked_pairs(*two) if two else ([], [])
        pairs = [*from_folders, *(pairs_in(manifest) if manifest else ())]
        if left_out:
            talk.note(left_out_words(list(dict.fromkeys(left_out))))
        apart |= {pair.name for pair in pairs if sought.is_apart(pair.name)}
        from_folders, pairs = (
            [pair for pair in some if pair.name not in apart] for some in (from_folders, pairs)
        )
        scored = scorer.score(pairs)
        shown_scored = scored if quiet else with_progress(scored, len(pairs))
        known[kind] = _scores(shown_scored, talk, sought.judged_by, len(from_folders))
    if equal := sum(not score for _, score in known["different"]):
        talk.note(
            f"{equal} of the pairs that differ score 0, equal or forgiven: no threshold catches "
            "them, left out"
        )
        known["different"] = [(name, score) for name, score in known["different"] if score]
    if apart:
        talk.note(
            f"{len(apart)} image(s) have a threshold or a recipe of their own, and are left out, "
            f"such as {one_line(min(apart))}: --glob proposes one for them"
        )
    others = {
        kind: [
            (name, score) for name, score in scores if not any(matches(name, one) for one in globs)
        ]
        for kind, scores in known.items()
    }
    proposals = {one: _proposal(known, one) for one in globs}
    if any(score for _, score in others["same"]) or not globs:
        proposals[""] = _proposal(others, "*")
    scales = {
        name: _one_of(known if name else others, name, sought.judged_by) for name in proposals
    }
    for name, proposal in proposals.items():
        _show(name, proposal, scales[name])
        _show_standing_out(known if name else others, name, proposal, scales[name])
    if write:
        sought.check_holds({name for found in known.values() for name, _ in found}, scales)
    if write and talk.errors:
        talk.note("nothing written: not all pairs could be compared")
    elif write:
        file = context.obj.file or Path("percept.toml")
        for scale in dict.fromkeys(scales.values()):
            found = {name: p.threshold for name, p in proposals.items() if scales[name] == scale}
            write_thresholds(file, KEYS[scale], found.pop("", None), found)
        talk.note(f"written to {shown(file)}")
    raise typer.Exit(INCOMPLETE if talk.errors else 0)


class _Sought:
    """The check whose thresholds are sought, all or those of some globs, and what it goes by."""

    def __init__(self, context: typer.Context, globs: Sequence[str]) -> None:
        self.globs = globs
        self.of_check = context_of_check(context, *NO_THRESHOLDS)
        self.rules = rules_of(self.of_check)
        self._configured = context_of_check(context)
        self._images = context.obj.images

    def is_apart(self, name: str) -> bool:
        """Whether an image is judged by none of them."""
        return bool(OWN & self._own(name).keys()) and not any(matches(name, g) for g in self.globs)

    def check_holds(self, names: Iterable[str], scales: Mapping[str, Score]) -> None:
        """PerceptError if for one of these images a later table says something else than a glob."""
        tables = list(self._images)
        for glob in (glob for glob in self.globs if glob in tables):
            later = [t for t in tables[tables.index(glob) + 1 :] if t not in self.globs]
            for name, table in itertools.product(sorted(names), later):
                both = matches(name, glob) and matches(name, table)
                if both and KEYS[scales[glob]] in self._images[table]:
                    raise PerceptError(
                        f'nothing written: images."{table}" comes after images."{glob}" and has a '
                        f"{KEYS[scales[glob]]} for {one_line(name)}: let it come before"
                    )

    def judged_by(self, name: str) -> Score:
        """What the check goes by for an image, with its thresholds of now."""
        recipe, configured = self.rules.recipe_for(name), self._configured.params | self._own(name)
        if recipe.thresholds.jnd is not None:
            return "jnd"
        if not recipe.options.has_map:
            return "total"
        peak, total = configured["peak_threshold"], configured["threshold"]
        try:
            by_total = total is not None and thresholds_of(recipe.options, peak, total).peak is None
        except PerceptError:  # A name of another preset's: a number takes its place.
            by_total = False
        return "total" if by_total else "peak"

    def _own(self, name: str) -> dict[str, Any]:
        """What the configuration says of an image alone, and no flag and no variable overrides."""
        tables = (self._images[table] for table in self.rules.globs_for(name))
        said = {key.replace("-", "_"): value for table in tables for key, value in table.items()}
        return {key: v for key, v in said.items() if not shared.is_set(self._configured, key)}


def _one_of(known: Known, glob: str, judged_by: Callable[[str], Score]) -> Score:
    """What all images of a glob are judged by; PerceptError where that is not one thing."""
    names = {name for scores in known.values() for name, _ in scores if matches(name, glob or "*")}
    scales = {judged_by(name): name for name in sorted(names)}
    if len(scales) > 1:
        (one, name), (other, another), *_ = scales.items()
        raise PerceptError(
            f"{glob or 'all'}: {name} is judged by its {one}, {another} by its {other}: calibrate "
            "each with a --glob of its own"
        )
    return next(iter(scales))


def _scores(
    scored: Iterable[tuple[Pair, Scored]],
    talk: Talk,
    judged_by: Callable[[str], Score],
    from_folders: int,
) -> Scores:
    """The score of each pair; among the first, those `from_folders`, of variants the smallest."""
    found: Scores = []
    for place, (pair, one) in enumerate(scored):
        result, what = one.result, judged_by(pair.name)
        if result.bands:
            talk.note(f"{result.name}: grew or was moved: fails at any threshold, left out")
            continue
        if what == "jnd" and result.total and not result.jnd:
            talk.note(f"{result.name}: has no just noticeable differences: left out")
            continue
        jnd = result.jnd.value if result.jnd else result.total
        score = {"peak": result.peak, "total": result.total, "jnd": jnd}[what]
        if larger := result.elsewhere.get(what):
            score = larger.value
        if result.error or score is None:
            talk.error(result.error or f"{result.name}: {result.status}: left out")
        else:
            if place < from_folders and found and found[-1][0] == pair.name:
                score = min(score, found.pop()[1])
            found.append((pair.name, score))
    return found


def _proposal(known: Known, glob: str) -> Proposal:
    chosen = {
        kind: [score for name, score in scores if matches(name, glob)]
        for kind, scores in known.items()
    }
    try:
        return proposed(chosen["same"], chosen["different"])
    except PerceptError as error:
        raise PerceptError(f"{glob}: {error}" if glob != "*" else str(error)) from error


def _show(glob: str, proposal: Proposal, what: str) -> None:
    for line in (*_histogram(proposal), *_words(proposal, what)):
        print(f"{glob}: {line}" if glob and not line.startswith(" ") else line)


def _show_standing_out(known: Known, glob: str, proposal: Proposal, what: str) -> None:
    """Which of the pairs that look the same may be no such pairs, and what holds without them."""
    if not (count := proposal.standing_out):
        return
    level = proposal.same[-count]
    far = [one for one in known["same"] if one[1] >= level and matches(one[0], glob or "*")]
    worst = sorted(far, key=lambda item: -item[1])
    named = ", ".join(f"{one_line(name)} {score:.4g}" for name, score in worst[:MOST_NAMED])
    rest = [one for one in known["same"] if one not in far]
    without = "all are identical"
    if any(score for _, score in rest):
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

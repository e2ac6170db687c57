"""`percept init`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.progress import with_progress
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, one_line, shown
from percept_cli.gate.baselines import checked_pairs
from percept_cli.gate.beginning import Beginning, are_rendered, beginning
from percept_cli.gate.check import Check
from percept_cli.gate.rules import Rules
from percept_cli.inputs.pairs import Pair, pairs_of
from percept_cli.inputs.stored import here
from percept_cli.outputs.words import MOST_NAMED, command_line
from percept_cli.scoring.options import MAX_PIXELS
from percept_cli.writing import write_whole

FILE = Path("percept.toml")

TEXT = """\
# How percept compares, and what passes: 'percept check --help' has all keys, as flags.
# A key given here holds unless a flag or an environment variable says otherwise.

# rendering is for pages and drawings, quality for photographs, as people rate them.
preset = "{preset}"

# {meaning}
{key} = {threshold}

# Displacements that are forgiven, in pixels of the image.
# tolerance = 1

# What does not count, such as a clock: x,y,width,height in pixels, or a mask image.
# ignore = ["900,20,120,30"]

# Candidates without a baseline pass.
# allow-new = true

# Settings of single images, by glob.
# [images."animations/*"]
# {key} = {loose}
"""

MEANINGS = {
    "peak-threshold": "The largest peak that passes: strict, normal, lenient, or a number.",
    "jnd": "Most just noticeable differences that pass: half of the people notice 1.",
}


def init(
    context: typer.Context,
    baseline: Annotated[
        Path,
        typer.Argument(
            parser=here, metavar="BASELINE", help="Folder of accepted images, or for them."
        ),
    ],
    candidate: Annotated[
        Path, typer.Argument(parser=here, metavar="CANDIDATE", help="Folder of images to check.")
    ],
    workers: shared.Workers = None,
    quiet: shared.Quiet = False,
) -> None:
    """Begin: look at two folders, and write a percept.toml with a preset and a threshold for them.

    Pairs should look the same, as those of two runs of the same code do: those that differ plainly
    are named. 'percept calibrate' proposes more exactly, from pairs that you know.

    Example: percept init baselines/ screenshots/
    """
    talk = Talk(quiet)
    if context.obj.file:
        raise PerceptError(f"{shown(context.obj.file)} is there: change it, or remove it first")
    if not candidate.is_dir():
        raise PerceptError(f"{shown(candidate)}: no such folder: make the images first")
    pairs, _ = checked_pairs(baseline, candidate) if baseline.is_dir() else ([], [])
    images = [pair.file for pair in pairs_of(candidate, candidate)[0] if pair.file]
    rendered = are_rendered(images, MAX_PIXELS)
    both = [pair for pair in pairs if pair.reference and pair.candidate]
    found = beginning(rendered, _scores(both, talk, rendered=rendered, workers=workers))
    _write(found)
    print(f"{shown(FILE)}: preset {found.preset}, {found.key} {found.threshold}")
    print(f"  {'pages or drawings' if rendered else 'photographs'}; {found.reason}")
    if found.above:
        named = ", ".join(map(one_line, found.above[:MOST_NAMED]))
        more = ", …" if len(found.above) > MOST_NAMED else ""
        print(f"  look at {named}{more}: above that, and perhaps changed")
    command = "check" if any(pair.reference for pair in pairs) else "approve"
    report = ("--report", "report") if command == "check" else ()
    line = command_line(command, shown(baseline), shown(candidate), options=report)
    print(f"next: {line or f'percept {command}'}")


def _scores(
    pairs: list[Pair], talk: Talk, *, rendered: bool, workers: int | None
) -> dict[str, float]:
    """Each image's peak, or just noticeable differences; of its variants the smallest."""
    judged = {"preset": "rendering"} if rendered else {"preset": "quality", "jnd": 1}
    check = Check(Rules({**judged, "resize": "none", "align": "auto"}), workers=workers)
    results = check.results(pairs)
    scores = {}
    for pair, scored in results if talk.quiet else with_progress(results, len(pairs)):
        result = scored.result
        score = result.peak if rendered else result.jnd.value if result.jnd else None
        if result.error or score is None or result.bands:
            reason = result.error or "; ".join(result.failures)
            talk.note(f"{result.name}: {reason}: not counted")
        else:
            scores[pair.name] = score
    return scores


def _write(found: Beginning) -> None:
    quoted = f'"{found.threshold}"' if isinstance(found.threshold, str) else found.threshold
    text = TEXT.format(
        preset=found.preset,
        key=found.key,
        threshold=quoted,
        meaning=MEANINGS[found.key],
        loose='"lenient"' if found.key == "peak-threshold" else 2,
    )
    try:
        write_whole(text.encode(), FILE)
    except OSError as error:
        raise OutputError(f"cannot write {shown(FILE)}: {error.strerror}") from error

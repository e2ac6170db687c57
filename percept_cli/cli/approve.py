"""`percept approve`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.check import context_of_check, rules_of
from percept_cli.cli.exits import INCOMPLETE
from percept_cli.cli.memory import memory_of
from percept_cli.cli.progress import with_progress
from percept_cli.cli.talk import Talk
from percept_cli.errors import PerceptError, one_line, shown
from percept_cli.gate.approve import Approval, Change, Hashes, carry_out, mistaken
from percept_cli.gate.check import PASSES, Check
from percept_cli.inputs.files import MAX_BYTES
from percept_cli.inputs.pairs import Pair
from percept_cli.inputs.saved import read_saved
from percept_cli.inputs.stored import Remote, here, place_of
from percept_cli.scoring.options import MAX_PIXELS

SILENT = ("unchanged", "passed", "error")
"""What is only counted, or was said already."""


def approve(
    context: typer.Context,
    baseline: Annotated[
        Any,
        typer.Argument(
            parser=place_of,
            metavar="[BASELINE]",
            help="Accepted image, or folder of them: a path, or a URL such as s3://…",
        ),
    ] = None,
    candidate: Annotated[
        Any,
        typer.Argument(
            parser=place_of,
            metavar="[CANDIDATE]",
            help="Image, or folder, to accept, likewise, or a tar file.",
        ),
    ] = None,
    globs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GLOB]...", help="Only images whose path matches one of these."),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--from",
            parser=here,
            metavar="RESULTS",
            help="Only what failed in this check's JSON, unless an image has changed since. Names "
            "BASELINE and CANDIDATE, so that all arguments are GLOBs.",
        ),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Also accept what differs and passes the check.")
    ] = False,
    variant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Keep the baselines, and add the candidates as variants: home~NAME.png.",
        ),
    ] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove baselines whose candidate is gone.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done.")
    ] = False,
    max_pixels: shared.MaxPixels = MAX_PIXELS,
    max_bytes: shared.MaxBytes = MAX_BYTES,
    workers: shared.Workers = None,
    quiet: shared.Quiet = False,
) -> None:
    """Accept candidates that fail the check as baselines, all or those that match a glob.

    Judges as `check` would with the settings of percept.toml and of the environment: what passes
    stays as it is. A candidate that does not decode is an error; files that are no images are left
    out.

    Examples:

        percept approve baselines/ screenshots/

        percept approve baselines/ screenshots/ 'settings/*' --dry-run

        percept approve --from results.json

        percept approve baselines/ screenshots/ --variant mac
    """
    talk = Talk(quiet)
    accepted = None
    if results:
        globs = [str(given) for given in (baseline, candidate, *(globs or ())) if given]
        if any(Path(glob).is_dir() for glob in globs):
            raise PerceptError("--from names the folders: the arguments are globs of images")
        baseline, candidate, accepted = _failed(results)
        if not accepted:
            talk.note(f"nothing to approve: nothing failed in {shown(results)}")
            raise typer.Exit()
    if not (baseline and candidate):
        raise PerceptError("name a BASELINE and a CANDIDATE, or --from the results of a check")

    if not (everything or accepted):
        talk.configuration(context.obj.file)

    def passing(pairs: Sequence[Pair]) -> Collection[str]:
        limits = "--max-pixels", str(max_pixels), "--max-bytes", str(max_bytes)
        of_check = context_of_check(context, *limits)
        memory = memory_of(of_check, talk, "maps")
        check = Check(rules_of(of_check), workers=workers, memory=memory)
        judged = check.results(pairs)
        shown_judged = judged if quiet else with_progress(judged, len(pairs))
        return {pair.name for pair, scored in shown_judged if scored.result.status in PASSES}

    if accepted:
        talk.note(f"accepting what failed in {shown(baseline)} and {shown(candidate)}")
    approval = Approval(
        baseline,
        candidate,
        globs or (),
        variant,
        prune,
        None if everything or accepted else passing,
        accepted,
        max_pixels,
        max_bytes,
    )
    done: Counter[str] = Counter()
    changes = approval.changes()
    failed: set[Path | Remote] = set()
    for change in changes:
        if change.successor in failed:
            continue
        action = _done(change, talk, dry_run=dry_run)
        if action == "error":
            failed.add(change.baseline)
        done[action] += 1
        if action not in SILENT:
            file = change.candidate if action == "left out" else change.baseline
            print(f"{action:9}  {one_line(shown(file or change.baseline))}")
    counts = ", ".join(f"{count} {action}" for action, count in sorted(done.items()))
    talk.note(f"{counts or 'nothing to do'}{' (dry run: nothing was done)' if dry_run else ''}")
    if done["passed"]:
        talk.note("what passed the check stays as it is: --all accepts it too")
    for name in mistaken(changes):
        talk.note(
            f"{name}: without its candidate its baseline is a variant, since another image is "
            "called like what is before ~: rename it"
        )
    if done["gone"]:
        talk.note(f"{done['gone']} baseline(s) have no candidate: --prune removes them")
    raise typer.Exit(INCOMPLETE if done["error"] else 0)


def _failed(results: Path) -> tuple[Path, Path, dict[str, Hashes]]:
    """The two paths of a saved check, and the names of what failed, with the hashes of its files.

    Raises PerceptError where these are not below the current folder, or are hidden: anybody may
    have written that.
    """
    saved = read_saved(results)
    references, candidates = saved.settings.references, saved.settings.candidates
    if references is None or candidates is None:
        raise PerceptError(f"{shown(results)}: not of a check: name BASELINE and CANDIDATE")
    for place in map(place_of, (references, candidates)):
        if isinstance(place, Remote):
            raise PerceptError(
                f"{shown(results)} is of {shown(place)}, and anybody may have written that: name "
                "BASELINE and CANDIDATE instead, and globs of what to accept"
            )
    baseline, candidate = Path(references), Path(candidates)
    for path in (baseline, candidate):
        real = path.resolve()
        inside = real.relative_to(Path.cwd()).parts if real.is_relative_to(Path.cwd()) else None
        if inside is None or any(part.startswith(".") for part in inside):
            raise PerceptError(
                f"{shown(results)} is of {shown(path)}, which is not below this folder, or hidden: "
                "run this where the check ran"
            )
    failed: dict[str, Hashes] = {}
    for result in (result for result in saved.results if result.failures):
        root = candidate if result.candidate else baseline
        name = os.path.relpath(result.name, root)
        hashes = result.reference_sha256, result.candidate_sha256
        failed[root.name if name == "." else name] = hashes
    return baseline, candidate, failed


def _done(change: Change, talk: Talk, *, dry_run: bool) -> str:
    """What was done, or failed."""
    try:
        if not dry_run:
            carry_out(change)
    except PerceptError as error:
        talk.error(str(error))
        return "error"
    if change.error:
        talk.error(change.error)
    return change.action

"""`percept approve`."""

from __future__ import annotations

from collections import Counter
from typing import Annotated

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.exits import INCOMPLETE
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, one_line, shown
from percept_cli.gate.approve import Approval, Change, carry_out
from percept_cli.inputs.files import MAX_BYTES
from percept_cli.scoring.options import MAX_PIXELS


def approve(
    baseline: shared.Baseline,
    candidate: shared.Checked,
    globs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[GLOB]...", help="Only images whose path matches one of these."),
    ] = None,
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
    quiet: shared.Quiet = False,
) -> None:
    """Accept candidates as baselines, all of them or those that match a glob.

    A candidate equal to its baseline, or to a variant of it, changes nothing. One that does not
    decode is an error; files that are no images are left out.

    Examples:

        percept approve baselines/ screenshots/

        percept approve baselines/ screenshots/ 'settings/*' --dry-run

        percept approve baselines/ screenshots/ --variant mac
    """
    talk = Talk(quiet)
    done: Counter[str] = Counter()
    approval = Approval(baseline, candidate, globs or (), variant, prune, max_pixels, max_bytes)
    for change in approval.changes():
        action = _done(change, talk, dry_run=dry_run)
        done[action] += 1
        if action not in ("unchanged", "error"):
            file = change.candidate if action == "left out" else change.baseline
            typer.echo(f"{action:9}  {one_line(shown(file or change.baseline))}")
    counts = ", ".join(f"{count} {action}" for action, count in sorted(done.items()))
    talk.note(f"{counts or 'nothing to do'}{' (dry run: nothing was done)' if dry_run else ''}")
    raise typer.Exit(INCOMPLETE if done["error"] else 0)


def _done(change: Change, talk: Talk, *, dry_run: bool) -> str:
    """What was done, or failed."""
    try:
        if not dry_run:
            carry_out(change)
    except OutputError as error:
        talk.error(str(error))
        return "error"
    if change.error:
        talk.error(change.error)
    return change.action

"""`percept diff`."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.text import Text

from percept_cli.cli import options as shared
from percept_cli.errors import one_line
from percept_cli.gate.difference import Difference
from percept_cli.inputs.saved import read_saved
from percept_cli.inputs.stored import place_of
from percept_cli.outputs.console import Console, plain_table
from percept_cli.outputs.words import figure

SHOWN = 20


def diff(
    before: Annotated[
        Any,
        typer.Argument(
            parser=place_of, metavar="OLD", help="JSON results of a run: a file, or a URL."
        ),
    ],
    after: Annotated[
        Any, typer.Argument(parser=place_of, metavar="NEW", help="JSON results of a later one.")
    ],
    limit: shared.Limit = SHOWN,
) -> None:
    """What became better or worse between two runs over the same images, the largest change first.

    Pairs are matched by their paths inside the folders, or by their references where manifests
    named them. Runs with other settings do not compare.

    Example: percept diff model-a.json model-b.json
    """
    found = Difference.of(read_saved(before), read_saved(after))
    moved = [change for change in found.changes if change.by]
    table = plain_table("pair", "old", "new", "change", right=("old", "new", "change"))
    for change in moved[: limit or None]:
        totals = figure(change.before.total), figure(change.after.total)
        style = "red" if change.by > 0 else "green"
        by = f"{'+' if change.by > 0 else '-'}{figure(abs(change.by))}"
        table.add_row(Text(one_line(change.name)), *totals, Text(by, style=style))
    console = Console(highlight=False)
    if moved:
        console.print_whole(table)
    if limit and len(moved) > limit:
        print(f"… and {len(moved) - limit} more: --limit 0 shows all")
    for line in _summary(found):
        print(line)


def _summary(found: Difference) -> list[str]:
    count = len(found.changes)
    same = count - found.worse - found.better
    lines = [f"{found.worse} worse, {found.better} better, {same} the same"]
    if count:
        means = [
            sum(getattr(change, side).total for change in found.changes) / count
            for side in ("before", "after")
        ]
        lines[0] += f"; mean total {figure(means[0])}, then {figure(means[1])}"
    for names, what in (
        (found.only_before, "only in OLD"),
        (found.only_after, "only in NEW"),
        (found.not_scored, "without a total in one of them"),
        (found.otherwise, "with other settings of their own, not compared"),
    ):
        if names:
            more = ", …" if len(names) > 3 else ""
            lines.append(f"{len(names)} {what}: {', '.join(map(one_line, names[:3]))}{more}")
    return lines

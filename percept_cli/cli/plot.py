"""`percept plot`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from percept_cli.cli.talk import Talk
from percept_cli.errors import PerceptError, shown
from percept_cli.gate.difference import Difference
from percept_cli.inputs.saved import read_saved
from percept_cli.inputs.stored import Remote, here, named, place_of
from percept_cli.network.layers import LAYERS
from percept_cli.scoring.also import EQUAL

MEASURES = ("total", "peak", "jnd", *EQUAL)


def plot(
    results: Annotated[
        list[Any],
        typer.Argument(
            parser=place_of,
            metavar="RESULTS",
            help="JSON results of one run, or of two: files, or URLs.",
        ),
    ],
    output: Annotated[
        Path,
        typer.Option(
            parser=here, metavar="FILE", help="The picture: a file that ends in .png, .svg or .pdf."
        ),
    ] = Path("plot.png"),
    against: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Draw means over a column of numbers."),
    ] = None,
    by: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="With --against: a line for each value in a column."),
    ] = None,
    measure: Annotated[
        str, typer.Option(help="What is drawn against a column: total, peak, jnd, a layer, psnr, …")
    ] = "total",
) -> None:
    """Draw how distances spread, over a column of the manifest, or two runs against each other.

    Examples:

        percept plot scores.json --output spread.svg

        percept plot scores.json --against bitrate --by codec --output rates.png

        percept plot model-a.json model-b.json --output models.png
    """
    from percept_cli.outputs import plots

    if output.suffix.lower() not in plots.FORMS:
        raise PerceptError(f"{shown(output)}: end it in {', '.join(plots.FORMS)}")
    if len(results) > 2:
        raise PerceptError("give the results of one run, or of two")
    if by and not against:
        raise PerceptError("--by draws a line for each value: name what over with --against")
    if measure not in (*MEASURES, *LAYERS):
        raise PerceptError(f"unknown measure {measure!r}: give {', '.join(MEASURES)}, or a layer")
    if measure != MEASURES[0] and not against:
        raise PerceptError("--measure is drawn over something: name what with --against")
    talk = Talk(quiet=False)
    first, *others = map(read_saved, results)
    if others:
        if against:
            raise PerceptError("--against draws one run: give the results of one")
        names = _names(results[0], results[1])
        changes = Difference.of(first, *others).changes
        totals = [
            [getattr(change, side).total or 0.0 for change in changes]
            for side in ("before", "after")
        ]
        picture, words = plots.side_by_side(totals[0], totals[1], names)
        talk.note(words)
    elif against:
        picture = plots.against(first.results, against, by, measure)
    else:
        picture = plots.spread(first.results, first.settings.layers)
    plots.save(picture, output)
    talk.note(f"drawn: {shown(output)}")


def _names(first: Path | Remote, second: Path | Remote) -> tuple[str, str]:
    """What two runs are called: their files, as far as these tell them apart."""
    stems = named(first).stem, named(second).stem
    if stems[0] != stems[1]:
        return stems
    return shown(first), shown(second)

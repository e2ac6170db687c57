"""`percept compare --engine ray`."""

from __future__ import annotations

from pathlib import Path

import typer

from percept_cli.cli.exits import INCOMPLETE
from percept_cli.cli.memory import wanted_cache
from percept_cli.cli.run import is_incomplete, say_groups
from percept_cli.cli.sources import refuse_inputs, source_of
from percept_cli.cli.talk import Talk
from percept_cli.errors import PerceptError, shown
from percept_cli.inputs.stored import Remote, place_of
from percept_cli.outputs.formats import format_for
from percept_cli.outputs.words import summary_notes
from percept_cli.scoring.options import Options

NOT_THERE = (
    *("heatmap", "show_it", "report", "report_copy", "open_page"),
    *("shard", "sort", "csv_safe"),
)
"""What of the command a run by many workers has not."""


def on_ray(context: typer.Context, options: Options, talk: Talk) -> int:
    """Let Ray's workers compare; the exit code. PerceptError for options that they have not."""
    given = context.params
    for option in context.command.params:
        if option.name in NOT_THERE and given[option.name]:
            raise PerceptError(f"--engine ray has no {option.opts[0]}: leave it out")
    reference, candidate = given["reference"], given["candidate"]
    output: Path | Remote | None = given["output"]
    if output is None or output == Path("-"):
        raise PerceptError("--engine ray: name a new folder for the results with --output")
    manifest = given["pairs"]
    if manifest == "-":
        raise PerceptError("--engine ray: --pairs - has no end: name a manifest's file")
    source = source_of(reference, candidate, manifest)
    source = source.having(given["by"]) if given["by"] else source
    refuse_inputs(output, source)
    from percept_cli.distributed import SUMMARY, score_on_ray

    place = place_of(manifest) if manifest else None
    whole = place if isinstance(place, Path) and place.suffix == ".parquet" else None
    summary = score_on_ray(
        whole or source.pairs,
        options,
        source.description(context.obj.file),
        output,
        format_for(given["form"], output) or "csv",
        by=given["by"],
        workers=given["workers"],
        cache=wanted_cache(context),
        cache_size=given["cache_size"],
        address=given["ray_address"],
        quiet=given["quiet"],
        left_out=source.left_out,
    )
    for line in summary_notes(summary):
        talk.note(line)
    say_groups(summary, talk)
    talk.note(f"results: {shown(output)}, summed up in {SUMMARY}")
    incomplete = is_incomplete(summary, talk, given["allow_unpaired"])
    return INCOMPLETE if incomplete else 0

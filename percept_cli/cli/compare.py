"""`percept compare`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.destination import Destination
from percept_cli.cli.exits import INCOMPLETE
from percept_cli.cli.heatmaps import Heatmaps
from percept_cli.cli.memory import memory_of
from percept_cli.cli.progress import with_progress
from percept_cli.cli.ray import on_ray
from percept_cli.cli.reports import report_for
from percept_cli.cli.run import Run, is_incomplete, say_groups
from percept_cli.cli.sources import Source, refuse_inputs, refuse_twice, source_of
from percept_cli.cli.talk import Talk
from percept_cli.cli.viewing import open_report, show
from percept_cli.errors import PerceptError
from percept_cli.inputs.files import MAX_BYTES
from percept_cli.inputs.pairs import Pair
from percept_cli.network.layers import chosen
from percept_cli.outputs.formats import format_for
from percept_cli.results import Settings
from percept_cli.scoring.also import measures_named
from percept_cli.scoring.cache import MOST_MIB
from percept_cli.scoring.memory import Keeps
from percept_cli.scoring.options import BACKGROUND, MAX_PIXELS, Options
from percept_cli.scoring.score import AHEAD, Scorer
from percept_cli.scoring.scored import Scored
from percept_cli.summary import Summary

SHOWN = 20


def compare(
    context: typer.Context,
    reference: shared.Reference = None,
    candidate: shared.Candidate = None,
    pairs: shared.Pairs = None,
    preset: shared.Preset = "photo",
    layers: shared.Layers = None,
    layer_weight: shared.LayerWeight = [],  # noqa: B006
    distance: shared.Distance = None,
    raw: shared.Raw = False,
    blur: shared.Blur = None,
    tolerance: shared.Tolerance = None,
    floor: shared.Floor = None,
    area: shared.Area = None,
    colour: shared.Colour = None,
    shrink: shared.Shrink = None,
    weights: shared.Weights = "bundled",
    resize: shared.Resize = "reference",
    align: shared.Align = "none",
    size_tolerance: shared.SizeTolerance = 0,
    background: shared.Background = BACKGROUND,
    frame: shared.Frame = None,
    ignore: shared.Ignore = [],  # noqa: B006
    max_pixels: shared.MaxPixels = MAX_PIXELS,
    max_bytes: shared.MaxBytes = MAX_BYTES,
    workers: shared.Workers = None,
    cache: shared.CacheIn = None,
    no_cache: shared.NoCache = False,
    cache_size: shared.CacheSize = MOST_MIB,
    precision: shared.Precision = "fp32",
    device: shared.Device = "auto",
    also: shared.Also = "",
    form: shared.Format = None,
    output: shared.Output = None,
    sort: shared.Sort = None,
    by: shared.By = None,
    csv_safe: shared.CsvSafe = False,
    limit: shared.Limit = SHOWN,
    heatmap: shared.Heatmap = None,
    allow_unpaired: shared.AllowUnpaired = False,
    shard: shared.ShardOf = None,
    engine: shared.Engine = "local",
    ray_address: shared.RayAddress = None,
    report: shared.ReportTo = None,
    report_copy: shared.ReportCopy = False,
    open_page: shared.OpenReport = False,
    show_it: Annotated[
        bool,
        typer.Option(
            "--show",
            help="Show reference, candidate and heat map of a pair in the terminal, if it can "
            "(kitty, sixel), else say what to open.",
            rich_help_panel=shared.RESULTS,
        ),
    ] = False,
    quiet: shared.Quiet = False,
) -> None:
    """Score how different images look: a pair, two folders, a file and a folder, or a manifest.

    Folders are matched by equal paths, else by equal paths without extension. 0 means that nothing
    differs that counts.

    Examples:

        percept compare original.png compressed.jpg

        percept compare ground_truth/ outputs/ --output scores.csv

        percept compare --pairs pairs.csv --format json
    """
    options = Options.of(
        preset,
        layers=chosen(layers) if layers is not None else None,
        layer_weights=shared.layer_weights(layer_weight, layers, context),
        distance=distance,
        raw=raw,
        blur=blur,
        tolerance=tolerance,
        floor=floor,
        area=area,
        colour=colour,
        shrink=shrink,
        weights=weights,
        resize=resize,
        align=align,
        size_tolerance=size_tolerance,
        background=background,
        frame=frame,
        ignore=tuple(ignore),
        precision=precision,
        device=device,
        also=measures_named(also),
        max_pixels=max_pixels,
        max_bytes=max_bytes,
    )
    talk = Talk(quiet)
    talk.configuration(context.obj.file)
    if engine == "ray":
        raise typer.Exit(on_ray(context, options, talk))
    if engine != "local" or ray_address:
        raise PerceptError("--engine is local or ray, and --ray-address is for ray")
    source = source_of(reference, candidate, pairs).part(shard, options, by_name=False)
    source = source.having(by) if by else source
    if shard and sort:
        raise PerceptError("--shard: parts are merged in their order: leave out --sort")
    if show_it and not source.single:
        raise PerceptError("--show is for one pair: --report DIR shows many")
    for target in filter(None, (output, heatmap)):
        refuse_inputs(target, source)
    refuse_twice((output, heatmap, report))
    keeps: Keeps = "pictures" if heatmap or show_it else "maps" if report else "numbers"
    memory = memory_of(context, talk, keeps)
    scorer = Scorer(options, one_reference=source.one_reference, workers=workers, memory=memory)
    output = None if output == Path("-") else output

    def settings() -> Settings:
        return source.described(scorer.settings(), context.obj.file)

    form = format_for(form, output)
    maps = Heatmaps(heatmap, options, single=source.single) if heatmap else None
    page = report_for(report, source, settings, copy=report_copy, opened=open_page)
    destination = Destination(
        output,
        form,
        sort,
        options.layers,
        settings,
        limit=limit,
        live=source.live,
        csv_safe=csv_safe,
    )
    run = Run(
        [destination],
        maps,
        talk,
        source.single,
        report=page,
        left_out=source.left_out,
        part=source.shard is not None,
        summary=Summary(by),
    )
    run.take(_scored(scorer, source, quiet=quiet or destination.fills_terminal))
    say_groups(run.summary, talk)
    if show_it and run.last:
        show(run.last, settings(), run.last.result.heatmap_file, talk)
    if report and open_page and not run.broken:
        open_report(report, talk)
    raise typer.Exit(_exit_code(run, allow_unpaired))


def _scored(scorer: Scorer, source: Source, *, quiet: bool) -> Iterator[tuple[Pair, Scored]]:
    if source.live:
        return scorer.score(source.pairs, ahead=0)
    scored = scorer.score(source.pairs, ahead=AHEAD)
    return scored if quiet else with_progress(scored, source.total)


def _exit_code(run: Run, allow_unpaired: bool) -> int:
    if run.interrupted:
        return run.interrupted
    incomplete = is_incomplete(run.summary, run.talk, allow_unpaired, part=run.part)
    return INCOMPLETE if incomplete or run.broken else 0

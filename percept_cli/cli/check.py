"""`percept check`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.destination import Destination
from percept_cli.cli.exits import CHANGED, INCOMPLETE
from percept_cli.cli.github import github_for
from percept_cli.cli.heatmaps import Heatmaps
from percept_cli.cli.memory import memory_of
from percept_cli.cli.progress import with_progress
from percept_cli.cli.reports import report_for
from percept_cli.cli.run import Run, Target
from percept_cli.cli.sources import checked_source, refuse_inputs, refuse_twice
from percept_cli.cli.talk import Talk
from percept_cli.cli.viewing import open_report
from percept_cli.cli.watch import Results, watched
from percept_cli.errors import PerceptError, shown
from percept_cli.gate.check import Check, verdict
from percept_cli.gate.rules import KEYS, SHARED, Rules, by_jnd
from percept_cli.inputs.files import MAX_BYTES
from percept_cli.inputs.stored import Remote, is_archive
from percept_cli.results import Settings
from percept_cli.scoring.also import measures_named
from percept_cli.scoring.cache import MOST_MIB
from percept_cli.scoring.options import BACKGROUND, MAX_PIXELS

SHOWN = 20


def check(
    context: typer.Context,
    baseline: shared.Baseline,
    candidate: shared.Checked,
    peak_threshold: shared.PeakThreshold = None,
    threshold: shared.Threshold = None,
    jnd: shared.JndThreshold = None,
    layer_threshold: shared.LayerThreshold = [],  # noqa: B006
    allow_new: shared.AllowNew = False,
    preset: shared.Preset = "rendering",
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
    resize: shared.Resize = "none",
    align: shared.Align = "auto",
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
    json: shared.Json = None,
    junit: shared.JUnit = None,
    heatmap: shared.Heatmap = None,
    limit: shared.Limit = SHOWN,
    shard: shared.ShardOf = None,
    report: shared.ReportTo = None,
    report_copy: shared.ReportCopy = False,
    open_page: shared.OpenReport = False,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Compare again whenever an image changes, until interrupted.",
            rich_help_panel=shared.RESULTS,
        ),
    ] = False,
    quiet: shared.Quiet = False,
) -> None:
    """Fail if candidates look different from their baselines: the gate for CI.

    An image passes if its peak, and its total and layers where these have thresholds, are not above
    them; with --jnd, just noticeable differences are judged in place of the peak. Missing
    candidates, new ones and changed sizes fail. Exit codes: 0 passed, 1 failed, 3 not all could be
    compared.

    Examples:

        percept check baselines/ screenshots/

        percept check baselines/ screenshots/ --peak-threshold strict --junit report.xml
    """
    talk = Talk(quiet)
    talk.configuration(context.obj.file)
    rules = rules_of(context)
    memory = memory_of(context, talk, "pictures" if heatmap else "maps")
    checked = Check(rules, allow_new=allow_new, workers=workers, memory=memory)
    if watch and shard:
        raise PerceptError("--watch: all images are looked at: leave out --shard")
    for place in (baseline, candidate):
        if watch and (isinstance(place, Remote) or is_archive(place)):
            raise PerceptError(f"--watch: {shown(place)}: name images or folders of this machine")

    opened: list[Path] = []

    def once(results: Results) -> int:
        source = checked_source(baseline, candidate)
        if not source.single:
            rules.check_used([pair.name for pair in source.pairs])
        outputs = json, junit, heatmap, report
        for output in filter(None, outputs):
            refuse_inputs(output, source)
        refuse_twice(outputs)
        source = source.part(shard, (rules.wording, allow_new), by_name=True)

        def settings() -> Settings:
            return source.described(checked.scorer.settings(), context.obj.file)

        options = rules.recipe_of_others.options
        maps = Heatmaps(heatmap, options, single=source.single) if heatmap else None
        page = report_for(report, source, settings, copy=report_copy, opened=open_page)
        layers_shown = checked.scorer.options.layers
        targets = [(None, "check"), *((t, f) for t, f in ((json, "json"), (junit, "junit")) if t)]
        destinations: list[Target] = [
            Destination(target, form, None, layers_shown, settings, limit=limit, live=False)
            for target, form in targets
        ]
        if not source.shard:  # Of shards, the merge speaks.
            destinations += github_for(settings, report)
        is_part = source.shard is not None
        judge = partial(verdict, part=is_part)
        run = Run(
            destinations, maps, talk, source.single, judge, page, source.left_out, part=is_part
        )
        found = results(source.pairs)
        run.take(found if quiet else with_progress(found, source.total))
        if report and open_page and not run.broken and not opened:  # When watching, only once.
            open_report(report, talk)
            opened.append(report)
        return _exit_code(run)

    if watch:
        raise typer.Exit(watched(baseline, candidate, rules.masks, checked.results, once, talk))
    raise typer.Exit(once(checked.results))


def context_of_check(context: typer.Context, *arguments: str) -> typer.Context:
    """The context that `check` would have, with its settings from files and the environment."""
    assert context.parent
    group: Any = context.parent.command
    made: typer.Context = group.commands["check"].make_context(
        "check", [*arguments, "--", ".", "."], parent=context.parent
    )
    return made


def rules_of(context: typer.Context) -> Rules:
    """How each image is compared and judged, from a context of this command."""
    params: dict[str, Any] = context.params
    base = {key: params[key.replace("-", "_")] for key in (*KEYS, *SHARED)}
    limits = shared.by_layer(params["layer_threshold"], "layer threshold", "LAYER=DISTANCE")
    base["layer-threshold"] = limits
    weights = shared.layer_weights(params["layer_weight"], params["layers"], context)
    base["layer-weight"] = weights
    base["ignore"] = tuple(params["ignore"])
    base["also"] = measures_named(params["also"])
    fixed = {key for key in base if shared.is_set(context, key.replace("-", "_"))}
    if base["jnd"] is not None and shared.is_default(context, "preset"):
        base |= {key: value for key, value in by_jnd(base).items() if key not in fixed}
    return Rules(base, context.obj.images, context.obj.file, fixed)


def _exit_code(run: Run) -> int:
    if run.interrupted:
        return run.interrupted
    if run.broken or run.summary.verdict == "incomplete":
        return INCOMPLETE
    return CHANGED if run.summary.verdict == "failed" else 0

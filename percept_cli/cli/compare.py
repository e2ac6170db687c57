"""`percept compare`."""

from __future__ import annotations

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.destination import Destination
from percept_cli.cli.exits import INCOMPLETE, INTERRUPTED
from percept_cli.cli.heatmaps import Heatmaps
from percept_cli.cli.progress import with_progress
from percept_cli.cli.sources import Source, refuse_inputs, source_of
from percept_cli.cli.talk import Talk
from percept_cli.errors import PerceptError, shown
from percept_cli.network.layers import chosen
from percept_cli.outputs.words import summary_line
from percept_cli.results import Summary
from percept_cli.scoring.options import MAX_PIXELS, Options
from percept_cli.scoring.score import AHEAD, Scorer

SHOWN = 20


def compare(
    context: typer.Context,
    reference: shared.Reference = None,
    candidate: shared.Candidate = None,
    pairs: shared.Pairs = None,
    layers: shared.Layers = shared.LAYERS_DEFAULT,
    layer_weight: shared.LayerWeight = [],  # noqa: B006
    distance: shared.Distance = "l2",
    raw: shared.Raw = False,
    weights: shared.Weights = "bundled",
    resize: shared.Resize = "reference",
    background: shared.Background = "white",
    max_pixels: shared.MaxPixels = MAX_PIXELS,
    precision: shared.Precision = "fp32",
    device: shared.Device = "auto",
    form: shared.Format = None,
    output: shared.Output = None,
    sort: shared.Sort = None,
    limit: shared.Limit = SHOWN,
    heatmap: shared.Heatmap = None,
    allow_unpaired: shared.AllowUnpaired = False,
    quiet: shared.Quiet = False,
) -> None:
    """Score how different images look: a pair, two folders, a file and a folder, or a manifest.

    Folders are matched by equal paths, else by equal paths without extension. 0 means identical.

    Examples:

        percept compare original.png compressed.jpg

        percept compare ground_truth/ outputs/ --output scores.csv

        percept compare --pairs pairs.csv --format json
    """
    options = Options(
        layers=chosen(layers),
        layer_weights=shared.layer_weights(layer_weight, layers, context),
        distance=distance,
        raw=raw,
        weights=weights,
        resize=resize,
        background=background,
        precision=precision,
        device=device,
        max_pixels=max_pixels,
    )
    talk = Talk(quiet)
    if context.obj:
        talk.note(f"options from {shown(context.obj)}")
    source = source_of(reference, candidate, pairs, talk)
    for target in (output, heatmap):
        if target:
            refuse_inputs(target, source)
    destination = Destination(output, form, sort, options.layers, limit=limit, live=source.live)
    maps = Heatmaps(heatmap, options, single=source.single) if heatmap else None
    scorer = Scorer(options, one_reference=source.one_reference)
    summary = _compare(scorer, source, destination, maps, talk)
    raise typer.Exit(_exit_code(summary, talk, allow_unpaired))


def _compare(
    scorer: Scorer, source: Source, destination: Destination, maps: Heatmaps | None, talk: Talk
) -> Summary:
    summary = Summary()
    destination.open(scorer.settings)
    scored_pairs = scorer.score(source.pairs, ahead=0 if source.live else AHEAD)
    if not (talk.quiet or source.live or destination.fills_terminal):
        scored_pairs = with_progress(scored_pairs, source.total)
    try:
        for pair, scored in scored_pairs:
            summary.add(scored.result)
            if scored.result.error:
                talk.error(scored.result.error)
            destination.write(scored.result)
            if maps:
                maps.write(pair, scored)
            if maps and source.single and scored.result.status == "identical":
                talk.note("no heat map written: the images are identical")
        summary.complete = True
    except KeyboardInterrupt:
        talk.error("interrupted: results end here")
    destination.close(summary)
    if summary.pairs and not destination.shows_summary:
        talk.note(summary_line(summary))
    return summary


def _exit_code(summary: Summary, talk: Talk, allow_unpaired: bool) -> int:
    if not summary.complete:
        return INTERRUPTED
    if not summary.pairs:
        raise PerceptError("nothing to compare: no pair was named")
    counts = summary.counts
    unpaired = counts["missing"] + counts["new"]
    if unpaired and not allow_unpaired:
        talk.note(f"{unpaired} file(s) have no partner: --allow-unpaired accepts that")
    compared = counts["identical"] + counts["compared"]
    failed = counts["error"] or (unpaired and not allow_unpaired) or not compared
    return INCOMPLETE if failed else 0

"""`percept compare`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.destination import Destination
from percept_cli.cli.exits import INCOMPLETE, INTERRUPTED
from percept_cli.cli.heatmaps import Heatmaps
from percept_cli.cli.interrupts import uninterrupted
from percept_cli.cli.progress import with_progress
from percept_cli.cli.sources import Source, refuse_inputs, source_of
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.inputs.pairs import Pair
from percept_cli.network.layers import chosen
from percept_cli.outputs.words import summary_line
from percept_cli.results import Summary
from percept_cli.scoring.options import MAX_PIXELS, Options
from percept_cli.scoring.score import AHEAD, Scored, Scorer

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
    scorer = Scorer(options, one_reference=source.one_reference)
    destination = Destination(
        output, form, sort, options.layers, scorer.settings, limit=limit, live=source.live
    )
    maps = Heatmaps(heatmap, options, single=source.single) if heatmap else None
    run = _Run(scorer, source, destination, maps, talk)
    raise typer.Exit(run.compare(allow_unpaired))


@dataclass
class _Run:
    """One comparison from its pairs to its exit code."""

    scorer: Scorer
    source: Source
    destination: Destination
    maps: Heatmaps | None
    talk: Talk
    summary: Summary = field(default_factory=Summary)
    failed: bool = False
    """Whether something besides a pair went wrong."""
    interrupted: bool = False

    def compare(self, allow_unpaired: bool) -> int:
        """Write all results; the exit code."""
        try:
            for pair, scored in self._scored():
                self._take(pair, scored)
            self.summary.complete = True
        except KeyboardInterrupt:
            self.interrupted = True
            self.talk.error("interrupted: results end here")
        except OutputError:
            raise
        except PerceptError as error:
            if not self.summary.pairs:
                raise
            self.talk.error(str(error))
            self.failed = True
        if not self.summary.pairs and self.summary.complete:
            raise PerceptError("nothing to compare: no pair was named")
        self.destination.close(self.summary)
        if not self.destination.shows_summary:
            self.talk.note(summary_line(self.summary))
        return self._exit_code(allow_unpaired)

    def _scored(self) -> Iterator[tuple[Pair, Scored]]:
        live = self.source.live
        scored = self.scorer.score(self.source.pairs, ahead=0 if live else AHEAD)
        if self.talk.quiet or live or self.destination.fills_terminal:
            return scored
        return with_progress(scored, self.source.total)

    def _take(self, pair: Pair, scored: Scored) -> None:
        result = scored.result
        if result.error:
            self.talk.error(result.error)
        with uninterrupted():
            self.destination.write(result)
            self.summary.add(result)
        if self.maps and self.source.single and result.status == "identical":
            self.talk.note("no heat map written: the images are identical")
        try:
            if self.maps:
                self.maps.write(pair, scored)
        except OutputError as error:
            self.failed = True
            self.talk.error(str(error))

    def _exit_code(self, allow_unpaired: bool) -> int:
        if self.interrupted:
            return INTERRUPTED
        counts = self.summary.counts
        unpaired = 0 if allow_unpaired else counts["missing"] + counts["new"]
        if unpaired:
            self.talk.note(f"{unpaired} file(s) have no partner: --allow-unpaired accepts that")
        compared = counts["identical"] + counts["compared"]
        failed = counts["error"] or unpaired or self.failed or not compared
        return INCOMPLETE if failed else 0

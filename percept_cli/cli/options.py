"""Command-line options that several commands share, and where their values come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from percept_cli.errors import PerceptError
from percept_cli.inputs.configuration import TYPES, configured
from percept_cli.inputs.ignore import beside
from percept_cli.inputs.stored import here, place_of
from percept_cli.network.layers import DEFAULT_LAYERS, chosen

MEASURE = "What is measured"
IMAGES = "Images"
MACHINE = "Machine"
JUDGE = "What passes"
RESULTS = "Results"

Reference = Annotated[
    Any,
    typer.Argument(
        parser=place_of,
        metavar="REFERENCE",
        help="Image or folder to compare against: a path, a tar file, or a URL such as s3://…",
    ),
]
Candidate = Annotated[
    Any,
    typer.Argument(
        parser=place_of, metavar="CANDIDATE", help="Image or folder to score, likewise."
    ),
]
Preset = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_PRESET",
        help="Choices that belong together: photo, quality (as people rate photographs), or "
        "rendering for pages and drawings.",
        rich_help_panel=MEASURE,
    ),
]
Baseline = Annotated[
    Any,
    typer.Argument(
        parser=place_of,
        metavar="BASELINE",
        help="Accepted image, or folder of them: a path, a tar file, or a URL such as s3://…",
    ),
]
Checked = Annotated[
    Any,
    typer.Argument(
        parser=place_of, metavar="CANDIDATE", help="Image, or folder, to check, likewise."
    ),
]
SavedResults = Annotated[
    Any,
    typer.Argument(
        parser=place_of,
        metavar="RESULTS",
        help="JSON that 'compare' or 'check' has written: a file, or a URL.",
    ),
]
Layers = Annotated[
    str | None,
    typer.Option(
        envvar="PERCEPT_LAYERS",
        help="Layers, separated by commas; 'percept layers' lists them.",
        rich_help_panel=MEASURE,
        show_default=",".join(DEFAULT_LAYERS) + "; the preset rendering has its own",
    ),
]
LayerWeight = Annotated[
    list[str],
    typer.Option(
        envvar="PERCEPT_LAYER_WEIGHT",
        metavar="LAYER=WEIGHT",
        help="Weight of a layer in the total, 1 unless given; repeatable.",
        rich_help_panel=MEASURE,
    ),
]
Distance = Annotated[
    str | None,
    typer.Option(
        envvar="PERCEPT_DISTANCE",
        help="l2 (Euclidean), l1 (Manhattan), mse, unit (directions only), divisive (over "
        "contrast), gram (style), structure (as DISTS), correlation (as DeepDC), appearance "
        "(divisive through relu2_2, then the root of correlation).",
        rich_help_panel=MEASURE,
        show_default="l2 for photo, appearance for quality, unit for rendering",
    ),
]
Blur = Annotated[
    float | None,
    typer.Option(
        envvar="PERCEPT_BLUR",
        metavar="SIGMA",
        help="Smooth both images first: a Gaussian's standard deviation in pixels.",
        rich_help_panel=MEASURE,
        show_default="0 for photo, 1 for rendering",
    ),
]
Tolerance = Annotated[
    int | None,
    typer.Option(
        envvar="PERCEPT_TOLERANCE",
        metavar="R",
        help="Forgive displacements of up to R pixels.",
        rich_help_panel=MEASURE,
        show_default="0 for photo, 1 for rendering",
    ),
]
Floor = Annotated[
    float | None,
    typer.Option(
        envvar="PERCEPT_FLOOR",
        metavar="MOST",
        help="Subtract from the map what content all over the page differs by, but no more than "
        "this: the peak is what stands out.",
        rich_help_panel=MEASURE,
        show_default="0 for photo, 0.2 for rendering",
    ),
]
Area = Annotated[
    float | None,
    typer.Option(
        envvar="PERCEPT_AREA",
        metavar="WEIGHT",
        help="Raise cells of the map to WEIGHT times the mean of the 9×9 around them, where they "
        "have at least that mean: a large change is seen sooner than a small one.",
        rich_help_panel=MEASURE,
        show_default="0 for photo, 2.2 for rendering",
    ),
]
Colour = Annotated[
    float | None,
    typer.Option(
        envvar="PERCEPT_COLOUR",
        metavar="WEIGHT",
        help="What a change of colour counts in the map, per unit of OKLab: of areas, and of "
        "strokes whose pattern stays.",
        rich_help_panel=MEASURE,
        show_default="0 for photo, 6.3 for rendering",
    ),
]
Shrink = Annotated[
    int | None,
    typer.Option(
        envvar="PERCEPT_SHRINK",
        metavar="PIXELS",
        help="Shrink both images first, to so many pixels on the shorter side, and fewer where "
        "they are longer than 4:3; 0 shrinks none.",
        rich_help_panel=MEASURE,
        show_default="0, 224 for quality",
    ),
]
Ignore = Annotated[
    list[str],
    typer.Option(
        envvar="PERCEPT_IGNORE",
        metavar="REGION",
        help="What does not count: x,y,width,height in pixels, or a mask image whose light parts "
        "are left out; repeatable.",
        rich_help_panel=IMAGES,
    ),
]
Raw = Annotated[
    bool,
    typer.Option(
        "--raw",
        envvar="PERCEPT_RAW",
        help="Do not divide each layer by its typical magnitude.",
        rich_help_panel=MEASURE,
    ),
]
Weights = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_WEIGHTS",
        help="bundled, torchvision, or a state dict's file; 'percept weights' tells more.",
        rich_help_panel=MEASURE,
    ),
]
Resize = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_RESIZE",
        help="Where sizes differ: reference (bring the candidate to the reference's), none (an "
        "error); or bring both to N (N by N) or WIDTHxHEIGHT.",
        rich_help_panel=IMAGES,
    ),
]
Align = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_ALIGN",
        help="Find inserted, removed and moved rows or columns, and compare the rest: rows, "
        "columns, auto (where sizes differ and are not brought together), or none.",
        rich_help_panel=IMAGES,
    ),
]
SizeTolerance = Annotated[
    int,
    typer.Option(
        envvar="PERCEPT_SIZE_TOLERANCE",
        metavar="PIXELS",
        help="Where sizes differ by so much at most, compare what both have.",
        rich_help_panel=IMAGES,
    ),
]
Background = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_BACKGROUND",
        help="Colour behind transparent pixels: a name or #rrggbb. Of several, with commas, "
        "the one counts on which the images differ most.",
        rich_help_panel=IMAGES,
    ),
]
Frame = Annotated[
    int | None,
    typer.Option(
        envvar="PERCEPT_FRAME",
        metavar="N",
        help="Compare only this frame, from 1 on, of animations and files of several pages.",
        rich_help_panel=IMAGES,
        show_default="all, and the worst counts",
    ),
]


def _bind_pillow(max_pixels: int) -> int:
    """Let the limit hold for what Pillow opens inside a file, too."""
    Image.MAX_IMAGE_PIXELS = max_pixels
    return max_pixels


MaxPixels = Annotated[
    int,
    typer.Option(
        envvar="PERCEPT_MAX_PIXELS",
        help="Most pixels an image may have.",
        rich_help_panel=IMAGES,
        callback=_bind_pillow,
    ),
]
MaxBytes = Annotated[
    int,
    typer.Option(
        envvar="PERCEPT_MAX_BYTES",
        help="Most bytes of an image's file.",
        rich_help_panel=IMAGES,
        show_default="1 GiB",
    ),
]
Precision = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_PRECISION",
        help="fp32, or tf32 (NVIDIA's GPUs) or bf16: faster where the hardware has it, less exact.",
        rich_help_panel=MACHINE,
    ),
]
Device = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_DEVICE",
        help="auto (the accelerators, else the CPU), cpu, cuda (all there are), cuda:1, mps.",
        rich_help_panel=MACHINE,
    ),
]
Also = Annotated[
    str,
    typer.Option(
        envvar="PERCEPT_ALSO",
        metavar="MEASURES",
        help="Other measures besides, separated by commas: psnr, ssim, ms-ssim, mae.",
        rich_help_panel=MEASURE,
        show_default="none",
    ),
]
Engine = Annotated[
    str,
    typer.Option(
        help="local, or ray: many machines, into a folder of csv, jsonl or parquet.",
        rich_help_panel=MACHINE,
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="The Ray cluster to run on, such as auto or ray://host:10001.",
        rich_help_panel=MACHINE,
        show_default="a cluster on this machine",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(
        envvar="PERCEPT_WORKERS",
        help="Threads that compute on the CPU, 1 or more.",
        rich_help_panel=MACHINE,
        show_default="the cores there are for this process",
    ),
]
CacheIn = Annotated[
    Path | None,
    typer.Option(
        "--cache",
        parser=here,
        envvar="PERCEPT_CACHE",
        metavar="DIR",
        help="Folder that keeps scores, so that no pair is computed twice.",
        rich_help_panel=MACHINE,
        show_default="the user's cache folder",
    ),
]
NoCache = Annotated[
    bool,
    typer.Option(
        "--no-cache", envvar="PERCEPT_NO_CACHE", help="Compute all.", rich_help_panel=MACHINE
    ),
]
CacheSize = Annotated[
    int,
    typer.Option(
        "--cache-size",
        envvar="PERCEPT_CACHE_SIZE",
        metavar="MIB",
        help="Size of the cache beyond which what was used longest ago goes.",
        rich_help_panel=MACHINE,
    ),
]
Pairs = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Pairs from a .csv, .jsonl or .parquet file with both, relative to it; "
        "- reads JSON Lines from standard input and answers each line at once.",
    ),
]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        help="table, csv, json, jsonl or parquet; the output's suffix decides if this does not.",
        rich_help_panel=RESULTS,
        show_default="table",
    ),
]
Output = Annotated[
    Any,
    typer.Option(
        parser=place_of,
        metavar="FILE",
        help="File, or URL, for the results, instead of standard output.",
        rich_help_panel=RESULTS,
    ),
]
Sort = Annotated[
    str | None,
    typer.Option(
        help="path, or largest first: total, peak, jnd, or a layer.",
        rich_help_panel=RESULTS,
        show_default="total in a table, else path",
    ),
]
By = Annotated[
    str | None,
    typer.Option(
        metavar="COLUMN",
        help="Also sum up the pairs of each value in a column of the manifest.",
        rich_help_panel=RESULTS,
        show_default="all together",
    ),
]
Limit = Annotated[
    int,
    typer.Option(min=0, help="Most rows of a table; 0 shows all.", rich_help_panel=RESULTS),
]
Heatmap = Annotated[
    Any,
    typer.Option(
        parser=here,
        metavar="FILE_OR_DIR",
        help="Picture of where the images differ; for more than one pair a folder of them.",
        rich_help_panel=RESULTS,
    ),
]
CsvSafe = Annotated[
    bool,
    typer.Option(
        "--csv-safe",
        envvar="PERCEPT_CSV_SAFE",
        help="In CSV, put an apostrophe before what a spreadsheet takes for a formula.",
        rich_help_panel=RESULTS,
    ),
]
AllowUnpaired = Annotated[
    bool,
    typer.Option(
        "--allow-unpaired",
        envvar="PERCEPT_ALLOW_UNPAIRED",
        help="Accept files that only one folder has; otherwise exit with 3.",
        rich_help_panel=RESULTS,
    ),
]
PeakThreshold = Annotated[
    str | None,
    typer.Option(
        envvar="PERCEPT_PEAK_THRESHOLD",
        metavar="PEAK",
        help="Largest peak that passes: a number; strict, normal or lenient; or none.",
        rich_help_panel=JUDGE,
        show_default="normal",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option(
        envvar="PERCEPT_THRESHOLD",
        metavar="TOTAL",
        help="Largest total that passes.",
        rich_help_panel=JUDGE,
    ),
]
JndThreshold = Annotated[
    float | None,
    typer.Option(
        "--jnd",
        envvar="PERCEPT_JND",
        metavar="JND",
        help="Most just noticeable differences that pass: 1 is taken as what half of the people "
        "notice. Chooses the preset quality, unless one is named. --peak-threshold counts besides.",
        rich_help_panel=JUDGE,
    ),
]
LayerThreshold = Annotated[
    list[str],
    typer.Option(
        envvar="PERCEPT_LAYER_THRESHOLD",
        metavar="LAYER=DISTANCE",
        help="Largest distance of a layer that passes; repeatable.",
        rich_help_panel=JUDGE,
    ),
]
AllowNew = Annotated[
    bool,
    typer.Option(
        "--allow-new",
        envvar="PERCEPT_ALLOW_NEW",
        help="Pass candidates that have no baseline.",
        rich_help_panel=JUDGE,
    ),
]
Json = Annotated[
    Any,
    typer.Option(
        "--json",
        parser=place_of,
        metavar="FILE",
        help="Write results as JSON to this file or URL.",
        rich_help_panel=RESULTS,
    ),
]
JUnit = Annotated[
    Any,
    typer.Option(
        "--junit",
        parser=place_of,
        metavar="FILE",
        help="Write results as JUnit XML to this file or URL.",
        rich_help_panel=RESULTS,
    ),
]
ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="NUMBER/OF",
        help="Compare only a part of the pairs, such as 2/5; 'percept merge' puts parts together.",
    ),
]
ReportTo = Annotated[
    Any,
    typer.Option(
        "--report",
        parser=here,
        metavar="DIR",
        help="Folder for a report to open in a browser.",
        rich_help_panel=RESULTS,
    ),
]
ReportCopy = Annotated[
    bool,
    typer.Option(
        "--report-copy",
        help="Copy the images that differ into the report, to take it elsewhere; else it links "
        "them.",
        rich_help_panel=RESULTS,
    ),
]
OpenReport = Annotated[
    bool,
    typer.Option("--open", help="Open the report in the browser.", rich_help_panel=RESULTS),
]
Root = Annotated[
    list[Path] | None,
    typer.Option(
        "--root",
        parser=here,
        metavar="DIR",
        help="Show only pictures below this folder; repeatable. Else those below the current one "
        "and the folders of RESULTS.",
        rich_help_panel=RESULTS,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        help="Only errors on standard error: no progress, no notes.",
        rich_help_panel=RESULTS,
    ),
]


def by_layer(values: Sequence[str], what: str, example: str) -> dict[str, float] | None:
    """`LAYER=NUMBER` texts → layer → number, None for no text; PerceptError for another text."""
    numbers = {}
    for value in ",".join(values).split(","):
        name, _, number = value.partition("=")
        try:
            if value:
                numbers[name.strip()] = float(number)
        except ValueError as error:
            raise PerceptError(f"{what} {value!r}: give {example}") from error
    return numbers or None


def layer_weights(
    values: Sequence[str], layers: str | None, context: typer.Context
) -> dict[str, float] | None:
    """Weights by layer.

    Weights from the environment or a file hold for the layers that are chosen, whatever these are.
    """
    weights = by_layer(values, "layer weight", "LAYER=WEIGHT, such as conv3_1=2")
    if weights and layers and not is_given(context, "layer_weight"):
        weights = {name: weight for name, weight in weights.items() if name in chosen(layers)}
    return weights


def is_given(context: typer.Context, name: str) -> bool:
    """Whether a flag says so, not the environment, a file or a default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def is_set(context: typer.Context, name: str) -> bool:
    """Whether a flag or the environment says so."""
    source = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def is_default(context: typer.Context, name: str) -> bool:
    """Whether nothing says so: no flag, no environment and no configuration."""
    source = context.get_parameter_source(name)
    return source is None or source.name == "DEFAULT"


@dataclass(frozen=True)
class Configuration:
    """The configuration file, and its tables of single images."""

    file: Path | None
    images: Any


def configured_defaults(context: typer.Context) -> dict[str, dict[str, Any]]:
    """The configuration file's values as defaults of each command that has such options."""
    group: Any = context.command
    options = {
        command.name: {each.name for each in command.params if each.name.replace("_", "-") in TYPES}
        for command in group.commands.values()
    }
    known = {name.replace("_", "-") for names in options.values() for name in names}
    file, configuration = configured(Path.cwd(), known | {"images"})
    context.obj = Configuration(file, configuration.pop("images", {}))
    values = {key.replace("-", "_"): value for key, value in configuration.items()}
    if file and values.get("weights") not in (None, "bundled", "torchvision"):
        values["weights"] = str(file.parent / str(values["weights"]))
    for name in ("layers", "also"):
        if isinstance(values.get(name), list):
            values[name] = ",".join(map(str, values[name]))
    for name in ("layer_weight", "layer_threshold"):
        if isinstance(values.get(name), dict):
            values[name] = [f"{key}={value}" for key, value in values[name].items()]
    if isinstance(values.get("ignore"), str):
        values["ignore"] = [values["ignore"]]
    if file and isinstance(values.get("ignore"), list):
        values["ignore"] = [beside(region, file) for region in values["ignore"]]
    return {
        command: {name: value for name, value in values.items() if name in names}
        for command, names in options.items()
    }

"""What passes: thresholds from what a user gave, and results judged by them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from percept_cli.canvas import bands_in_words, reference_size
from percept_cli.errors import PerceptError
from percept_cli.network.layers import known
from percept_cli.results import Elsewhere, Result, Thresholds
from percept_cli.scoring.options import Options

# Peaks of the preset `rendering`; benchmarks/rendering/README.md says on what they were chosen.
NAMED = {"strict": 0.2, "normal": 0.4, "lenient": 0.6}


def thresholds_of(
    options: Options,
    peak: str | float | None = None,
    total: float | None = None,
    layers: Mapping[str, float] | None = None,
    jnd: float | None = None,
) -> Thresholds:
    """Thresholds for results of these options; `peak` is a number, a name of NAMED, or `none`.

    Raises PerceptError for a threshold that means nothing, and if nothing would be judged.
    """
    text = str(peak) if peak is not None else "normal" if _is_named(options) else None
    if text is None and total is None and jnd is None and not layers:
        other = "" if options.is_preset else " with other choices of layers, distance or the like"
        by_jnd = "--jnd, " if options.is_preset and options.preset == "quality" else ""
        raise PerceptError(
            f"no threshold: normal is measured for the preset rendering alone, not for "
            f"{options.preset}{other}: give {by_jnd}"
            "--peak-threshold or --threshold a number ('percept calibrate' proposes one)"
        )
    found = Thresholds(
        _peak(text or "none", options),
        None if total is None else _at_least_0(total, "threshold"),
        {name: _layer(name, value, options) for name, value in (layers or {}).items()},
        None if jnd is None else _jnd(jnd, options),
    )
    if found == Thresholds():
        raise PerceptError("nothing is judged: give a peak threshold, a threshold, or both")
    return found


def _is_named(options: Options) -> bool:
    """Whether the thresholds that have a name are measured for these options."""
    return options.is_preset and options.preset == "rendering"


def _peak(text: str, options: Options) -> float | None:
    if text == "none":
        return None
    if not options.has_map:
        raise PerceptError(
            f"{options.distance} of these layers has no peak: use --threshold, and "
            "--peak-threshold none"
        )
    if text in NAMED:
        if not _is_named(options):
            raise PerceptError(
                f"peak threshold {text!r} is measured for the preset rendering: give a number"
            )
        return NAMED[text]
    return _at_least_0(text, "peak threshold")


def _jnd(value: Any, options: Options) -> float:
    if not (options.is_preset and options.preset == "quality"):
        raise PerceptError(
            f"just noticeable differences are those of the preset quality, not of "
            f"{options.preset}: choose --preset quality, and leave what it chooses"
        )
    return _at_least_0(value, "jnd")


def _layer(name: str, value: Any, options: Options) -> float:
    if known(name).name not in options.layers:
        raise PerceptError(f"layer threshold for {name}, which is not among the chosen layers")
    return _at_least_0(value, f"layer threshold {name}")


def _at_least_0(value: Any, what: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = -1.0
    if not 0 <= number < float("inf"):
        names = f", {', '.join(NAMED)} or none" if what == "peak threshold" else ""
        raise PerceptError(f"{what} {value!r}: give a number from 0 on{names}")
    return number


def judged(result: Result, thresholds: Thresholds, *, allow_new: bool = False) -> Result:
    """The result with its verdict: compared becomes passed or failed, and says why."""
    result = replace(result, thresholds=thresholds)
    if result.status == "missing":
        return replace(result, failures=("the candidate is missing",))
    if result.status == "new" and not allow_new:
        return replace(result, failures=("there is no baseline",))
    if result.status != "compared":
        return result
    failures = (*_grown(result), *_excess(result, thresholds))
    return replace(result, status="failed" if failures else "passed", failures=failures)


def _grown(result: Result) -> Iterator[str]:
    """Rows and columns that have no partner: whatever the thresholds, these are a change."""
    if not result.bands:
        return
    candidate = result.width or 0, result.height or 0
    reference = reference_size(result.bands, candidate)
    if reference != candidate:
        yield "sizes differ: reference {}x{}, candidate {}x{}".format(*reference, *candidate)
    yield from bands_in_words(result.bands)


def _excess(result: Result, thresholds: Thresholds) -> list[str]:
    limits = {"peak": thresholds.peak, "total": thresholds.total, "jnd": thresholds.jnd}
    figures, found = result.figures(), []
    for name, most in (limits | dict(thresholds.layers)).items():
        value, where = figures.get(name), ""
        if larger := result.elsewhere.get(name):
            value, where = larger.value, f" {_place(result, larger)}"
        if value is not None and most is not None and value > most:
            found.append(f"{name} {value:.4g} > {most:g}{where}")
    return found


def _place(result: Result, larger: Elsewhere) -> str:
    """Where a figure is that is larger than the result's own."""
    frame = f"in frame {larger.frame}" if larger.frame != result.frame else ""
    background = f"on {larger.background}" if larger.background != result.background else ""
    return f"{frame} {background}".strip()

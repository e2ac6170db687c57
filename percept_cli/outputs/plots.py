"""Saved results as pictures: how distances spread, against a column, and two runs side by side."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from percept_cli.errors import OutputError, PerceptError, shown, unwritable
from percept_cli.outputs.words import figure
from percept_cli.results import Result
from percept_cli.writing import WholeFile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


FORMS = (".png", ".svg", ".pdf")
SIZE = (7.0, 4.5)
"""Inches."""

WITH_PLOTS = "run 'pip install \"percept-cli[plot]\"'"


def value_of(measure: str) -> Callable[[Result], float | None]:
    """What a pair has of total, peak, jnd, a layer or another measure."""

    def value(result: Result) -> float | None:
        own = {"total": result.total, "peak": result.peak}
        own["jnd"] = result.jnd.value if result.jnd else None
        return (own | dict(result.layers) | dict(result.also)).get(measure)

    return value


def spread(results: Sequence[Result], layers: Sequence[str]) -> Figure:
    """A violin of each layer's distances and of the totals, with median and quartiles."""
    scored = [result for result in results if result.total is not None]
    if not scored:
        raise PerceptError("no pair has a total: there is nothing to draw")
    names = (*layers, "total")
    values = [[value_of(name)(result) or 0.0 for result in scored] for name in names]
    figure_, axes = _axes()
    parts: Any = axes.violinplot(values, showextrema=False, widths=0.8)
    for body, name in zip(parts["bodies"], names, strict=True):
        body.set_facecolor("tab:red" if name == "total" else "tab:blue")
    axes.boxplot(values, widths=0.12, showfliers=False, medianprops={"color": "black"})
    axes.set_xticks(range(1, len(names) + 1), names, rotation=30 if len(names) > 6 else 0)
    axes.set_ylabel("distance")
    axes.set_ylim(bottom=0)
    axes.set_title(f"{len(scored)} pairs")
    return figure_


def against(results: Sequence[Result], column: str, by: str | None, measure: str) -> Figure:
    """The mean of a measure over a column of numbers, a line for each value of another column."""
    lines: dict[str, dict[float, list[float]]] = defaultdict(lambda: defaultdict(list))
    for result in results:
        place, value = _number(result.extra.get(column)), value_of(measure)(result)
        if place is not None and value is not None and (by is None or by in result.extra):
            lines["" if by is None else str(result.extra[by])][place].append(value)
    if not lines:
        raise PerceptError(
            f"no pair has a {measure} and a number in {column!r}"
            f"{f' and something in {by!r}' if by else ''}: name columns of the manifest"
        )
    figure_, axes = _axes()
    for name in sorted(lines):
        places = sorted(lines[name])
        means = [fmean(lines[name][place]) for place in places]
        axes.plot(places, means, marker="o", markersize=4, label=name or None)
    axes.set_xlabel(column)
    axes.set_ylabel(f"mean {measure}")
    axes.set_ylim(bottom=0)
    if by is not None:
        axes.legend(title=by)
    return figure_


def side_by_side(
    before: Sequence[float], after: Sequence[float], names: tuple[str, str]
) -> tuple[Figure, str]:
    """Each pair's totals in two runs, and in words which is better, with a paired test.

    The test is Wilcoxon's signed-rank test (1945) of the differences; pairs without one are left
    out.
    """
    if not before:
        raise PerceptError("the two runs have no scored pair in common: name runs over one set")
    figure_, axes = _axes(square=True)
    most = max(*before, *after, 1e-9) * 1.05
    axes.plot([0, most], [0, most], color="grey", linewidth=1)
    axes.scatter(before, after, s=12, alpha=0.6)
    axes.set_xlim(0, most)
    axes.set_ylim(0, most)
    axes.set_xlabel(f"total, {names[0]}")
    axes.set_ylabel(f"total, {names[1]}")
    words = _tested(before, after, names)
    axes.set_title(words, fontsize=9, wrap=True)
    return figure_, words


def _tested(before: Sequence[float], after: Sequence[float], names: tuple[str, str]) -> str:
    pairs = list(zip(before, after, strict=True))
    better, worse = sum(b < a for a, b in pairs), sum(b > a for a, b in pairs)
    means = f"mean {figure(fmean(before))} and {figure(fmean(after))}"
    sides = f"{names[1]} is nearer in {better}, {names[0]} in {worse}"
    words = f"{len(before)} pairs: {means}; {sides}"
    if not better + worse:
        return words
    try:
        from scipy.stats import wilcoxon
    except ImportError as error:
        raise PerceptError(f"a paired test needs scipy: {WITH_PLOTS}") from error
    return f"{words}; Wilcoxon's p = {wilcoxon(before, after).pvalue:.2g}"


def save(picture: Figure, output: Path) -> None:
    """Write a picture; OutputError if that fails."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        whole = WholeFile(output)
        try:
            # Without the date, equal results are equal files.
            dated: Mapping[str, Any] = {".svg": {"Date": None}, ".pdf": {"CreationDate": None}}
            form = output.suffix.lower()
            with _look():
                picture.savefig(
                    whole.file,
                    format=form[1:],
                    dpi=150,
                    metadata=dated.get(form),
                    bbox_inches="tight",
                )
            whole.place()
        finally:
            whole.drop()
    except OSError as error:
        raise OutputError(f"cannot write {shown(output)}: {unwritable(error)}") from error


def _axes(*, square: bool = False) -> tuple[Figure, Axes]:
    """Axes of a figure of its own; no window is opened."""
    with _look():
        from matplotlib.figure import Figure

        made = Figure(figsize=(SIZE[1], SIZE[1]) if square else SIZE, layout="constrained")
        axes = made.subplots()
    axes.grid(alpha=0.3)
    axes.set_axisbelow(True)
    return made, axes


def _look() -> Any:
    """A context in which figures look alike, whatever the user's own settings."""
    try:
        from matplotlib import rc_context
    except ImportError as error:
        raise PerceptError(f"a plot needs matplotlib: {WITH_PLOTS}") from error
    look: Any = {"svg.hashsalt": "percept", "axes.spines.top": False, "axes.spines.right": False}
    return rc_context(look)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        return float(value)
    except ValueError:
        return None

"""`percept explain`."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from percept_cli.cli import options as shared
from percept_cli.errors import PerceptError, one_line, shown
from percept_cli.inputs.saved import read_saved
from percept_cli.inputs.stored import Remote
from percept_cli.outputs.explanation import explanation
from percept_cli.results import Result


def explain(
    results: shared.SavedResults,
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="Image: its path, or the end of it; else the worst."),
    ] = None,
) -> None:
    """Say in two or three sentences what the numbers of a pair tell, as far as they go.

    Where it differs, and whether colours, edges or shapes do: moved, recoloured, added, removed.

    Example: percept explain results.json home.png
    """
    saved = read_saved(results)
    for number, result in enumerate(_named(saved.results, name, results)):
        if number:
            print()
        print(one_line(result.name))
        for sentence in explanation(result, saved.settings):
            print(f"  {one_line(sentence)}")


def _named(results: Sequence[Result], name: str | None, file: Path | Remote) -> Sequence[Result]:
    """The results of that name, or the worst; PerceptError if there is none."""
    if not results:
        raise PerceptError(f"{shown(file)}: holds no pair: there is nothing to explain")
    if name is None:
        return [max(results, key=lambda result: (result.size or 0.0, bool(result.error)))]
    wanted = Path(name).parts
    names = [{one for one in (r.candidate, r.reference) if one is not None} for r in results]
    found = [
        result
        for result, own in zip(results, names, strict=True)
        if any(Path(one).parts[-len(wanted) :] == wanted for one in own)
    ]
    if not found:
        ends = sorted({Path(one).name for own in names for one in own})
        near = difflib.get_close_matches(Path(name).name, ends, n=1)
        hint = f"did you mean {one_line(near[0])}?" if near else f"it has {len(results)} others"
        raise PerceptError(f"{shown(file)}: no pair {one_line(name)}: {hint}")
    return found

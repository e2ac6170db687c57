"""`percept merge`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.destination import Destination
from percept_cli.cli.exits import CHANGED, INCOMPLETE
from percept_cli.cli.github import github_for
from percept_cli.cli.reports import report_of_saved
from percept_cli.cli.run import Target, refused_unpaired
from percept_cli.cli.sources import refuse_twice
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.gate.check import verdict
from percept_cli.gate.merge import merged
from percept_cli.inputs.saved import Saved, read_saved
from percept_cli.inputs.stored import Remote, place_of, resolved

SHOWN = 20


def merge(
    results: Annotated[
        list[Any],
        typer.Argument(
            parser=place_of,
            metavar="RESULTS...",
            help="JSON of all shards, in any order: files, or URLs.",
        ),
    ],
    json: shared.Json = None,
    junit: shared.JUnit = None,
    report: shared.ReportTo = None,
    report_copy: shared.ReportCopy = False,
    root: shared.Root = None,
    allow_unpaired: shared.AllowUnpaired = False,
    limit: shared.Limit = SHOWN,
    quiet: shared.Quiet = False,
) -> None:
    """Put the results of all shards together: one report, one verdict, one exit code.

    What comes out is what 'check' or 'compare' would have said without --shard. A shard that is
    missing, given twice, or made with other settings is an error.

    Examples:

        percept merge shard-*/results.json

        percept merge shard-*/results.json --json all.json --report report --junit report.xml
    """
    talk = Talk(quiet)
    whole = merged([read_saved(file) for file in results])
    if (report_copy or root) and not report:
        option = "--report-copy" if report_copy else "--root"
        raise PerceptError(f"{option}: name the folder with --report DIR")
    for target in (json, junit):
        if target and resolved(target) in map(resolved, results):
            raise PerceptError(f"{shown(target)} is a shard and would be overwritten: name another")
    judged = whole.summary.verdict is not None
    targets = [(None, "check" if judged else "table"), (json, "json"), (junit, "junit")]
    refuse_twice((json, junit, report))
    destinations: list[Target] = [
        _destination(target, form, whole, limit)
        for target, form in targets
        if target or form in ("check", "table")
    ]
    if judged:
        destinations += github_for(lambda: whole.settings, report)
    if report:
        with _by_itself(talk):
            report_of_saved(report, whole, results, root or [], talk, copy=report_copy)
    failing = sum(bool(result.failures) for result in whole.results)
    for destination in reversed(destinations):  # Who is told last is told if something went wrong.
        if judged:
            broken = bool(talk.errors) or whole.summary.verdict == "incomplete"
            whole.summary.verdict = verdict(whole.summary, failing, broken=broken)
        with _by_itself(talk):
            for result in whole.results:
                destination.write(result)
            destination.close(whole.summary)
    raise typer.Exit(_exit_code(whole, allow_unpaired, talk))


@contextmanager
def _by_itself(talk: Talk) -> Iterator[None]:
    """Let an output that cannot be written cost only itself."""
    try:
        yield
    except OutputError as error:
        talk.error(str(error))


def _destination(target: Path | Remote | None, form: str, whole: Saved, limit: int) -> Destination:
    settings = whole.settings
    return Destination(
        target, form, None, settings.layers, lambda: settings, limit=limit, live=False
    )


def _exit_code(whole: Saved, allow_unpaired: bool, talk: Talk) -> int:
    """What the run without shards would have ended with."""
    summary = whole.summary
    if talk.errors:
        return INCOMPLETE
    if summary.verdict:
        return {"passed": 0, "failed": CHANGED, "incomplete": INCOMPLETE}[summary.verdict]
    unpaired = refused_unpaired(summary, talk, allow_unpaired)
    failed = summary.counts["error"] or unpaired or not (summary.scored and summary.complete)
    return INCOMPLETE if failed else 0

"""`percept report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from percept_cli.cli import options as shared
from percept_cli.cli.reports import report_of_saved
from percept_cli.cli.talk import Talk
from percept_cli.cli.viewing import open_report
from percept_cli.inputs.saved import read_saved
from percept_cli.inputs.stored import here


def report(
    results: shared.SavedResults,
    output: Annotated[
        Path,
        typer.Option(
            parser=here,
            metavar="DIR",
            help="Folder for the report.",
            rich_help_panel=shared.RESULTS,
        ),
    ] = Path("percept-report"),
    report_copy: shared.ReportCopy = False,
    open_page: shared.OpenReport = False,
    root: shared.Root = None,
    quiet: shared.Quiet = False,
) -> None:
    """Make the report of results that are saved, to open in a browser.

    It shows the images and heat maps that are still where the results name them, below the folders
    that --root allows.

    Examples:

        percept report results.json

        percept report results.json --output report --report-copy
    """
    saved = read_saved(results)
    talk = Talk(quiet)
    report_of_saved(output, saved, [results], root or [], talk, copy=report_copy)
    if open_page:
        open_report(output, talk)

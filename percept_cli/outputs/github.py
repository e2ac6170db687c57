"""A check's results for GitHub Actions: annotations, and the summary of the job in Markdown."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator, Sequence
from pathlib import PurePath

from percept_cli.errors import one_line
from percept_cli.outputs.words import figure, jnd_words, settings_line, summary_line
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary

MOST_ANNOTATIONS = 10
"""GitHub shows no more errors of one step."""
MOST_ROWS = 20
MOST_NEAREST = 5
"""Rows of a check that passed: the pairs nearest to their threshold."""
MARKUP = "\\`*_{}[]()#+!|~$:@<>&\"'"
"""What means something to Markdown or HTML."""
LONGEST = 160
"""Most characters of a name in a table."""


def annotation_lines(results: Sequence[Result], checkout: str | None = None) -> Iterator[str]:
    """A workflow command for each of the worst pairs that do not pass.

    Files are named from the `checkout` on, the repository's folder, where they lie in it.
    """
    failing = _worst([result for result in results if not _passes(result)])
    shown = failing if len(failing) <= MOST_ANNOTATIONS else failing[: MOST_ANNOTATIONS - 1]
    for result in shown:
        title = _property(f"{result.status}: {result.name}")
        named = _from_checkout(result.reference, checkout) if result.reference else None
        file = f"file={_property(named)}," if named else ""
        yield f"::error {file}title={title}::{_message(_why(result))}"
    if left := len(failing) - len(shown):
        yield f"::error title=percept::{left} more do not pass: the summary of the job counts them"


def _from_checkout(file: str, checkout: str | None) -> str:
    if checkout is None or "://" in file:
        return file
    path = os.path.relpath(os.path.realpath(file), os.path.realpath(checkout))
    return file if path.startswith("..") else PurePath(path).as_posix()


def job_summary(
    results: Sequence[Result],
    summary: Summary,
    settings: Settings,
    report: str | None = None,
    artifacts: str | None = None,
) -> str:
    """Markdown: the verdict, the worst pairs, where the report is, what made the numbers.

    `report` is the path of the report's page, `artifacts` the address of what the run uploads.
    """
    failing = [result for result in results if not _passes(result)]
    differing = [result for result in results if result.total]
    rows = _worst(failing)[:MOST_ROWS] or _worst(differing)[:MOST_NEAREST]
    parts = [f"## percept: {summary.verdict}", html.escape(summary_line(summary))]
    if rows:
        parts.append("\n".join(_table(rows)))
    if len(failing) > MOST_ROWS:
        parts.append(f"… and {len(failing) - MOST_ROWS:,} more do not pass.")
    if report:
        place = f"[artifacts of this run]({artifacts})" if artifacts else "artifacts of this run"
        parts.append(f"The report is {_code(report)}: once uploaded, find it among the {place}.")
    made = html.escape(one_line(settings_line(settings)))
    parts.append(f"<details><summary>Settings</summary>\n\n{made}\n\n</details>")
    return "\n\n".join(parts) + "\n"


def _passes(result: Result) -> bool:
    return not result.failures and result.status != "error"


def _worst(results: Sequence[Result]) -> list[Result]:
    """What has no number first, then what differs most."""
    return sorted(
        results, key=lambda result: float("-inf") if result.size is None else -result.size
    )


def _why(result: Result) -> str:
    reasons = one_line(result.error or "; ".join(result.failures))
    if result.regions:
        region = result.regions[0]
        reasons += f"; at {region.x},{region.y} {region.width}x{region.height}"
        if len(result.regions) > 1:
            reasons += f" and {len(result.regions) - 1} more"
    return reasons


def _table(rows: Sequence[Result]) -> Iterator[str]:
    jnd = any(row.jnd for row in rows)
    yield f"| status | image | peak | total |{' jnd |' * jnd} why |"
    yield f"| --- | --- | ---: | ---: |{' ---: |' * jnd} --- |"
    for row in rows:
        cells = [row.status, _code(row.name), figure(row.peak), figure(row.total)]
        cells += [_cell(jnd_words(row.jnd)) if row.jnd else ""] * jnd
        cells.append(_cell(_why(row)))
        yield f"| {' | '.join(cells)} |"


def _code(text: str) -> str:
    """Text as code, whatever is in it."""
    line = one_line(text)
    return f"<code>{_cell(line if len(line) <= LONGEST else f'…{line[-LONGEST:]}')}</code>"


def _cell(text: str) -> str:
    """Text that neither Markdown nor HTML takes for more."""
    return "".join(f"&#{ord(c)};" if c in MARKUP else c for c in text)


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(one_line(text)).replace(":", "%3A").replace(",", "%2C")

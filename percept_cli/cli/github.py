"""What GitHub Actions shows of a check, when it runs there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from percept_cli.errors import OutputError, shown
from percept_cli.results import Result, Settings
from percept_cli.summary import Summary


@dataclass
class GitHub:
    """Keeps the results, then writes annotations and the summary of the job."""

    settings: Callable[[], Settings]
    report: Path | None
    shows_summary: bool = False
    _results: list[Result] = field(default_factory=list)

    def write(self, result: Result) -> None:
        """Keep the result."""
        self._results.append(result)

    def close(self, summary: Summary) -> None:
        """Write what GitHub shows."""
        from percept_cli.outputs.github import annotation_lines, job_summary

        for line in annotation_lines(self._results, os.environ.get("GITHUB_WORKSPACE")):
            # The runner reads commands there too; standard output belongs to the results.
            print(line, file=sys.stderr, flush=True)
        file = os.environ.get("GITHUB_STEP_SUMMARY")
        if not file:
            return
        page = shown(self.report / "index.html") if self.report else None
        text = job_summary(self._results, summary, self.settings(), page, _artifacts())
        try:
            with open(file, "a", encoding="utf-8", errors="backslashreplace") as stream:
                stream.write(text)
        except OSError as error:
            raise OutputError(f"cannot write the job summary {file}: {error.strerror}") from error

    def drop(self) -> None:
        """Nothing: it keeps no file open."""


def github_for(settings: Callable[[], Settings], report: Path | None) -> list[GitHub]:
    """What writes for GitHub Actions, if the command runs there."""
    return [GitHub(settings, report)] if os.environ.get("GITHUB_ACTIONS") == "true" else []


def _artifacts() -> str | None:
    names = ("GITHUB_SERVER_URL", "GITHUB_REPOSITORY", "GITHUB_RUN_ID")
    server, repository, run = map(os.environ.get, names)
    if not (server and repository and run):
        return None
    return f"{server}/{repository}/actions/runs/{run}#artifacts"

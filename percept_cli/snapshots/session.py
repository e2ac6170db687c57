"""What is known of a whole test session: baselines nobody asked for, and the report.

Under pytest-xdist each worker keeps its part and hands it on when it ends; the process that started
the workers puts the parts together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from percept_cli.cli.reports import Reports
    from percept_cli.results import Settings
    from percept_cli.scoring.scored import Scored

BASELINES = "baselines"
"""Folder beside the tests that holds their baselines."""


@dataclass
class Session:
    """One process's part of a session, or all of it."""

    report: Path | None = None
    output: Path = field(default_factory=Path)
    """Folder of what fails; nothing is removed outside of it."""
    update: bool = False
    patterns: tuple[str, ...] = ()
    """What modules with tests are called."""
    asked: set[str] = field(default_factory=set)
    """Paths of baselines that a test asked for."""
    owners: dict[str, tuple[str, str | None, int]] = field(default_factory=dict)
    """A baseline's path → the test that asked for it, by which name or as which of its images."""
    collected: dict[str, tuple[str, str]] = field(default_factory=dict)
    """A test's id → its module's path, and how the names of its baselines begin."""
    finished: set[str] = field(default_factory=set)
    """Tests that went through to their end, whatever their pictures came to."""
    chosen: set[str] = field(default_factory=set)
    """Modules of which only some tests were asked for by their ids."""
    results: list[dict[str, Any]] = field(default_factory=list)
    """For the report, as JSON has them."""
    settings: dict[str, Any] | None = None
    said: str = ""
    """Where the report is, or why it is not."""

    def document(self) -> dict[str, Any]:
        """This part, for the process that puts parts together."""
        return {
            "asked": sorted(self.asked),
            "collected": self.collected,
            "finished": sorted(self.finished),
            "results": self.results,
            "settings": self.settings,
        }

    def add(self, part: Mapping[str, Any]) -> None:
        """Take another process's part."""
        self.asked.update(part["asked"])
        self.collected.update({name: (of[0], of[1]) for name, of in part["collected"].items()})
        self.finished.update(part["finished"])
        self.results += part["results"]
        if not self.settings or (part["settings"] and part["settings"]["weights_sha256"]):
            self.settings = part["settings"] or self.settings

    def keep(self, scored: Scored, settings: Settings, test: str) -> None:
        """Keep a picture's result for the report, and write its map there."""
        notes = (f"test {test}", *scored.result.notes)
        scored = replace(scored, result=replace(scored.result, notes=notes))
        result = self._reports(settings).with_overlay(scored)
        self.results.append(result.document())
        if not self.settings or settings.weights_sha256:
            self.settings = settings.document()

    def write_report(self) -> Path | None:
        """Write the report of all results; where it is. OutputError if that fails."""
        from percept_cli.errors import OutputError
        from percept_cli.gate.check import verdict
        from percept_cli.results import Result, Settings
        from percept_cli.summary import Summary
        from percept_cli.writing import remove

        if not (self.report and self.settings):
            return None
        results = [Result.of(document) for document in self.results]
        results.sort(key=lambda result: result.name)
        summary = Summary.over(results)
        summary.complete = True
        summary.verdict = verdict(summary, sum(bool(result.failures) for result in results))
        reports = self._reports(Settings.of(self.settings))
        for result in results:
            reports.write(result)
        reports.close(summary)
        for result in results:
            if not result.failures and result.candidate != result.reference:
                with suppress(OSError, OutputError):
                    remove(Path(result.candidate or ""), self.output)
        return self.report / "index.html"

    def _reports(self, settings: Settings) -> Reports:
        from percept_cli.cli.reports import Reports

        assert self.report
        return Reports(self.report, lambda: settings, copy=True)

    def unused(self) -> list[Path]:
        """Baselines that no test asked for, and that none would have that did not get to it.

        Only what the fixture may have made: pictures in folders that are called like modules with
        tests. Variants belong to `percept check`.
        """
        return sorted(set(self._unused()))

    def _unused(self) -> Iterator[Path]:
        waiting: dict[str, list[str]] = {}
        for test, (file, start) in self.collected.items():
            if test not in self.finished:
                waiting.setdefault(file, []).append(start)
        modules = {Path(module) for module, _ in self.collected.values()}
        for folder in {module.parent for module in modules}:
            for path in (folder / BASELINES).glob("*/*.png"):
                module = folder / f"{path.parent.name}.py"
                ours = any(fnmatch(module.name, pattern) for pattern in self.patterns)
                if not ours or "~" in path.name or str(path.resolve()) in self.asked:
                    continue
                if module in modules:
                    starts = waiting.get(str(module), [])
                    belongs = any(path.stem == s or path.stem.startswith(f"{s}.") for s in starts)
                    if not belongs and str(module) not in self.chosen:
                        yield path
                elif not module.exists():
                    yield path

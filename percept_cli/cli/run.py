"""One run of a command: from its scored pairs to its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from percept_cli.cli.heatmaps import Heatmaps
from percept_cli.cli.interrupts import interrupted_code, uninterrupted
from percept_cli.cli.reports import Reports
from percept_cli.cli.talk import Talk
from percept_cli.errors import OutputError, PerceptError, shown
from percept_cli.inputs.pairs import Pair
from percept_cli.outputs.words import summary_notes
from percept_cli.results import Result, Verdict
from percept_cli.scoring.scored import Scored
from percept_cli.summary import MOST_GROUPS, Summary


class Target(Protocol):
    """Takes a run's results, then its end."""

    @property
    def shows_summary(self) -> bool:
        """Whether people read the summary there."""

    def write(self, result: Result) -> None:
        """Take one result."""

    def close(self, summary: Summary) -> None:
        """Take the end."""

    def drop(self) -> None:
        """Leave nothing behind of what was not closed."""


def is_incomplete(
    summary: Summary, talk: Talk, allow_unpaired: bool, *, part: bool = False
) -> bool:
    """Whether something could not be compared; says so where no error of a pair did."""
    unpaired = refused_unpaired(summary, talk, allow_unpaired)
    return bool(summary.counts["error"] or unpaired or not (summary.scored or part))


def refused_unpaired(summary: Summary, talk: Talk, allow_unpaired: bool) -> int:
    """How many files without a partner make a run incomplete; says so, or that no pair is left."""
    counts = summary.counts
    unpaired = 0 if allow_unpaired else counts["missing"] + counts["new"]
    if summary.complete and summary.pairs and not (summary.scored or counts["error"]):
        talk.note("nothing was compared: no file has a partner of the same path")
    elif unpaired:
        talk.note(f"{unpaired} file(s) have no partner: --allow-unpaired accepts that")
    return unpaired


def say_groups(summary: Summary, talk: Talk) -> None:
    """Say why there are no groups, where there are too many."""
    if summary.too_many_groups:
        talk.error(
            f"--by {summary.by}: more than {MOST_GROUPS} values: none is summed up by itself"
        )


@dataclass
class Run:
    """Takes scored pairs to the destinations, whatever becomes of single ones."""

    destinations: list[Target]
    """Results are read in the first of them while they come; it is closed last."""
    maps: Heatmaps | None
    talk: Talk
    single: bool = False
    """Whether the user named two images, not folders or a manifest."""
    judge: Callable[..., Verdict] | None = None
    """The verdict on a run with so many failing images."""
    report: Reports | None = None
    left_out: tuple[str, ...] = ()
    """Files that are no images."""
    part: bool = False
    """Whether this is one of several shards, which may hold no pair."""
    summary: Summary = field(default_factory=Summary)
    last: Scored | None = None
    """Of two images what became of them, with its map."""
    failing: int = 0
    broken: bool = False
    """Whether something besides a pair went wrong."""
    interrupted: int = 0
    """The exit code of a run that was interrupted."""

    def take(self, scored: Iterator[tuple[Pair, Scored]]) -> None:
        """Write all results, and the end.

        Raises OutputError if they cannot be written, PerceptError if nothing could be compared.
        """
        try:
            self._take_all(scored)
            self._close()
        finally:
            for destination in self.destinations:
                destination.drop()

    def _take_all(self, scored: Iterator[tuple[Pair, Scored]]) -> None:
        try:
            for pair, one in scored:
                self._take(pair, one)
            self.summary.complete = True
        except KeyboardInterrupt:
            self.interrupted = interrupted_code()
            self.talk.error("interrupted: results end here")
        except OutputError:
            raise
        except PerceptError as error:
            if not self.summary.pairs:
                raise
            self.talk.error(str(error))
            self.broken = True
        if not (self.summary.pairs or self.part) and self.summary.complete:
            raise PerceptError("nothing to compare: no pair was named")
        self.summary.left_out = self.left_out

    def _close(self) -> None:
        """Write the end everywhere; whoever is told last is told if something went wrong."""
        self._judge()
        self._close_report()
        for destination in reversed(self.destinations):
            self._judge()
            with self._each_by_itself(destination):
                destination.close(self.summary)
            if partial := getattr(destination, "partial", None):
                self.talk.error(f"what there is stands in {shown(partial)}")
        if not any(destination.shows_summary for destination in self.destinations):
            for line in summary_notes(self.summary):
                self.talk.note(line)

    def _judge(self) -> None:
        if self.judge:
            self.summary.verdict = self.judge(self.summary, self.failing, broken=self.broken)

    @contextmanager
    def _each_by_itself(self, destination: Target) -> Iterator[None]:
        """Let a destination that cannot be written cost only itself, unless it is the last one."""
        try:
            yield
        except OutputError as error:
            self.destinations = [each for each in self.destinations if each is not destination]
            if not self.destinations:
                raise
            self.broken = True
            self.talk.error(str(error))

    def _take(self, pair: Pair, scored: Scored) -> None:
        result = scored.result
        if result.error:
            self.talk.error(result.error)
        if self.report:
            result = self._with_overlay(self.report, scored)
        if self.maps:
            result = self._with_heatmap(self.maps, pair, replace(scored, result=result))
        with uninterrupted():
            for destination in self.destinations:
                with self._each_by_itself(destination):
                    destination.write(result)
            if self.report:
                self.report.write(result, pair)
            self.summary.add(result)
            self.last = replace(scored, result=result) if self.single else None
            self.failing += bool(result.failures)

    def _with_overlay(self, report: Reports, scored: Scored) -> Result:
        try:
            return report.with_overlay(scored)
        except OutputError as error:
            self.broken = True
            self.talk.error(str(error))
            return scored.result

    def _close_report(self) -> None:
        if self.report:
            try:
                self.report.close(self.summary)
                self.talk.note(f"report: {shown(self.report.folder / 'index.html')}")
            except KeyboardInterrupt:
                self.broken = True
                self.interrupted = interrupted_code()
                self.talk.error("interrupted: there is no report")
            except OutputError as error:
                self.broken = True
                self.talk.error(str(error))

    def _with_heatmap(self, maps: Heatmaps, pair: Pair, scored: Scored) -> Result:
        if self.single and scored.result.total == 0 and scored.map is None:
            same = scored.result.status == "identical"
            why = "the images are identical" if same else "nothing that counts differs"
            self.talk.note(f"no heat map written: {why}")
        try:
            return replace(scored.result, heatmap_file=maps.write(pair, scored))
        except OutputError as error:
            self.broken = True
            self.talk.error(str(error))
            return scored.result

"""The pytest fixture `percept_snapshot`: an image must look like its baseline.

Nothing here imports more than pytest before a snapshot is taken, nor torch before one has changed.
"""

from __future__ import annotations

import inspect
import logging
import os
import re
import zlib
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from percept_cli.snapshots.session import BASELINES, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from percept_cli.gate.check import Check
    from percept_cli.gate.rules import Rules
    from percept_cli.scoring.scored import Scored

SHOWN_REGIONS = 3
LONGEST = 150
"""Most characters of a file's name that come from a test's."""

SESSION = pytest.StashKey[Session]()
NODEID = pytest.StashKey[str]()
FAILURES = pytest.StashKey[list[str]]()
"""What a test's snapshots came to, until it is told at the test's end."""


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of the plugin."""
    group = parser.getgroup("percept", "images that must look like their baselines")
    group.addoption(
        "--percept-update", action="store_true", help="accept the images of this run as baselines"
    )
    group.addoption(
        "--percept-output",
        metavar="DIR",
        default="percept-failures",
        help="folder for candidates and heat maps of failures (default: %(default)s)",
    )
    group.addoption("--percept-report", metavar="DIR", help="folder for a report of all snapshots")
    # Not one option with a value that may be left out: it would take the file behind it for one.
    for flag, what in (("", "list"), ("=prune", "remove")):
        group.addoption(
            f"--percept-unused{flag}",
            action="store_const",
            const=what,
            dest="percept_unused",
            help=f"{what} baselines that no test asked for",
        )
    parser.addini("percept_peak_threshold", "largest peak that passes (default: normal)")
    parser.addini("percept_workers", "threads that compare (default: the cores there are)")


def pytest_configure(config: pytest.Config) -> None:
    """Begin what is known of the session."""
    report = config.getoption("--percept-report")
    folder = Path(config.invocation_params.dir, report) if report else None
    session = Session(
        folder,
        config.rootpath / str(config.getoption("--percept-output")),
        bool(config.getoption("--percept-update")),
        tuple(config.getini("python_files")),
    )
    part = "--lf" if config.getoption("lf", False) else None
    for argument in config.args:
        path, of, _ = str(argument).partition("::")
        if of and not Path(config.invocation_params.dir, path).exists():
            part = str(argument)
        elif of:
            session.chosen.add(str(Path(config.invocation_params.dir, path).resolve()))
    if part and config.getoption("percept_unused"):
        raise pytest.UsageError(
            f"--percept-unused: with {part} not all tests of a file are looked at: leave one out"
        )
    config.stash[SESSION] = session


def pytest_itemcollected(item: pytest.Item) -> None:
    """Note whose baselines the test's would be."""
    module = str(item.path.resolve())
    item.stash[NODEID] = item.nodeid  # pytest-xdist adds a group's name to it later.
    item.config.stash[SESSION].collected[item.nodeid] = module, _of_test(item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Tell of all snapshots that do not pass when the test is at its end."""
    failed = True
    try:
        outcome = yield
        failed = False
    finally:
        failures = item.stash.get(FAILURES, [])
        if failures and failed:
            item.add_report_section("call", "percept", _together(failures))
            failures.clear()
    item.config.stash[SESSION].finished.add(_nodeid(item))
    _tell(failures)
    return outcome


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take what a worker of pytest-xdist knows."""
    if part := getattr(node, "workeroutput", {}).get("percept"):
        node.config.stash[SESSION].add(part)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Hand on what this worker knows; where all is known, write the report."""
    known = session.config.stash[SESSION]
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["percept"] = known.document()
    elif known.report:
        from percept_cli.errors import PerceptError

        try:
            known.said = str(known.write_report() or "no snapshot was compared")
        except PerceptError as error:
            known.said = str(error)
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Write the report, and say which baselines nobody asked for."""
    session = config.stash[SESSION]
    if hasattr(config, "workerinput"):
        return  # A worker knows only its own tests.
    if session.said:
        terminalreporter.write_line(f"percept report: {session.said}")
    if what := config.getoption("percept_unused"):
        unused = session.unused()
        done = "removed" if what == "remove" else "--percept-unused=prune removes them"
        terminalreporter.section("percept: baselines that no test asked for")
        for path in unused:
            terminalreporter.write_line(str(path))
            if what == "remove":
                _remove(path, terminalreporter)
        terminalreporter.write_line(f"{len(unused)} unused; {done}" if unused else "none")


def _remove(baseline: Path, terminalreporter: pytest.TerminalReporter) -> None:
    from percept_cli.errors import OutputError
    from percept_cli.writing import remove

    try:
        remove(baseline, baseline.parents[1])
    except (OSError, OutputError) as error:
        terminalreporter.write_line(f"not removed: {error}", red=True)


@pytest.fixture
def percept_snapshot(request: pytest.FixtureRequest) -> Iterator[Snapshot]:
    """Call it with an image: the test fails unless the image looks like its baseline."""
    yield Snapshot(request)
    # What was taken after the test itself, in a fixture's end, is told here.
    _tell(request.node.stash.get(FAILURES, []))


class Snapshot:
    """Compares images of one test with their baselines, `baselines/<file>/<test>.png` beside it."""

    def __init__(self, request: pytest.FixtureRequest) -> None:
        config, path = request.config, request.path
        self._baselines = path.parent / BASELINES
        self._folder = self._baselines / path.stem
        below = path.relative_to(config.rootpath) if config.rootpath in path.parents else path
        self._failures = config.rootpath / str(config.getoption("--percept-output"))
        self._output = self._failures / below.with_suffix("").relative_to(below.anchor)
        if self._baselines.resolve() in (
            self._failures.resolve(),
            *self._failures.resolve().parents,
        ):
            raise pytest.UsageError(
                f"--percept-output {self._failures}: holds baselines: name another folder"
            )
        self._config, self._node = config, request.node
        self._session = config.stash[SESSION]
        self._test = _of_test(_nodeid(self._node))
        self._taken: list[str] = []

    def __call__(
        self, image: Any, name: str | None = None, *, strict: bool = False, **options: Any
    ) -> None:
        """Fail the test unless the image looks like the baseline of that name; else the test's.

        The image is a path, the bytes of an image file or a file with them, a Pillow image, a
        Matplotlib figure, a Playwright page or locator, an H×W, H×W×C or 1×H×W×C array, or a C×H×W
        or 1×C×H×W tensor: uint8, or floating point in 0..1.

        All snapshots of a test are compared and told of at its end; with `strict` one that does
        not pass ends it. The options are those of `percept check`: preset, layers, layer_weights,
        distance, raw, blur, tolerance, floor, area, colour, shrink, resize, align, size_tolerance,
        background, frame, ignore, weights, precision, device, max_pixels and max_bytes decide what
        is measured, peak_threshold, threshold, jnd and layer_thresholds what passes. A `mask` is an
        image, as a path, array or Pillow image, whose light parts do not count.
        """
        __tracebackhide__ = True
        from percept_cli.errors import PerceptError

        wrong = False
        try:
            failure = self._compared(image, name, options)
        except PerceptError as error:
            failure, wrong = str(error), True
        if not failure:
            return
        failures = self._node.stash.setdefault(FAILURES, [])
        failures.append(f"{_caller()}: {failure}")
        if wrong or strict:
            _tell(failures)

    def _compared(self, image: Any, name: str | None, options: dict[str, Any]) -> str | None:
        """Why the image does not pass; PerceptError for what cannot be compared."""
        from percept_cli.errors import PerceptError
        from percept_cli.inputs.files import size_of
        from percept_cli.snapshots.judging import in_own_words
        from percept_cli.snapshots.pictures import encoded

        file = self._name(name)
        baseline = self._folder / file
        self._session.asked.add(str(baseline.resolve()))
        candidate = encoded(image)
        self._take(file, baseline, name)
        rules = self._rules(file, options)
        workers = _whole_number("percept_workers", self._config.getini("percept_workers"))
        check = partial(_check, rules, workers)
        most = rules.recipe_of_others.options.max_pixels
        size_of(candidate, "percept_snapshot", most, decode=self._session.update)
        if self._session.update:
            self._accept(candidate, baseline)
            return None
        if baseline.exists() and baseline.read_bytes() == candidate:
            self._forget(file)
            if self._session.report:
                self._judged(check, baseline, baseline, file)
            return None
        written = self._written(file, candidate)
        if not baseline.exists():
            if self._session.report:
                self._judged(check, None, written, file)
            return f"no baseline {baseline}: --percept-update accepts {written}"
        scored = self._judged(check, baseline, written, file)
        if scored.result.error:
            raise PerceptError(in_own_words(scored.result.error))
        if not scored.result.failures:
            self._forget(file, candidate=not self._session.report)
            return None
        return "\n".join(_report(scored, baseline, written, self._failures))

    def _take(self, file: str, baseline: Path, name: str | None) -> None:
        """PerceptError where another snapshot of this session has that baseline."""
        from percept_cli.errors import PerceptError

        asked = _nodeid(self._node), name, 0 if name else self._taken.count(self._test)
        first = self._session.owners.setdefault(os.path.abspath(baseline), asked)
        if first != asked:
            raise PerceptError(
                f"percept_snapshot: {file} is the baseline of another snapshot of {first[0]}: "
                "give this one another name"
            )

    def _rules(self, file: str, options: dict[str, Any]) -> Rules:
        """How the image is judged; PerceptError for options that mean nothing."""
        from percept_cli.snapshots.judging import rules_for

        mask = options.pop("mask", None)
        if mask is not None:
            options = options | {
                "ignore": [*_listed(options.get("ignore")), self._mask(file, mask)]
            }
        threshold = self._config.getini("percept_peak_threshold")
        return rules_for(self._config.rootpath, threshold, options)

    def _judged(
        self, made: Callable[[], Check], baseline: Path | None, candidate: Path, file: str
    ) -> Scored:
        from percept_cli.inputs.pairs import Pair

        check = made()
        ((_, scored),) = check.results([Pair(baseline, candidate, f"{self._folder.name}/{file}")])
        if self._session.report:
            self._session.keep(scored, check.scorer.settings(), _nodeid(self._node))
        return scored

    def _mask(self, file: str, mask: Any) -> str:
        """The path of a mask, which is written beside the candidate if it has none."""
        from percept_cli.snapshots.pictures import encoded

        if isinstance(mask, str | Path):
            return str(mask)
        return str(self._written(f"{Path(file).stem}~mask.png", encoded(mask)))

    def _name(self, name: str | None) -> str:
        """The file's name: the test's with the name given, or numbered from its second image on."""
        from percept_cli.errors import PerceptError

        stem = f"{self._test}.{_file_name(name)}" if name else self._test
        if name and stem in self._taken:
            raise PerceptError(f"percept_snapshot: {name!r} is taken twice in this test")
        count = self._taken.count(stem) + 1
        self._taken.append(stem)
        return f"{stem}.png" if count == 1 else f"{stem}.{count}.png"

    def _accept(self, candidate: bytes, baseline: Path) -> None:
        from percept_cli.writing import write_whole

        if not baseline.exists() or baseline.read_bytes() != candidate:
            write_whole(candidate, baseline, self._baselines)
        self._forget(baseline.name)

    def _written(self, file: str, content: bytes) -> Path:
        from percept_cli.writing import write_whole

        path = self._output / file
        write_whole(content, path, self._failures)
        return path

    def _forget(self, file: str, *, candidate: bool = True) -> None:
        """Remove what an earlier run left of a snapshot that passes now."""
        stem = Path(file).stem
        for name in (*([file] if candidate else ()), f"{stem}~heatmap.png", f"{stem}~mask.png"):
            with suppress(OSError):
                (self._output / name).unlink()


def _check(rules: Rules, workers: int | None) -> Check:
    from percept_cli.gate.check import Check
    from percept_cli.scoring.cache import cache_for
    from percept_cli.scoring.memory import Memory

    cache = cache_for(True, logging.getLogger("percept").warning)
    return Check(rules, workers=workers, memory=Memory(cache, "pictures"))


def _report(scored: Scored, baseline: Path, candidate: Path, root: Path) -> Iterator[str]:
    """A failure in words; its heat map is written beside the candidate."""
    from percept_cli.cli.heatmaps import map_of
    from percept_cli.outputs.heatmap import save_heatmap
    from percept_cli.snapshots.judging import in_own_words

    result = scored.result
    reasons = in_own_words("; ".join(result.failures))
    yield f"{candidate.name} does not look like its baseline: {reasons}"
    for region in result.regions[:SHOWN_REGIONS]:
        place = f"{region.x},{region.y} {region.width}x{region.height}"
        yield f"  at {place}, peak {region.peak:.4g}"
    yield f"  baseline:  {baseline}"
    yield f"  candidate: {candidate}"
    found = map_of(scored)
    if found and scored.candidate is not None:
        heatmap = candidate.with_name(f"{candidate.stem}~heatmap.png")
        save_heatmap(heatmap, scored.candidate, found, root)
        yield f"  heat map:  {heatmap}"
    yield "  --percept-update accepts the candidate"


def _caller() -> str:
    """File and line of the test that took the snapshot."""
    frame = inspect.currentframe()
    while frame and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    return (
        f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "percept_snapshot"
    )


def _tell(failures: list[str]) -> None:
    """Fail the test if there are any; each is told once."""
    __tracebackhide__ = True
    if failures:
        text = _together(failures)
        failures.clear()
        pytest.fail(text, pytrace=False)


def _together(failures: Sequence[str]) -> str:
    head = [f"{len(failures)} snapshots do not pass"] if len(failures) > 1 else []
    return "\n\n".join((*head, *failures))


def _listed(regions: Any) -> list[Any]:
    return [] if regions is None else [regions] if isinstance(regions, str) else list(regions)


def _whole_number(name: str, text: str) -> int | None:
    from percept_cli.errors import PerceptError

    if text and not text.strip().isdigit():
        raise PerceptError(f"{name} = {text}: give a whole number")
    return int(text) if text else None


def _nodeid(item: pytest.Item) -> str:
    """The test's own, without what another plugin added."""
    return item.stash.get(NODEID, item.nodeid)


def _of_test(nodeid: str) -> str:
    """How the names of a test's baselines begin."""
    return _file_name(nodeid.partition("::")[2])


def _file_name(text: str) -> str:
    """The text as a file's name; where it had to be changed, a hash keeps it apart from others."""
    plain = re.sub(r"\[([\w.=+-]+)\]$", r"-\1", text.replace("::", "."))
    name = re.sub(r"[^\w.=+-]+", "-", plain).strip("-.")[:LONGEST]
    return name if name == plain else f"{name}-{zlib.crc32(text.encode()):08x}"

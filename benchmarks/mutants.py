"""Which small defects the tests notice: a sample of cosmic-ray's mutants of the core.

    pip install coverage cosmic-ray
    python benchmarks/mutants.py [COUNT]

Mutants of percept_cli/network, scoring and gate are drawn at random, with a fixed seed. Each is put
into a copy of the repository and meets the tests that run its line (for one run at the import,
any function of its module) and those of the file named after its module, the quickest first, for
SECONDS in all. So what survives may still be noticed by slower tests: the share is a lower bound.
Writes its table to docs/reliability.md.
"""

from __future__ import annotations

import ast
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from functools import cache
from itertools import chain
from pathlib import Path
from xml.etree import ElementTree

import coverage
from cosmic_ray.commands.init import _all_work_items
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_item import MutationSpec, TestOutcome
from measuring import ROOT, machine, table

PAGE = ROOT / "docs/reliability.md"
BEGIN, END = "<!-- mutants: benchmarks/mutants.py -->", "<!-- end -->"
PACKAGES = ("network", "scoring", "gate")
TESTS = [*(f"tests/{package}" for package in PACKAGES), "tests/cli", "tests/test_batch.py"]
COUNT, SECONDS = 90, 40.0
SEED = 1
"""Another one whenever survivors got tests: what was looked at proves nothing."""
CONTEXTS = """\
[run]
source = percept_cli
parallel = true
data_file = {folder}/.coverage
context = ${{PYTEST_CURRENT_TEST-}}
"""
PLUGIN = """\
import coverage

def pytest_runtest_logstart(nodeid):
    coverage.Coverage.current().switch_context(nodeid)
"""
Times = dict[str, float]
"""Test → seconds."""


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else COUNT
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "percept"
        tracked = subprocess.check_output(["git", "ls-files"], cwd=ROOT, text=True).splitlines()
        for file in tracked:
            (copy / file).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / file, copy / file)
        os.chdir(copy)
        os.environ |= {"PYTHONPATH": str(copy), "OMP_NUM_THREADS": "1"}
        times, of_line = measured()
        mutants = [
            spec
            for package in PACKAGES
            for item in _all_work_items(sorted(Path("percept_cli", package).glob("*.py")), {})
            for spec in item.mutations
        ]
        mutants = [spec for spec in mutants if not in_annotation(spec)]
        drawn = random.Random(SEED).sample(mutants, count)
        outcomes: Counter[tuple[str, str]] = Counter()
        survivors = []
        for number, spec in enumerate(drawn, 1):
            package = Path(spec.module_path).parent.name
            killed, diff = noticed(spec, times, of_line)
            outcomes[package, "killed" if killed else "survived"] += 1
            if not killed:
                survivors.append(diff)
            print(f"{number}/{count} {'killed' if killed else diff}", file=sys.stderr, flush=True)
        os.chdir(ROOT)
    write(outcomes, len(mutants), survivors)


def measured() -> tuple[Times, dict[tuple[str, int], set[str]]]:
    """How long each test function takes, and which of them run each line, in whatever process."""
    Path("contexts.ini").write_text(CONTEXTS.format(folder=Path.cwd()))
    Path("contexts.py").write_text(PLUGIN)
    command = [sys.executable, "-m", "pytest", "-q", "-n", "2", "-p", "contexts", *TESTS]
    environment = os.environ | {"COVERAGE_PROCESS_START": str(Path("contexts.ini").resolve())}
    subprocess.run([*command, "--junitxml=times.xml"], check=True, env=environment)
    subprocess.run(
        [sys.executable, "-m", "coverage", "combine", "-q", "--rcfile=contexts.ini"], check=True
    )
    times: Times = defaultdict(float)
    for case in ElementTree.parse("times.xml").iter("testcase"):
        path = case.attrib["classname"].replace(".", "/") + ".py"
        times[f"{path}::{case.attrib['name'].partition('[')[0]}"] += float(case.attrib["time"])
    data = coverage.CoverageData()
    data.read()
    of_line: dict[tuple[str, int], set[str]] = defaultdict(set)
    for file in data.measured_files():
        for line, contexts in data.contexts_by_lineno(file).items():
            tests = {context.split(" (")[0].partition("[")[0] for context in contexts}
            place = str(Path(file).resolve().relative_to(Path.cwd())), line
            of_line[place] = {test for test in tests if test in times}
    return times, of_line


def in_annotation(spec: MutationSpec) -> bool:
    """Whether a mutant changes nothing that runs: an annotation, or what is for type checkers."""
    place = tuple(spec.start_pos)
    return any(start <= place <= end for start, end in inert(Path(spec.module_path)))


@cache
def inert(module: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Where what never runs begins and ends, in lines and columns."""
    nodes: list[ast.AST | None] = []
    for node in ast.walk(ast.parse(module.read_text())):
        nodes += [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            nodes.append(node)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno or 0, node.end_col_offset or 0))
        for node in nodes
        if isinstance(node, ast.expr | ast.stmt)
    ]


@cache
def lines_that_use(module: Path, line: int) -> list[int]:
    """The line; of what runs once, at the import, the lines of the module's functions."""
    functions = [
        range(node.body[0].lineno, (node.end_lineno or 0) + 1)
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef)
    ]
    if any(line in function for function in functions):
        return [line]
    return [line, *chain.from_iterable(functions)]


def noticed(
    spec: MutationSpec, times: Times, of_line: dict[tuple[str, int], set[str]]
) -> tuple[bool, str]:
    """Whether a test fails on the mutant, and what the mutant is."""
    module = Path(spec.module_path)
    own = f"tests/{module.parent.name}/test_{module.name}"
    lines = lines_that_use(module, spec.start_pos[0])
    tests = set().union(*(of_line[str(module), line] for line in lines))
    tests |= {test for test in times if test.startswith(own)}
    chosen, total = [], 0.0
    for test in sorted(tests, key=lambda test: times[test]):
        total += times[test]
        if total <= SECONDS or not chosen:
            chosen.append(test)
    if not chosen:
        return False, f"{module}:{spec.start_pos[0]}: no test runs this line"
    command = f"{sys.executable} -m pytest -q -x -p no:cacheprovider {' '.join(chosen)}"
    result = mutate_and_test([spec], command, 10 * SECONDS)
    return result.test_outcome != TestOutcome.SURVIVED, result.diff or ""


def write(outcomes: Counter[tuple[str, str]], of: int, survivors: list[str]) -> None:
    rows = []
    for package in PACKAGES:
        killed, survived = (outcomes[package, what] for what in ("killed", "survived"))
        share = f"{killed / max(killed + survived, 1):.0%}"
        rows.append((package, str(killed + survived), str(killed), share))
    drawn = sum(outcomes.values())
    killed = drawn - len(survivors)
    rows.append(("all", str(drawn), str(killed), f"{killed / drawn:.0%}"))
    text = f"{drawn} of {of} mutants, {machine()}\n\n"
    text += table(("package", "mutants", "killed", "share"), rows)
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}")


if __name__ == "__main__":
    main()

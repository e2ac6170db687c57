"""`--report` of check and compare, and `percept report` from saved results."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, Run, clean_environment

FAST = ("--layers=conv1_1", "--peak-threshold=0.1")


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    """One changed image, one equal one, one without a candidate."""
    for folder in ("base", "new"):
        (tmp_path / folder).mkdir()
        shutil.copy(SAMPLES / "references/coffee.png", tmp_path / folder)
    shutil.copy(SAMPLES / "references/dashboard.png", tmp_path / "base")
    shutil.copy(SAMPLES / "edit-2/dashboard.png", tmp_path / "new")
    shutil.copy(SAMPLES / "references/article.png", tmp_path / "base")


def data_of(folder: Path) -> list[dict[str, object]]:
    page = (folder / "index.html").read_text(encoding="utf-8")
    pairs: list[dict[str, object]] = json.loads(page.split('id="data">')[1].split("</script>")[0])[
        "pairs"
    ]
    return pairs


def test_the_report_can_be_built_again_from_saved_results(percept: Run, tmp_path: Path) -> None:
    done = percept("check", "base", "new", *FAST, "--report=report", "--json=r.json")
    assert done.returncode == 1 and "percept: report: report/index.html" in done.stderr
    article, coffee, dashboard = data_of(tmp_path / "report")
    assert (article["status"], coffee["status"]) == ("missing", "identical")
    assert dashboard["approve"] == "percept approve --all -- base new dashboard.png"
    pictures = dashboard["pictures"]
    assert isinstance(pictures, dict)
    for name in ("reference", "candidate", "overlay", "thumbnail", "candidate_original"):
        assert (tmp_path / "report" / pictures[name]).is_file()
    again = percept("report", "r.json", "--output=again")
    assert (again.returncode, again.stdout) == (0, "")
    assert _contents(tmp_path / "again") == _contents(tmp_path / "report")


def test_results_may_stand_in_the_folder_of_the_report(percept: Run, tmp_path: Path) -> None:
    for _ in range(2):
        done = percept("check", "base", "new", *FAST, "--report=r", "--json=r/results.json")
        assert done.returncode == 1 and "report: r/index.html" in done.stderr
        assert (tmp_path / "r/index.html").is_file() and (tmp_path / "r/results.json").is_file()
    done = percept("compare", "base", "new", "--layers=conv1_1", "--report=c", "--output=c/x.csv")
    assert (tmp_path / "c/index.html").is_file() and (tmp_path / "c/x.csv").is_file(), done.stderr
    done = percept("compare", "base", "new", "--report=c", "--output=c")
    assert done.returncode == 2 and "c is named for two outputs" in done.stderr


def test_an_interrupt_while_the_page_is_written_costs_only_the_page(tmp_path: Path) -> None:
    code = (
        "from percept_cli.outputs.html_report import Report\n"
        "def stopped(*_): raise KeyboardInterrupt\n"
        "Report.write = stopped\n"
        "from percept_cli.cli import main; main()"
    )
    command = "check", "base", "new", *FAST, "--report=r", "--json=r.json"
    environment = clean_environment()
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        **{"cwd": tmp_path, "env": environment, "capture_output": True, "text": True},
    )
    assert done.returncode == 130 and "interrupted: there is no report" in done.stderr
    document = json.loads((tmp_path / "r.json").read_text())
    assert len(document["pairs"]) == 3 and document["summary"]["verdict"] == "incomplete"


def test_the_command_that_accepts_does_so_whatever_flags_the_check_had(
    percept: Run, tmp_path: Path
) -> None:
    percept("check", "base", "new", "--peak-threshold=0.0001", "--report=report")
    command = str(data_of(tmp_path / "report")[2]["approve"])
    assert percept(*shlex.split(command)[1:]).returncode == 0
    accepted = (tmp_path / "base/dashboard.png").read_bytes()
    assert accepted == (tmp_path / "new/dashboard.png").read_bytes()


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def test_compare_reports_too_and_from_json_lines(percept: Run, tmp_path: Path) -> None:
    flags = ("--layers=conv1_1", "--report=report", "--output=r.jsonl", "--allow-unpaired")
    done = percept("compare", "base", "new", *flags)
    assert done.returncode == 0, done.stderr
    assert [pair["status"] for pair in data_of(tmp_path / "report")] == [
        "missing", "identical", "compared",
    ]  # fmt: skip
    assert percept("report", "r.jsonl", "--output=again").returncode == 0
    assert data_of(tmp_path / "again") == data_of(tmp_path / "report")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read (No such file or directory): check the path"),
        (b"{", "no results of percept"),
        (b"[1]", "no results of percept"),
        (b"\xff\xfe", "not UTF-8"),
        (b'{"version": 9}', "results of version 9"),
    ],
)
def test_what_holds_no_results_is_one_clear_line(
    percept: Run, tmp_path: Path, content: bytes | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "r.json").write_bytes(content)
    done = percept("report", "r.json")
    assert done.returncode == 2 and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr
    assert not (tmp_path / "percept-report").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--report=new",), "is among what is compared"),
        (("--report=new/report",), "is among what is compared"),
        (("--report-copy",), "name the folder with --report DIR"),
        (("--report=site",), "its index.html is not percept's"),
    ],
)
def test_a_report_replaces_nothing_else(
    percept: Run, tmp_path: Path, arguments: tuple[str], message: str
) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("mine")
    done = percept("check", "base", "new", *arguments)
    assert done.returncode in (2, 3) and done.stdout == ""
    assert len(done.stderr.splitlines()) == 1 and message in done.stderr
    assert (tmp_path / "site/index.html").read_text() == "mine"

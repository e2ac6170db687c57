"""The examples run: the commands of the workflows, and the tests with a real browser."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SAMPLES, clean_environment

ROOT = SAMPLES.parent
EXAMPLES = ROOT / "examples"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def commands(file: str) -> list[str]:
    """The percept commands of a workflow."""
    text = (EXAMPLES / file).read_text()
    return re.findall(r"^ +- (?:run: )?(percept .*)$", text, re.M)


def shell(command: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a line of a workflow as its service does, with percept from here."""
    line = f'percept() {{ "{sys.executable}" -m percept_cli "$@"; }}\n{command}'
    environment = clean_environment(PYTHONPATH=str(ROOT), **more)
    done = subprocess.run(
        ["bash", "-e", "-c", line], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr
    return done


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Baselines, and screenshots of which one has changed."""
    for folder in ("baselines", "screenshots"):
        shutil.copytree(SAMPLES / "references", tmp_path / folder)
    shutil.copy(SAMPLES / "edit-2/dashboard.png", tmp_path / "screenshots")
    return tmp_path


def test_the_workflow_fails_a_change_and_leaves_its_report(project: Path) -> None:
    (check,) = commands("github.yml")
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(project / "summary.md")}
    failed = shell(check, project, **actions)
    assert failed.returncode == 1 and "::error file=baselines/dashboard.png" in failed.stderr
    uploaded = re.findall(r"^ {12}(\S+)$", (EXAMPLES / "github.yml").read_text(), re.M)[-2:]
    assert uploaded == ["report", "results.json"]
    assert all((project / name).exists() for name in uploaded)
    assert "dashboard.png" in (project / "summary.md").read_text()
    page = (project / "report/index.html").read_text()
    command = re.search(r'"approve": "(percept approve [^"]*)"', page)
    assert command and shell(command[1], project).returncode == 0
    assert shell(check, project, **actions).returncode == 0


def test_the_sharded_workflow_comes_to_the_same(project: Path) -> None:
    check, merge = commands("github-sharded.yml")
    for number in range(1, 6):
        line = check.replace("${{ matrix.shard }}", str(number))
        assert shell(line, project).returncode == 0
    failed = shell(merge, project)
    assert failed.returncode == 1 and "FAILED  screenshots/dashboard.png" in failed.stdout
    whole = shell("percept check baselines screenshots", project)
    assert failed.stdout == whole.stdout
    assert "pictures/" in (project / "report/index.html").read_text()


def test_the_gitlab_job_leaves_what_it_promises(project: Path) -> None:
    (check,) = commands("gitlab.yml")
    assert shell(check, project).returncode == 1
    assert (project / "junit.xml").is_file() and (project / "report/index.html").is_file()


def test_the_tests_with_playwright_run(tmp_path: Path) -> None:
    """They accept, pass, fail after a change, and so does the folder of screenshots."""
    if not os.environ.get("REQUIRE_BROWSER"):
        pytest.importorskip("playwright", reason="the example needs: pip install playwright")
        if not CHROMIUM:
            pytest.skip("the example needs Chromium")
    assert CHROMIUM, "the example needs Chromium: apt-get install chromium"
    project = tmp_path / "project"
    shutil.copytree(EXAMPLES / "playwright", project)

    def run(line: str) -> subprocess.CompletedProcess[str]:
        python = f'"{sys.executable}"'
        line = line.replace("pytest", f"{python} -m pytest -p no:cacheprovider", 1)
        return shell(line.replace("python ", f"{python} ", 1), project, CHROMIUM=str(CHROMIUM))

    shots = re.findall(r"python screenshots\.py", (EXAMPLES / "github.yml").read_text())
    assert "2 passed" in run("pytest --percept-update").stdout
    assert "2 passed" in run("pytest").stdout
    assert run(shots[0]).returncode == 0
    assert shell("percept approve baselines screenshots", project).returncode == 0
    page = project / "site/index.html"
    page.write_text(page.read_text().replace("18.4", "31.9"))
    failed = run("pytest")
    assert (
        "1 failed, 1 passed" in failed.stdout and "does not look like its baseline" in failed.stdout
    )
    assert run(shots[0]).returncode == 0
    done = shell("percept check baselines screenshots", project)
    assert done.returncode == 1 and "FAILED  screenshots/index.png" in done.stdout

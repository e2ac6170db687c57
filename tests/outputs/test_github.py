"""What GitHub Actions shows: annotations and the summary of a job."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from test_formats import RESULTS, SETTINGS

from percept_cli.outputs.github import MOST_ANNOTATIONS, MOST_ROWS, annotation_lines, job_summary
from percept_cli.results import Result
from percept_cli.summary import Summary

FAILED = RESULTS[-1]
EVIL = "a|b`c`\n::error::x <img src=x>, 100%: [l](javascript:x) \u202e@team"


def summary_of(results: list[Result], verdict: str = "failed", **more: str) -> str:
    summary = Summary.over(results)
    summary.complete = True
    summary.verdict = verdict  # type: ignore[assignment]
    return job_summary(results, summary, SETTINGS, **more)


def test_each_failure_is_an_annotation_with_its_place() -> None:
    lines = list(annotation_lines(RESULTS))
    assert lines == [
        "::error file=a/5.png,title=error%3A b/5.png::"
        "b/5.png: the file is empty: write it again",
        "::error file=a/6~mac.png,title=failed%3A b/6.png::"
        "peak 0.625 > 0.25; total 0.125 > 0.1; at 0,0 8x8",
    ]  # fmt: skip


def test_files_are_named_from_the_checkout_on(tmp_path: Path) -> None:
    for reference, named in (
        (str(tmp_path / "web/base/a.png"), "web/base/a.png"),
        (str(tmp_path.parent / "other.png"), str(tmp_path.parent / "other.png")),
    ):
        (line,) = annotation_lines([replace(FAILED, reference=reference)], str(tmp_path))
        assert line.startswith(f"::error file={named},title=")


def test_an_apostrophe_is_escaped_once() -> None:
    text = summary_of([replace(FAILED, candidate="Ada's.png")])
    assert "Ada&#39;s.png" in text and "&#35;" not in text and "&amp;" not in text


def test_no_more_annotations_than_github_shows_and_the_worst_first() -> None:
    many = [replace(FAILED, candidate=f"{n}.png", peak=n / 100) for n in range(40)]
    lines = list(annotation_lines(many))
    assert len(lines) == MOST_ANNOTATIONS
    assert "39.png" in lines[0] and "31 more do not pass" in lines[-1]
    assert len(list(annotation_lines(many[:10]))) == 10


def test_names_can_neither_end_a_command_nor_begin_one() -> None:
    evil = replace(FAILED, reference=EVIL, candidate=EVIL, failures=(EVIL,))
    (line,) = annotation_lines([evil])
    assert "\n" not in line and "\u202e" not in line
    properties = line.removeprefix("::error ").split("::")[0]
    assert len(properties.split(",")) == 2 and properties.count(":") == 0


def test_names_stay_text_in_the_summary() -> None:
    evil = replace(FAILED, candidate=EVIL, failures=(EVIL,))
    rows = [line for line in summary_of([evil]).splitlines() if line.startswith("|")]
    assert len(rows) == 3 and all(row.count("|") == 6 for row in rows)
    cells = re.sub(r"</?code>", "", rows[-1])
    assert not re.search(r"[<`@\[\]\u202e]", cells)


def test_the_summary_has_the_worst_pairs_and_says_where_the_report_is() -> None:
    many = [replace(FAILED, candidate=f"n{n}.png", peak=n / 100) for n in range(40)]
    text = summary_of(many, report="report/index.html", artifacts="https://x.test/runs/1#artifacts")
    assert text.startswith("## percept: failed\n\n40 pairs: 40 failed")
    assert text.count("\n| failed") == MOST_ROWS and "n39.png" in text and "n0.png" not in text
    assert "and 20 more do not pass" in text
    assert "(https://x.test/runs/1#artifacts)" in text and "report/index.html" in text
    assert "VGG19 bundled" in text and "torch 2.6.0" in text


@pytest.mark.parametrize("count", [0, 12])
def test_a_check_that_passes_shows_what_came_nearest(count: int) -> None:
    passed = [
        replace(FAILED, candidate=f"n{n}.png", status="passed", failures=(), peak=n / 100)
        for n in range(count)
    ]
    text = summary_of([*passed, RESULTS[1]], "passed")
    assert text.count("\n| passed") == min(count, 5)
    assert ("n11.png" in text) == bool(count)
    assert not list(annotation_lines(passed))

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from test_formats import RESULTS, SETTINGS, written

from percept_cli.errors import PerceptError
from percept_cli.inputs.saved import read_saved


@pytest.mark.parametrize("form", ["json", "jsonl"])
def test_both_forms_of_json_are_read_back(tmp_path: Path, form: str) -> None:
    file = tmp_path / "results"
    file.write_text(written(form), encoding="utf-8")
    saved = read_saved(file)
    assert (saved.results, saved.settings) == (RESULTS, SETTINGS)
    assert saved.summary.pairs == len(RESULTS) and saved.summary.complete


def test_json_lines_end_only_where_lines_do(tmp_path: Path) -> None:
    odd = replace(RESULTS[1], extra={"prompt": "a cat\u2028on a mat\u0085"})
    file = tmp_path / "r.jsonl"
    file.write_text(written("jsonl", [odd, RESULTS[0]]), encoding="utf-8")
    assert read_saved(file).results == (odd, RESULTS[0])


def test_files_are_found_from_here_or_else_beside_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("a/1.png", "moved/a/1.png", "moved/b/1.png"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).touch()
    Path("moved/r.json").write_text(written("json", RESULTS[:1]), encoding="utf-8")
    (result,) = read_saved(Path("moved/r.json")).results
    assert (result.reference, result.candidate) == ("a/1.png", "moved/b/1.png")
    assert result.heatmap_file == RESULTS[0].heatmap_file, "what is nowhere keeps its name"


def test_results_that_were_cut_off_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text("\n".join(written("jsonl").splitlines()[:-1]), encoding="utf-8")
    with pytest.raises(PerceptError, match=r"r.jsonl: no results of percept"):
        read_saved(file)
    document = json.loads(written("json"))
    del document["summary"]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(PerceptError, match=r"r.jsonl: no results of percept"):
        read_saved(file)

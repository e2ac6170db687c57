from __future__ import annotations

from pathlib import Path

import pytest
import tomlkit

from percept_cli.errors import PerceptError
from percept_cli.gate.calibrate import ROOM, proposed, write_thresholds


def test_between_separate_distributions_the_room_is_equal() -> None:
    proposal = proposed([0.01, 0.1, 0.05], [0.9, 2.0])
    assert proposal.threshold == 0.3  # The geometric mean of 0.1 and 0.9.
    assert not proposal.overlap and proposal.false_alarms == proposal.misses == 0


def test_close_distributions_get_as_many_digits_as_they_need() -> None:
    assert 0.1234 <= proposed([0.1234], [0.1236]).threshold < 0.1236


def test_without_pairs_that_differ_there_is_room_above_the_largest() -> None:
    assert proposed([0.2, 0.1]).threshold == round(ROOM * 0.2, 2)


def test_identical_pairs_still_leave_room_below_those_that_differ() -> None:
    assert 0 < proposed([0.0, 0.0], [0.5]).threshold < 0.5


def test_where_they_overlap_the_threshold_makes_the_fewest_errors() -> None:
    proposal = proposed([0.1, 0.2, 0.3, 0.9], [0.25, 0.8, 0.85, 1.0, 1.1])
    assert proposal.overlap
    assert (proposal.threshold, proposal.false_alarms, proposal.misses) == (0.3, 1, 1)
    everything = [0.1, 0.2, 0.3, 0.9, 0.25, 0.8, 0.85, 1.0, 1.1]
    errors = [
        sum(s > t for s in proposal.same) + sum(d <= t for d in proposal.different)
        for t in everything
    ]
    assert min(errors) == 2


@pytest.mark.parametrize(
    ("same", "count"),
    [
        ([0.1, 0.11, 0.12, 0.13, 0.9], 1),
        ([0.1, 0.11, 0.12, 0.13, 0.2], 0),
        ([0.1, 0.12, 0.13, 0.9], 0),
        ([0.1] * 18 + [0.8, 0.9], 2),
        ([0.1] * 16 + [0.7, 0.8, 0.9, 0.95], 0),
        ([0.0] * 9 + [0.3], 1),
    ],
)
def test_few_pairs_far_above_the_others_stand_out(same: list[float], count: int) -> None:
    assert proposed(same).standing_out == count


def test_nothing_to_go_by_is_an_error() -> None:
    with pytest.raises(PerceptError, match="no pair that looks the same"):
        proposed([], [1.0])
    with pytest.raises(PerceptError, match="all pairs are identical"):
        proposed([0.0, 0.0])


def test_writing_keeps_comments_and_everything_else(tmp_path: Path) -> None:
    file = tmp_path / "percept.toml"
    text = '# Ours.\npreset = "rendering"  # for pages\npeak-threshold = 0.5 # old\n'
    text += '\n[images."charts/*"]\n# They flicker.\nignore = ["1,2,3,4"]\n'
    file.write_text(text)
    write_thresholds(file, "peak-threshold", 0.25, {"charts/*": 0.75, "maps/*": 0.125})
    written = file.read_text()
    for line in ("# Ours.", "# for pages", "# old", "# They flicker."):
        assert line in written
    values = tomlkit.parse(written).unwrap()
    assert values == {
        "preset": "rendering",
        "peak-threshold": 0.25,
        "images": {
            "charts/*": {"ignore": ["1,2,3,4"], "peak-threshold": 0.75},
            "maps/*": {"peak-threshold": 0.125},
        },
    }


def test_writing_makes_a_file_or_a_table_of_pyproject(tmp_path: Path) -> None:
    write_thresholds(tmp_path / "percept.toml", "threshold", 0.5, {})
    assert (tmp_path / "percept.toml").read_text() == "threshold = 0.5\n"
    project = tmp_path / "pyproject.toml"
    project.write_text('[project]\nname = "x" # mine\n')
    write_thresholds(project, "peak-threshold", 0.5, {"a*": 1.0})
    assert "# mine" in project.read_text()
    assert tomlkit.parse(project.read_text()).unwrap()["tool"]["percept"] == {
        "peak-threshold": 0.5, "images": {"a*": {"peak-threshold": 1.0}}
    }  # fmt: skip


def test_a_broken_file_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "percept.toml").write_text("= broken")
    with pytest.raises(PerceptError, match=r"percept.toml: cannot be changed as TOML"):
        write_thresholds(tmp_path / "percept.toml", "threshold", 0.5, {})
    assert (tmp_path / "percept.toml").read_text() == "= broken"


def test_scores_the_wrong_way_round_are_an_error() -> None:
    with pytest.raises(PerceptError, match="no threshold tells them apart"):
        proposed([1.0, 2.0], [0.1, 0.2])


@pytest.mark.parametrize("text", ['images."x".blur = 2\n', 'images = {"x" = {blur = 2}}\n'])
def test_a_form_of_toml_that_takes_no_tables_is_refused_and_left(tmp_path: Path, text: str) -> None:
    file = tmp_path / "percept.toml"
    file.write_text(text)
    try:
        write_thresholds(file, "threshold", 0.5, {"y": 0.25})
    except PerceptError as error:
        assert "cannot be changed as TOML" in str(error) and file.read_text() == text
    else:
        assert tomlkit.parse(file.read_text()).unwrap()["images"]["y"]["threshold"] == 0.25


def test_a_threshold_for_all_stands_behind_the_keys_and_above_tables(tmp_path: Path) -> None:
    file = tmp_path / "percept.toml"
    file.write_text('# Ours.\npreset = "photo"\n\n# [images."x"]\n# jnd = 2\n')
    write_thresholds(file, "threshold", 0.5, {"a/*": 0.25})
    begun = '# Ours.\npreset = "photo"\nthreshold = 0.5\n\n# [images."x"]\n# jnd = 2\n'
    assert file.read_text().startswith(begun)
    images = tomlkit.parse(file.read_text()).unwrap()["images"]
    assert images["a/*"]["threshold"] == 0.25

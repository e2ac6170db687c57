from __future__ import annotations

import io
import json
import unicodedata
from pathlib import Path

import pytest

from percept_cli.errors import PerceptError
from percept_cli.inputs.pairs import Pair, pairs_from_lines, pairs_in, pairs_of


def folder(place: Path, *names: str) -> Path:
    place.mkdir(exist_ok=True)
    for name in names:
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).touch()
    return place


def listed(pairs: list[Pair]) -> list[tuple[str | None, str | None]]:
    return [
        (pair.reference and pair.reference.name, pair.candidate and pair.candidate.name)
        for pair in pairs
    ]


def test_folders_match_by_path_then_by_stem_in_sorted_order(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "z.png", "sub/y.png", "x.png", "only.png")
    right = folder(tmp_path / "b", "z.png", "sub/y.webp", "x.JPG", "extra.png")
    pairs, skipped = pairs_of(left, right)
    assert [pair.name for pair in pairs] == [
        "extra.png", "only.png", "sub/y.webp", "x.JPG", "z.png",
    ]  # fmt: skip
    assert listed(pairs) == [
        (None, "extra.png"),
        ("only.png", None),
        ("y.png", "y.webp"),
        ("x.png", "x.JPG"),
        ("z.png", "z.png"),
    ]
    assert skipped == []


def test_equal_paths_match_before_equal_stems(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "x.png", "x.jpg")
    right = folder(tmp_path / "b", "x.png")
    assert listed(pairs_of(left, right)[0]) == [("x.jpg", None), ("x.png", "x.png")]


def test_an_ambiguous_match_lists_the_files(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "x.png", "x.jpg")
    right = folder(tmp_path / "b", "x.webp")
    ((pair,), _) = pairs_of(left, right)
    assert pair.error is not None and pair.error.startswith("ambiguous match: ")
    assert all(name in pair.error for name in ("a/x.png", "a/x.jpg", "b/x.webp"))


def test_other_files_are_reported_and_hidden_ones_passed_over(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "x.png", "notes.txt", ".DS_Store", "._x.png", ".git/y.png")
    pairs, skipped = pairs_of(left, left)
    assert listed(pairs) == [("x.png", "x.png")]
    assert skipped == [str(left / "notes.txt")] * 2


def test_linked_folders_are_entered_once(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "sub/x.png")
    (left / "sub" / "round").symlink_to(left)
    assert [pair.name for pair in pairs_of(left, left)[0]] == ["sub/x.png"]


def test_links_between_folders_lose_no_folder(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "1/x.png", "2/x.png")
    (left / "1" / "to2").symlink_to(left / "2")
    (left / "2" / "to1").symlink_to(left / "1")
    right = folder(tmp_path / "b", "1/x.png", "2/x.png")
    pairs = [pair.name for pair in pairs_of(left, right)[0] if pair.reference and pair.candidate]
    assert pairs == ["1/x.png", "2/x.png"]


def test_one_reference_meets_every_candidate(tmp_path: Path) -> None:
    reference = folder(tmp_path / "a", "x.png") / "x.png"
    pairs, _ = pairs_of(reference, folder(tmp_path / "b", "2.png", "1.png"))
    assert listed(pairs) == [("x.png", "1.png"), ("x.png", "2.png")]


def test_a_folder_needs_a_folder(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", "x.png")
    with pytest.raises(PerceptError, match=r"a folder and .*x.png a file: .*name the file first"):
        pairs_of(left, left / "x.png")
    with pytest.raises(PerceptError, match=r"nothing.png: no such file or folder"):
        pairs_of(tmp_path / "nothing.png", left)
    with pytest.raises(PerceptError, match="nothing: no such folder"):
        pairs_of(left, tmp_path / "nothing")


def test_manifest_paths_are_relative_to_it_and_keep_its_order(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text('note,candidate,reference\nn,b.png,"a, 1.png"\n,d.png,/c.png\n')
    (tmp_path / "m.jsonl").write_text(
        '{"reference": "a, 1.png", "candidate": "b.png"}\n\n'
        '{"reference": "/c.png", "candidate": "d.png", "note": 1}\n'
    )
    for name in ("m.csv", "m.jsonl"):
        assert [(p.reference, p.candidate, p.name) for p in pairs_in(tmp_path / name)] == [
            (tmp_path / "a, 1.png", tmp_path / "b.png", "b.png"),
            (Path("/c.png"), tmp_path / "d.png", "d.png"),
        ]


def test_a_file_url_in_a_manifest_is_the_path_it_names(tmp_path: Path) -> None:
    row = f"{(tmp_path / 'a b.png').as_uri()},b.png"
    (tmp_path / "m.csv").write_text(f"reference,candidate\n{row}\n")
    (pair,) = pairs_in(tmp_path / "m.csv")
    assert (pair.reference, pair.candidate) == (tmp_path / "a b.png", tmp_path / "b.png")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("reference,candidate\na.png,b.png\na.png\nc.png,d.png\n", "m.csv:3: no candidate"),
        ('reference,candidate\na.png,b.png\n"a".png,b\nc.png,d.png\n', "m.csv:3: not CSV"),
        ("reference,candidate\na.png,b.png\n,b.png\nc.png,d.png\n", "m.csv:3: no reference"),
    ],
)
def test_a_bad_line_of_csv_costs_only_itself(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    pairs = list(pairs_in(tmp_path / "m.csv"))
    assert [pair.error is None for pair in pairs] == [True, False, True]
    assert message in str(pairs[1].error)


@pytest.mark.parametrize(
    "line", ["{", "[]", "3", "[" * 100_000, '{"reference": "a"}', '{"reference": 1}']
)
def test_a_bad_json_line_costs_only_itself(line: str) -> None:
    good = '{"reference": "a", "candidate": "b"}\n'
    pairs = list(pairs_from_lines(io.StringIO(f"{good}{line}\n{good}"), Path(), "stdin"))
    assert [pair.error is None for pair in pairs] == [True, False, True]
    assert str(pairs[1].error).startswith("stdin:2: ")


def test_a_csv_may_have_lines_within_its_cells(tmp_path: Path) -> None:
    (tmp_path / "m.CSV").write_text('reference,candidate,caption\na.png,b.png,"two\nlines"\n')
    assert [pair.error for pair in pairs_in(tmp_path / "m.CSV")] == [None]


@pytest.mark.parametrize("text", ["before,candidate\na,b\nc,d\n", ""])
def test_a_csv_without_its_columns_is_no_manifest(tmp_path: Path, text: str) -> None:
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(PerceptError, match=r"m\.csv: no column 'reference': begin with"):
        list(pairs_in(tmp_path / "m.csv"))


LINES = ("reference,candidate", "a.png,é.png", "c 1.png,d.png")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", " ; "])
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_manifests_are_read_as_other_programs_write_them(
    tmp_path: Path, encoding: str, delimiter: str, suffix: str
) -> None:
    rows = [line.split(",") for line in LINES]
    if suffix == ".csv":
        text = "\r\n".join(delimiter.join(row) for row in rows) + "\r\n"
    else:
        text = "\n".join(json.dumps(dict(zip(rows[0], row, strict=True))) for row in rows[1:])
    if encoding == "utf-16-be":  # It writes no mark of its own.
        text = f"\ufeff{text}"
    (tmp_path / f"m{suffix}").write_bytes(text.encode(encoding))
    pairs = list(pairs_in(tmp_path / f"m{suffix}"))
    assert [(pair.reference, pair.candidate, pair.error) for pair in pairs] == [
        (tmp_path / "a.png", tmp_path / "é.png", None),
        (tmp_path / "c 1.png", tmp_path / "d.png", None),
    ]


COMPOSED, TAKEN_APART = (unicodedata.normalize(form, "café") for form in ("NFC", "NFD"))


def test_names_in_two_unicode_forms_are_the_same_name(tmp_path: Path) -> None:
    left = folder(tmp_path / "a", f"{COMPOSED}.png", f"{COMPOSED}.jpg", "x.png")
    right = folder(tmp_path / "b", f"{TAKEN_APART}.png", f"{COMPOSED}.jpg", "x.png")
    pairs = {pair.name: pair for pair in pairs_of(left, right)[0]}
    assert len(pairs) == 3
    pair = pairs[f"{TAKEN_APART}.png"]
    assert pair.reference == left / f"{COMPOSED}.png"
    assert pair.notes == ("the two names are written in different Unicode forms",)
    assert not pairs["x.png"].notes
    other = folder(tmp_path / "c", f"{TAKEN_APART}.webp")
    webp = {
        pair.name: pair for pair in pairs_of(folder(tmp_path / "d", f"{COMPOSED}.png"), other)[0]
    }
    assert webp[f"{TAKEN_APART}.webp"].reference is not None


def test_unreadable_manifests_are_refused(tmp_path: Path) -> None:
    (tmp_path / "cut.csv").write_bytes("reference,candidate".encode("utf-16")[:-1])
    with pytest.raises(PerceptError, match=r"cut.csv: no text: save it as UTF-8"):
        list(pairs_in(tmp_path / "cut.csv"))
    with pytest.raises(PerceptError, match=r"m.csv: cannot be read"):
        list(pairs_in(tmp_path / "m.csv"))
    with pytest.raises(PerceptError, match="unknown kind of manifest"):
        list(pairs_in(tmp_path / "m.xml"))

from __future__ import annotations

from pathlib import Path

import pytest

from percept_cli.gate.baselines import checked_pairs, matches, variant_name


def files(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(str(path))
    return folder


def paired(baseline: Path, candidate: Path) -> list[tuple[str, str | None, str | None]]:
    pairs, _ = checked_pairs(baseline, candidate)
    return [
        (p.name, p.reference and p.reference.name, p.candidate and p.candidate.name) for p in pairs
    ]


@pytest.mark.parametrize(
    ("baselines", "candidates", "expected"),
    [
        (("a.png", "a~mac.png"), ("a.png",),
         [("a.png", "a.png", "a.png"), ("a.png", "a~mac.png", "a.png")]),
        (("a~mac.png",), ("a.png",), [("a.png", None, "a.png"), ("a~mac.png", "a~mac.png", None)]),
        (("a.png", "a~mac.png"), (), [("a.png", "a.png", None), ("a.png", "a~mac.png", None)]),
        (("a.png", "a.jpg", "a~mac.jpg"), ("a.png",),
         [("a.jpg", "a.jpg", None), ("a.jpg", "a~mac.jpg", None), ("a.png", "a.png", "a.png")]),
        (("a.jpg", "a.png", "a~mac.png"), ("a.png",),
         [("a.jpg", "a.jpg", None), ("a.png", "a.png", "a.png"), ("a.png", "a~mac.png", "a.png")]),
        (("a.png",), ("a.png", "a~mac.png"),
         [("a.png", "a.png", "a.png"), ("a~mac.png", None, "a~mac.png")]),
        (("a~mac.png",), ("a~mac.png",), [("a~mac.png", "a~mac.png", "a~mac.png")]),
        (("a.png", "a~x.png", "a~x~y.png"), ("a.png",),
         [("a.png", "a.png", "a.png"), ("a.png", "a~x.png", "a.png"),
          ("a~x~y.png", "a~x~y.png", None)]),
        (("d/a.png", "d/a~b.png", "e/a~b.png"), ("d/a.png",),
         [("d/a.png", "a.png", "a.png"), ("d/a.png", "a~b.png", "a.png"),
          ("e/a~b.png", "a~b.png", None)]),
        (("x~1.png", "x~2.png"), ("x~1.png", "x~2.png"),
         [("x~1.png", "x~1.png", "x~1.png"), ("x~2.png", "x~2.png", "x~2.png")]),
    ],
)  # fmt: skip
def test_variants_stand_beside_their_baseline(
    tmp_path: Path,
    baselines: tuple[str, ...],
    candidates: tuple[str, ...],
    expected: list[tuple[str, str | None, str | None]],
) -> None:
    left, right = tmp_path / "left", tmp_path / "right"
    left.mkdir(), right.mkdir()
    assert paired(files(left, *baselines), files(right, *candidates)) == expected


def test_a_variant_equal_to_the_candidate_is_the_only_one_compared(tmp_path: Path) -> None:
    left, right = files(tmp_path / "l", "a.png", "a~mac.png", "a~win.png"), tmp_path / "r"
    right.mkdir()
    (right / "a.png").write_bytes((left / "a~win.png").read_bytes())
    assert paired(left, right) == [("a.png", "a~win.png", "a.png")]
    assert paired(left / "a.png", right / "a.png") == [("a.png", "a~win.png", "a.png")]


def test_a_single_baseline_has_variants_beside_it(tmp_path: Path) -> None:
    left, right = files(tmp_path / "l", "a.png", "a~mac.png"), files(tmp_path / "r", "a.png")
    assert [reference for _, reference, _ in paired(left / "a.png", right / "a.png")] == [
        "a.png", "a~mac.png",
    ]  # fmt: skip


def test_a_variant_has_its_name_before_the_suffix() -> None:
    assert variant_name("a/home.png", "mac") == str(Path("a/home~mac.png"))


def test_a_single_baseline_may_have_brackets_in_its_name(tmp_path: Path) -> None:
    left = files(tmp_path / "l", "a[1].png", "a[1]~mac.png", "a1~win.png")
    right = files(tmp_path / "r", "a[1].png")
    assert [reference for _, reference, _ in paired(left / "a[1].png", right / "a[1].png")] == [
        "a[1].png", "a[1]~mac.png",
    ]  # fmt: skip


def test_globs_match_paths_with_any_separator() -> None:
    assert matches("charts/pie.png", "charts/*") and matches("pie.png", "*.png")
    assert not matches("charts/pie.png", "pie.png")

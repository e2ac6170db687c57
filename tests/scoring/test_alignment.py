"""Rows and columns that were inserted, removed or moved are found, and the rest is compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from alignment import changed, fits, lengths, page
from conftest import Run
from numpy.typing import NDArray
from PIL import Image

import percept_cli
from percept_cli.errors import PerceptError
from percept_cli.results import Band
from percept_cli.scoring.alignment import aligned

Pixels = NDArray[np.uint8]


def a_page(seed: int = 0, width: int = 320, height: int = 400) -> Pixels:
    return page(np.random.default_rng(seed), width, height)


def noisy(image: Pixels, levels: int = 2) -> Pixels:
    noise = np.random.default_rng(1).integers(-levels, levels + 1, image.shape)
    return (image + noise).clip(0, 255).astype(np.uint8)


BEFORE, OTHER = a_page(), a_page(1)
INSERTED = np.concatenate([BEFORE[:100], OTHER[50:75], BEFORE[100:]])


def test_inserted_and_removed_rows_are_named_in_both_images() -> None:
    assert aligned(BEFORE, INSERTED, "rows").bands == (
        Band("inserted", "rows", (100, 100), (100, 125)),
    )
    assert aligned(INSERTED, BEFORE, "rows").bands == (
        Band("removed", "rows", (100, 125), (100, 100)),
    )


def test_moved_rows_are_neither_inserted_nor_removed() -> None:
    moved = np.concatenate([BEFORE[:40], BEFORE[80:300], BEFORE[40:80], BEFORE[300:]])
    bands = aligned(BEFORE, moved, "rows").bands
    assert [band.kind for band in bands] == ["moved"]
    assert fits(BEFORE, moved, bands)


def test_columns_are_rows_of_the_turned_image() -> None:
    turned = (image.swapaxes(0, 1) for image in (BEFORE, INSERTED))
    assert aligned(*turned, "columns").bands == (
        Band("inserted", "columns", (100, 100), (100, 125)),
    )


def test_where_both_sides_differ_what_is_beyond_is_a_band_too() -> None:
    wider = np.pad(INSERTED, ((0, 0), (0, 30), (0, 0)), constant_values=90)
    assert set(aligned(BEFORE, wider, "rows").bands) == {
        Band("inserted", "rows", (100, 100), (100, 125)),
        Band("inserted", "columns", (320, 320), (320, 350)),
    }


def test_in_190_of_200_random_pages_all_is_found_to_the_pixel() -> None:
    random, found = np.random.default_rng(7), 0
    for _ in range(200):
        before = page(random, 320, int(random.integers(600, 1000)))
        after, made = changed(random, before)
        bands, wanted = aligned(before, after, "rows").bands, lengths(())
        for kind, length in made:
            wanted[kind] += length
        found += lengths(bands) == wanted and fits(before, after, bands)
    assert found >= 190


@pytest.mark.parametrize("size", [400, 4000])
def test_noise_everywhere_hides_no_inserted_rows(size: int) -> None:
    """4,000 rows by 4,000 are more than are compared one by one."""
    before = a_page(3, 320, size)
    after = noisy(np.concatenate([before[:300], OTHER[40:77], before[300:]]))
    (band,) = aligned(before, after, "rows").bands
    assert band.kind == "inserted" and band.candidate[1] - band.candidate[0] == 37
    rest = np.delete(after, slice(*band.candidate), axis=0)
    assert np.abs(rest.astype(int) - before).max() <= 2


def test_what_changed_in_place_is_no_band() -> None:
    after = BEFORE.copy()
    after[100:160] = OTHER[100:160]
    assert aligned(BEFORE, after, "rows").bands == ()


def test_many_small_changes_cost_no_time() -> None:
    """20,000 rows, of which 8 of every 11 changed: gaps were compared with gaps, for minutes."""
    random = np.random.default_rng(0)
    before = random.integers(0, 256, (20_000, 16, 3), np.uint8)
    after = before.copy()
    changes = np.arange(len(after)) % 11 < 8
    after[changes] = random.integers(0, 256, (int(changes.sum()), 16, 3), np.uint8)
    assert aligned(before, after, "rows").bands == ()


def test_empty_and_flat_images_have_an_alignment() -> None:
    flat = np.full((50, 40, 3), 200, np.uint8)
    (band,) = aligned(flat, flat[:30], "rows").bands
    assert band.kind == "removed" and band.reference[1] - band.reference[0] == 20


@pytest.fixture
def grown(tmp_path: Path) -> tuple[Path, Path, Path]:
    """A baseline, a candidate with 25 rows more and a red box below, and that without the rows."""
    after = INSERTED.copy()
    after[250:290, 60:120] = 200, 30, 30
    images = BEFORE, after, np.delete(after, slice(100, 125), axis=0)
    paths = tuple(tmp_path / name for name in ("before.png", "after.png", "rest.png"))
    for image, path in zip(images, paths, strict=True):
        Image.fromarray(image).save(path)
    before, candidate, rest = paths
    return before, candidate, rest


def test_check_fails_a_page_that_grew_and_compares_the_rest(
    percept: Run, tmp_path: Path, grown: tuple[Path, Path, Path]
) -> None:
    before, after, rest = grown
    done = percept("check", before, after, "--json", "r.json", "--heatmap", "map.png")
    assert done.returncode == 1
    assert "sizes differ: reference 320x400, candidate 320x425" in done.stdout
    assert "25 rows inserted at y 100" in done.stdout
    (pair,) = json.loads((tmp_path / "r.json").read_text())["pairs"]
    band = {"kind": "inserted", "axis": "rows", "reference": [100, 100], "candidate": [100, 125]}
    assert pair["bands"] == [band]
    assert (pair["width"], pair["height"]) == (320, 425)
    (region,) = pair["regions"]
    assert region["x"] <= 60 and region["x"] + region["width"] >= 120
    assert region["y"] <= 250 and region["y"] + region["height"] >= 290
    assert region["height"] < 120, "not counted with the rows above"
    assert 250 <= pair["peak_at"][1] <= 290
    alone = percept_cli.compare(before, rest, preset="rendering")
    assert (pair["total"], pair["peak"]) == (alone.total, alone.peak)
    with Image.open(tmp_path / "map.png") as picture:
        assert picture.size[0] == 320 and picture.size[1] > 425


def test_where_neither_image_has_anything_the_canvas_is_grey() -> None:
    wide = np.pad(BEFORE[:300], ((0, 0), (0, 40), (0, 0)), constant_values=90)
    before, after = BEFORE.copy(), wide.copy()
    after[250:280, 60:120] = 200, 30, 30
    found = [
        percept_cli.compare(before, after, preset="rendering", resize="none", align="auto")
        for _ in range(2)
    ]
    canvases = [result.scored.candidate for result in found if result.scored]
    assert canvases[0] is not None and canvases[0].shape == (400, 360, 3)
    assert (canvases[0][320:, 320:] == 128).all()
    pictures = [np.asarray(result.heatmap()) for result in found]
    assert np.array_equal(*pictures)


def test_what_is_ignored_is_no_band_either(percept: Run, tmp_path: Path) -> None:
    scrolled = BEFORE.copy()
    scrolled[100:200] = np.roll(BEFORE[100:200], 30, axis=0)
    Image.fromarray(BEFORE).save(tmp_path / "a.png")
    Image.fromarray(scrolled).save(tmp_path / "b.png")
    flags = ("--align", "rows", "--ignore", "0,100,320,100")
    assert percept("check", "a.png", "b.png", *flags).returncode == 0
    assert percept("check", "a.png", "b.png", *flags[:2]).returncode == 1


def test_equal_sizes_are_aligned_on_request(percept: Run, tmp_path: Path) -> None:
    Image.fromarray(BEFORE).save(tmp_path / "a.png")
    Image.fromarray(INSERTED[: len(BEFORE)]).save(tmp_path / "b.png")
    plain = percept("check", "a.png", "b.png")
    assert plain.returncode == 1 and "inserted" not in plain.stdout
    done = percept("check", "a.png", "b.png", "--align", "rows")
    assert done.returncode == 1
    assert "25 rows inserted at y 100" in done.stdout and "25 rows removed" in done.stdout
    assert "peak 0.0000" in done.stdout
    compared = percept("compare", "a.png", "b.png", "--align", "rows", "--preset", "rendering")
    assert compared.returncode == 0 and "25 rows inserted at y 100" in compared.stdout
    assert "identical" not in compared.stdout


def test_a_pixel_more_may_be_allowed(percept: Run, tmp_path: Path) -> None:
    Image.fromarray(BEFORE).save(tmp_path / "a.png")
    Image.fromarray(np.pad(BEFORE, ((0, 1), (0, 0), (0, 0)))).save(tmp_path / "b.png")
    assert percept("check", "a.png", "b.png").returncode == 1
    done = percept("check", "a.png", "b.png", "--size-tolerance", "1", "--json", "r.json")
    assert done.returncode == 0, done.stdout
    (pair,) = json.loads((tmp_path / "r.json").read_text())["pairs"]
    assert pair["status"] == "passed" and (pair["width"], pair["height"]) == (320, 400)
    assert "320x401: what both have was compared" in pair["notes"][0]


def test_ignored_regions_are_those_of_the_reference(grown: tuple[Path, Path, Path]) -> None:
    before, after, _ = grown
    options: dict[str, Any] = {"preset": "rendering", "resize": "none", "align": "auto"}
    result = percept_cli.compare(before, after, ignore=["50,215,90,60"], **options)
    assert result.total == 0 and result.bands and result.status == "compared"
    with pytest.raises(PerceptError, match="outside the image of 320x400"):
        percept_cli.compare(before, after, ignore=["0,410,10,10"], **options)


def test_transparent_pages_are_aligned_too() -> None:
    def clear(image: Pixels) -> Image.Image:
        alpha = np.where((image == 255).all(axis=2), 0, 255).astype(np.uint8)
        return Image.fromarray(np.dstack([image, alpha]))

    after = INSERTED.copy()
    after[250:290, 60:120] = 200, 30, 30
    result = percept_cli.compare(
        clear(BEFORE), clear(after), preset="rendering", resize="none", align="auto"
    )
    assert [band.candidate for band in result.bands] == [(100, 125)]
    assert result.background in ("white", "black") and result.peak_at
    assert 250 <= result.peak_at[1] <= 290


def test_shrunk_images_have_places_in_the_candidates_pixels(
    grown: tuple[Path, Path, Path],
) -> None:
    before, after, _ = grown
    result = percept_cli.compare(
        before, after, preset="quality", shrink=100, resize="none", align="auto"
    )
    assert result.peak_at and 240 <= result.peak_at[1] <= 300 and 50 <= result.peak_at[0] <= 130


def test_the_network_sees_nothing_where_too_little_corresponds() -> None:
    small = np.zeros((3, 40, 3), np.uint8)
    with pytest.raises(PerceptError, match="sizes differ"):
        percept_cli.compare(small, np.zeros((90, 40, 3), np.uint8), resize="none", align="auto")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--align", "up"), "unknown align 'up'"),
        (("--size-tolerance", "-1"), "--size-tolerance -1"),
    ],
)
def test_what_means_nothing_is_refused(percept: Run, flags: tuple[str, ...], said: str) -> None:
    done = percept("check", "a.png", "b.png", *flags)
    assert done.returncode == 2 and said in done.stderr


def rows_of(text: str) -> Pixels:
    """An image of a row for each letter, equal for equal letters."""
    random = np.random.default_rng(0)
    looks = {letter: random.integers(0, 256, (24, 3), np.uint8) for letter in map(chr, range(128))}
    return np.stack([looks[letter] for letter in text])


def told(before: str, after: str) -> list[tuple[str, str]]:
    """Each band's kind, and its rows: those of the image that has them."""
    bands = aligned(rows_of(before), rows_of(after), "rows").bands
    return sorted(
        (
            band.kind,
            after[slice(*band.candidate)]
            if band.kind == "inserted"
            else before[slice(*band.reference)],
        )
        for band in bands
    )


ABC = "abcdefghijklmnopqrstuvwxyz"
LONG = ABC + ABC.upper() + "0123456789"


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (ABC, "XYZ" + ABC, [("inserted", "XYZ")]),
        (ABC, ABC + "XYZ", [("inserted", "XYZ")]),
        ("XYZ" + ABC, ABC, [("removed", "XYZ")]),
        (ABC + "XYZ", ABC, [("removed", "XYZ")]),
        (ABC, "X" + ABC, [("inserted", "X")]),
        ("X" + ABC, ABC, [("removed", "X")]),
        (ABC, "aX" + ABC[1:], [("inserted", "X")]),
        (LONG, LONG[:9] + "+-*/" + LONG[9:40] + "#=" + LONG[40:], None),
        (LONG, LONG[:9] + LONG[13:40] + "#=" + LONG[40:], None),
        (LONG, LONG[30:] + LONG[:30], None),
        (LONG, LONG[12:] + LONG[:12], [("moved", LONG[:12])]),
        (LONG, LONG[:10] + LONG[22:50] + LONG[10:22] + LONG[50:], [("moved", LONG[10:22])]),
        (LONG, LONG[:10] + LONG[38:50] + LONG[10:38] + LONG[50:], [("moved", LONG[38:50])]),
        (LONG, LONG[50:] + LONG[:50], [("moved", LONG[50:])]),
        # A gap between equal rows is somewhere among them.
        ("aaaa" + ABC, "aaaaaaaa" + ABC, [("inserted", "aaaa")]),
        (LONG + "----" + ABC, LONG + "--------" + ABC, [("inserted", "----")]),
        ("abababab" + LONG, "ab" + LONG, [("removed", "ababab")]),
    ],
)
def test_single_rows_are_placed_exactly(
    before: str, after: str, expected: list[tuple[str, str]] | None
) -> None:
    bands = aligned(rows_of(before), rows_of(after), "rows").bands
    assert fits(rows_of(before), rows_of(after), bands)
    if expected is not None:
        assert told(before, after) == expected
    else:
        kinds = lengths(bands)
        assert kinds["inserted"] - kinds["removed"] == len(after) - len(before)
        assert max(kinds.values()) <= 32


@pytest.mark.parametrize("seed", range(40))
def test_whatever_happened_to_rows_the_bands_give_the_second_image(seed: int) -> None:
    """Blocks with equal rows among them are cut out, put in and moved at random."""
    random = np.random.default_rng(seed)
    letters = list(LONG[: random.integers(20, 62)])
    for _ in range(3):
        place = int(random.integers(len(letters)))
        letters[place:place] = ["-"] * int(random.integers(1, 6))
    before = "".join(letters)
    for _ in range(int(random.integers(1, 4))):
        start, length = int(random.integers(len(letters))), int(random.integers(1, 14))
        taken = letters[start : start + length]
        kind = random.integers(3)
        if kind != 1:
            del letters[start : start + length]
        if kind != 0:
            place = int(random.integers(len(letters) + 1))
            letters[place:place] = taken if kind == 2 else list("+*/#=!?<>"[: len(taken)])
    after = "".join(letters)
    bands = aligned(rows_of(before), rows_of(after), "rows").bands
    kinds = lengths(bands)
    assert kinds["inserted"] - kinds["removed"] == len(after) - len(before)
    gone = {row for b in bands if b.kind != "inserted" for row in range(*b.reference)}
    come = {row for b in bands if b.kind != "removed" for row in range(*b.candidate)}
    left = [letter for row, letter in enumerate(before) if row not in gone]
    right = [letter for row, letter in enumerate(after) if row not in come]
    # Rows that have a partner may differ where one took the other's place, in small numbers.
    assert len(left) == len(right)
    differing = sum(one != other for one, other in zip(left, right, strict=True))
    assert differing <= 32
    for band in bands:
        if band.kind == "moved":
            assert before[slice(*band.reference)] == after[slice(*band.candidate)]

"""Rows that correspond by how they look, against a slow search of all ways to do it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from percept_cli.scoring import likeness
from percept_cli.scoring.likeness import EXTEND, MOST, OPEN, alike, features

Features = NDArray[np.float32]


def some(seed: int, rows: int, levels: int = 256) -> Features:
    values = np.random.default_rng(seed).integers(0, levels, (rows, 6)) / max(levels - 1, 1)
    return values.astype(np.float32)


def cheapest(first: Features, second: Features) -> float:
    """The least that gaps and differences cost, tried out: Gotoh's recurrences, row by row."""

    @cache
    def straight(row: int, other: int) -> float:
        if not (row and other):
            return 0.0 if row == other else np.inf
        cost = min(float(np.abs(first[row - 1] - second[other - 1]).mean()), MOST)
        return cost + best(row - 1, other - 1)

    @cache
    def above(row: int, other: int) -> float:
        if not row:
            return np.inf
        return EXTEND + min(above(row - 1, other), OPEN + best(row - 1, other))

    @cache
    def left(row: int, other: int) -> float:
        if not other:
            return np.inf
        return EXTEND + min(left(row, other - 1), OPEN + best(row, other - 1))

    @cache
    def best(row: int, other: int) -> float:
        return min(straight(row, other), above(row, other), left(row, other))

    return best(len(first), len(second))


def cost_of(
    first: Features, second: Features, rows: NDArray[np.intp], others: NDArray[np.intp]
) -> float:
    """What a way to correspond costs."""
    assert (np.diff(rows) > 0).all() and (np.diff(others) > 0).all()
    cost = sum(
        min(float(np.abs(first[row] - second[other]).mean()), MOST)
        for row, other in zip(rows, others, strict=True)
    )
    for places, length in ((rows, len(first)), (others, len(second))):
        gaps = np.diff(np.concatenate([[-1], places, [length]])) - 1
        cost += sum(OPEN + EXTEND * gap for gap in gaps if gap)
    return cost


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.sampled_from([2, 3, 256]))
def test_no_way_to_correspond_costs_less(seed: int, rows: int, others: int, levels: int) -> None:
    first, second = some(seed, rows, levels), some(seed + 1, others, levels)
    if rows == others:
        second = np.concatenate([second, second[:1]])
    found = alike(first, second)
    # In float64 and float32; what differs is rounding of a few sums.
    assert cost_of(first, second, *found) == pytest.approx(cheapest(first, second), abs=1e-5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 12), st.integers(0, 4), st.integers(1, 5))
def test_rows_with_some_missing_still_cost_least(
    seed: int, place: int, noise: int, missing: int
) -> None:
    first = some(seed, 12)
    second = np.delete(first, slice(place, place + missing), axis=0)
    second = np.append(second, some(seed + 1, 1), axis=0) if len(second) == 12 else second
    second = second + np.float32(noise / 256)
    found = alike(first, second)
    assert cost_of(first, second, *found) == pytest.approx(cheapest(first, second), abs=1e-5)


@pytest.mark.parametrize("cells", [900, 3000])
@pytest.mark.parametrize("gone", [(), (0, 9), (37, 52), (80, 90), (20, 31, 60, 73)])
@pytest.mark.parametrize("turned", [False, True])
def test_where_several_rows_count_as_one_single_rows_are_found(
    monkeypatch: pytest.MonkeyPatch, cells: int, gone: tuple[int, ...], turned: bool
) -> None:
    monkeypatch.setattr(likeness, "MOST_CELLS", cells)
    first = np.cumsum(some(5, 90) - 0.5, axis=0).astype(np.float32) / 9
    kept = np.arange(90)
    for start, end in zip(gone[::2], gone[1::2], strict=True):
        kept = kept[(kept < start) | (kept >= end)]
    noise = np.random.default_rng(1).normal(0, 1e-3, (len(kept), 6))
    second = (first[kept] + noise).astype(np.float32)
    if not gone:
        second = np.append(second, second[-1:] + 1, axis=0)
    rows, others = alike(second, first) if turned else alike(first, second)
    if turned:
        rows, others = others, rows
    assert rows.tolist() == kept.tolist() and others.tolist() == list(range(len(kept)))


def test_as_many_rows_on_both_sides_correspond_where_few_or_alike() -> None:
    few, many = some(0, 32), some(0, 33)
    assert alike(few, some(9, 32))[0].tolist() == list(range(32))
    assert alike(many, many + np.float32(0.03))[0].tolist() == list(range(33))
    shifted = np.append(many[2:], some(8, 2), axis=0)
    rows, others = alike(many, shifted)
    assert rows.tolist() == list(range(2, 33)) and others.tolist() == list(range(31))


def test_features_are_mean_colours_of_parts() -> None:
    rows = np.random.default_rng(0).integers(0, 256, (5, 64, 3), np.uint8)
    wanted = rows.reshape(5, 32, 2, 3).mean(2).reshape(5, -1) / 255
    assert np.abs(features(rows) - wanted).max() <= 0.51 / 255  # Means are rounded to bytes.
    narrow = rows[:, :7]
    assert np.allclose(features(narrow), narrow.reshape(5, -1) / 255)

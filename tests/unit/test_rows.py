"""Arithmetic per row: accurate, and the same bits alone and in company."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.rows import natural_log, row_sums, to_grid, top_two


def test_the_logarithm_is_accurate_over_all_magnitudes() -> None:
    # every 997th float32 between the smallest normal number and 1, then a few above
    bits = np.arange(0x00800000, 0x3F800001, 997, dtype=np.int32)
    x = np.concatenate([bits.view(np.float32), np.array([1, 1.5, 64, 2980], np.float32)])
    expected = np.log(x.astype(np.float64))
    error = np.abs(natural_log(x) - expected)
    assert (error <= 2.5e-7 * np.abs(expected) + 1e-12).all()


def test_the_logarithm_at_its_ends() -> None:
    x = np.array([0.0, 1e-45, 1.0], np.float32)
    with np.errstate(all="raise"):
        ends = natural_log(x)
    assert np.isfinite(ends).all()
    assert ends[2] == 0
    assert (x * ends)[0] == 0


@given(seed=st.integers(0, 2**32 - 1), n=st.integers(0, 7), k=st.integers(1, 300))
def test_row_sums_have_the_bits_that_halving_gives(seed: int, n: int, k: int) -> None:
    table = np.random.default_rng(seed).random((n, k)).astype(np.float32)

    def by_hand(row: list[np.float32]) -> np.float32:
        while len(row) > 1:
            half = len(row) // 2
            tail = row[len(row) - half :]
            row = [a + b for a, b in zip(row, tail, strict=False)] + row[half : len(row) - half]
        return row[0]

    before = table.copy()
    sums = row_sums(table)
    assert sums.tolist() == [by_hand(list(row)) for row in table]
    np.testing.assert_array_equal(table, before)
    np.testing.assert_allclose(sums, table.astype(float).sum(axis=1), rtol=6e-7)


@given(
    rows=st.lists(st.lists(st.integers(0, 4), min_size=3, max_size=3), min_size=1, max_size=9),
)
def test_top_two(rows: list[list[int]]) -> None:
    best, first, second = top_two(np.array(rows, np.float32))
    for i, row in enumerate(rows):
        assert best[i] == row.index(max(row))
        assert [second[i], first[i]] == sorted(row)[1:]


def test_top_two_of_one_class_and_of_nan() -> None:
    best, first, second = top_two(np.array([[0.5]], np.float32))
    assert (best[0], first[0], second[0]) == (0, 0.5, 0)
    assert np.isnan(top_two(np.array([[0.5, np.nan, 0.25]], np.float32))[1][0])


@pytest.mark.parametrize(
    ("value", "step"),
    [(0.0, 0), (1.0, 4096), (0.5 / 4096, 0), (1.5 / 4096, 2), (2**0.5, 5793), (7.9997, 32767)],
)
def test_the_grid(value: float, step: int) -> None:
    assert to_grid(np.array([value], np.float32)).tolist() == [step]

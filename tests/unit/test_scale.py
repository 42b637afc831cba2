"""Numbers without a bound on the grid: monotone, reversible, and NaN stays NaN."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.rows import row_sums
from scoring.scores.scale import LARGEST, logarithm, logarithmic, shifted, squared_norm
from scoring.types import GRID


@pytest.mark.parametrize("d", [1, 2, 8, 63, 64, 65, 127, 129, 384, 385, 1024])
def test_squared_norms_have_the_bits_of_row_sums(d: int) -> None:
    table = np.random.default_rng(d).normal(size=(7, d)).astype(np.float32)
    table.flags.writeable = False
    found = squared_norm(table)
    np.testing.assert_array_equal(found, row_sums(table * table))
    np.testing.assert_allclose(found, (table.astype(float) ** 2).sum(axis=1), rtol=1e-6)


@given(st.lists(st.floats(-40, 40, width=32), min_size=1, max_size=20))
def test_shifted_keeps_the_order_and_can_be_read_back(values: list[float]) -> None:
    x = np.sort(np.array(values, np.float32))
    score = shifted(x, -16.0, 4.0)
    assert (np.diff(score) >= 0).all()
    assert ((score >= 0) & (score <= LARGEST)).all()
    inside = (x > -16) & (x < 15.99)
    np.testing.assert_allclose(4 * score[inside] - 16, x[inside], atol=1e-5)


@given(st.lists(st.floats(0, 2.0**100, width=32), min_size=1, max_size=20))
def test_the_logarithmic_scale_keeps_the_order_and_can_be_read_back(values: list[float]) -> None:
    x = np.sort(np.array(values, np.float32))
    score = logarithmic(x)
    assert (np.diff(score) >= -1e-6).all()  # to a rounding, far below a grid step
    inside = (x > 1e-3) & (x < 2900)
    np.testing.assert_allclose(np.expm1(score[inside].astype(float)), x[inside], rtol=1e-3)
    assert (score[x > 3000] == np.float32(LARGEST)).all()


def test_ends() -> None:
    assert round(LARGEST * GRID) == np.iinfo(np.int16).max
    assert logarithmic(np.array([0.0], np.float32)).tolist() == [0.0]
    odd = logarithm(np.array([math.nan, math.inf, 0.0, 1.0], np.float32))
    assert np.isnan(odd[:2]).all()
    assert odd[2] < -80
    assert odd[3] == 0

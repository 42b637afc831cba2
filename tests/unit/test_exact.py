"""Logarithm and exponential: near the truth, and the same bits everywhere."""

from __future__ import annotations

import hashlib
import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buffers.exact import exp, ln, one_minus_exp

ULPS = 2


def ulps(found: float, truth: Decimal) -> Decimal:
    return abs(Decimal(found) - truth) / Decimal(math.ulp(float(truth)))


def one(value: float) -> np.ndarray:
    return np.array([value])


@settings(deadline=None, max_examples=500)
@given(st.floats(5e-324, 1.7976931348623157e308, allow_subnormal=True))
@example(1.0 - 2.0**-53)
@example(1.0 + 2.0**-52)
@example(math.sqrt(0.5))
def test_ln_is_near_the_truth(x: float) -> None:
    with localcontext(prec=60):
        assert ulps(float(ln(one(x))[0]), Decimal(x).ln()) <= ULPS


@settings(deadline=None, max_examples=500)
@given(st.floats(-708.0, 709.0))
@example(1e-300)
@example(math.log(2) / 2)
def test_exp_is_near_the_truth(x: float) -> None:
    with localcontext(prec=60):
        assert ulps(float(exp(one(x))[0]), Decimal(x).exp()) <= ULPS


@settings(deadline=None, max_examples=500)
@given(st.one_of(st.floats(-750.0, 0.0), st.floats(-1.0, 0.0), st.floats(-1e-9, 0.0)))
@example(-math.log(2) / 2)
def test_one_minus_exp_is_near_the_truth_near_zero_too(x: float) -> None:
    with localcontext(prec=400):
        assert ulps(float(one_minus_exp(one(x))[0]), 1 - Decimal(x).exp()) <= ULPS


def test_both_agree_with_the_library() -> None:
    x = np.random.default_rng(0).uniform(-700, 700, 100_000)
    np.testing.assert_allclose(exp(x), np.exp(x), rtol=5e-16)
    np.testing.assert_allclose(ln(np.exp(x)), np.log(np.exp(x)), rtol=5e-16)


BITS = [  # x, ln(x), exp(-x)
    ("0x1.0000000000000p-53", "-0x1.25e4f7b2737fap+5", "0x1.fffffffffffffp-1"),
    ("0x1.999999999999ap-4", "-0x1.26bb1bbb55515p+1", "0x1.cf46d99d52b3ap-1"),
    ("0x1.5555555555555p-2", "-0x1.193ea7aad030bp+0", "0x1.6edd3122f2ea5p-1"),
    ("0x1.fffffffffffffp-1", "-0x1.0000000000000p-53", "0x1.78b56362cef38p-2"),
    ("0x1.0000000000001p+0", "0x1.fffffffffffffp-53", "0x1.78b56362cef36p-2"),
    ("0x1.921fb54442d18p+1", "0x1.250d048e7a1bdp+0", "0x1.620227b598efap-5"),
    ("0x1.2b00000000000p+8", "0x1.6cd411481a020p+2", "0x1.8d53b1c55c677p-432"),
]


@pytest.mark.parametrize(("x", "ln_x", "exp_minus_x"), BITS)
def test_committed_bits(x: str, ln_x: str, exp_minus_x: str) -> None:
    value = one(float.fromhex(x))
    assert float(ln(value)[0]).hex() == float.fromhex(ln_x).hex()
    assert float(exp(-value)[0]).hex() == float.fromhex(exp_minus_x).hex()


def digest(values: np.ndarray) -> str:
    return hashlib.blake2b(values.astype("<f8").tobytes(), digest_size=8).hexdigest()


def test_committed_digests_of_many_bits() -> None:
    x = np.arange(1, 200_001, dtype=np.float64) * 2.0**-17  # exact, (0, 1.53]
    assert digest(ln(x)) == "2dcc14cfae9887aa"
    assert digest(exp(-300.0 * x)) == "a682592a6fd595f0"
    assert digest(one_minus_exp(-x)) == "46ce9cc4f36c085b"


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32), st.integers(1, 70), st.integers(1, 4))
def test_a_value_has_the_same_bits_in_any_company(seed: int, n: int, step: int) -> None:
    x = np.random.default_rng(seed).uniform(1e-9, 40, n * step)[::step]  # strided too
    for function in (ln, lambda y: exp(-y), lambda y: one_minus_exp(-y)):
        alone = [float(function(one(float(value)))[0]) for value in x]
        assert function(x).tolist() == alone


def test_ends_of_the_range() -> None:
    assert exp(np.array([-np.inf, -800.0, 0.0, 800.0, np.inf])).tolist() == [
        0.0, 0.0, 1.0, np.inf, np.inf,
    ]  # fmt: skip
    assert one_minus_exp(np.array([-np.inf, 0.0])).tolist() == [1.0, 0.0]
    assert ln(np.array([1.0])).tolist() == [0.0]
    assert ln(np.zeros(0)).shape == exp(np.zeros(0)).shape == (0,)


@pytest.mark.parametrize("x", [0.0, -1.0, np.inf, np.nan])
def test_ln_refuses_what_has_none(x: float) -> None:
    with pytest.raises(ValueError, match="above 0"):
        ln(np.array([1.0, x]))


def test_exp_refuses_nan() -> None:
    for function in (exp, one_minus_exp):
        with pytest.raises(ValueError, match="NaN"):
            function(np.array([np.nan]))

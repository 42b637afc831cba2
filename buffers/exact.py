"""Logarithm and exponential that give equal bits on every machine.

Libraries differ in the last bit between CPUs and versions, and one bit of a rank moves a row
(law 7). Here are only + - * / and comparisons, one IEEE operation per numpy call (so nothing is
fused into one rounding), and frexp, ldexp, floor, which are exact. Errors stay under 2 ulp.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]

LN2_HIGH = float.fromhex("0x1.62e42fefap-1")  # 36 bits, so that times an exponent is exact
LN2_LOW = float.fromhex("0x1.cf79abc9e3b3ap-40")  # ln 2 less the above
PER_LN2 = float.fromhex("0x1.71547652b82fep+0")  # 1 / ln 2
ROOT_HALF = float.fromhex("0x1.6a09e667f3bcdp-1")
# Taylor is enough on such short ranges: the first term left out is under 2**-57 of the result.
ATANH_TERMS = tuple(2.0 / n for n in range(23, 2, -2))  # 2/23 .. 2/3: powers of s*s, s <= 0.172
EXP_TERMS = (  # 1/14! .. 1/2!: powers of r, |r| <= 0.347
    1 / 87178291200, 1 / 6227020800, 1 / 479001600, 1 / 39916800, 1 / 3628800, 1 / 362880,
    1 / 40320, 1 / 5040, 1 / 720, 1 / 120, 1 / 24, 1 / 6, 1 / 2,
)  # fmt: skip


def ln(x: Float64s) -> Float64s:
    """Natural logarithm of finite numbers > 0; ValueError for others."""
    x = np.asarray(x, np.float64)
    if not bool(np.all((x > 0) & (x < np.inf))):
        raise ValueError("ln wants finite numbers above 0")
    mantissa, exponent = np.frexp(x)
    small = mantissa < ROOT_HALF
    f = np.where(small, mantissa + mantissa, mantissa) - 1.0  # exact, in [-0.293, 0.415)
    k = np.where(small, exponent - 1, exponent).astype(np.float64)
    # ln(1 + f) = 2 atanh(s) = 2s + s * series = f - s * (f - series), as 2s = f - s * f:
    # f is exact, so only the small second part carries an error.
    s = f / (f + 2.0)
    z = s * s
    series = _polynomial(ATANH_TERMS, z) * z
    rest = s * (f - series) - k * LN2_LOW
    return k * LN2_HIGH - (rest - f)


def exp(x: Float64s) -> Float64s:
    """e to the x; 0 and infinity beyond the range of doubles. ValueError for NaN."""
    tail, k = _reduced(x)
    with np.errstate(over="ignore"):
        return np.ldexp(tail + 1.0, k)


def one_minus_exp(x: Float64s) -> Float64s:
    """1 - e to the x, exact to 2 ulp near 0 too. For x <= 0: a probability. ValueError for NaN."""
    tail, k = _reduced(x)
    with np.errstate(over="ignore"):
        return np.where(k == 0, -tail, 1.0 - np.ldexp(tail + 1.0, k))


def _reduced(x: Float64s) -> tuple[Float64s, npt.NDArray[np.int32]]:
    """(e**r - 1, k) with x = k ln 2 + r and |r| <= ln 2 / 2."""
    x = np.asarray(x, np.float64)
    if bool(np.any(np.isnan(x))):
        raise ValueError("exp of NaN")
    x = np.minimum(np.maximum(x, -746.0), 710.0)  # beyond: 0 and infinity all the same
    k = np.floor(x * PER_LN2 + 0.5)
    high = x - k * LN2_HIGH  # exact
    low = k * LN2_LOW
    r = high - low
    lost = (high - r) - low  # what the rounding of r dropped
    tail = r + (r * r * _polynomial(EXP_TERMS, r) + lost)
    return tail, k.astype(np.int32)


def _polynomial(terms: tuple[float, ...], x: Float64s) -> Float64s:
    """Horner's rule, highest power first, one rounding per step."""
    total = np.full_like(x, terms[0])
    for term in terms[1:]:
        total *= x
        total += term
    return total

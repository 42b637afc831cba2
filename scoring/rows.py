"""Arithmetic on (n, k) tables whose every row is its own: to the last bit, whatever stands beside.

`numpy.sum` and BLAS choose their order of addition by shape, stride and CPU, and `numpy.log` its
polynomial by CPU. Here only element-wise IEEE operations, comparisons and gathers are used, so a
row gives the same bits alone, in any batch and on any CPU (law 7: elementary operations, no
library logarithms). All tables are float32.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from scoring.types import GRID, Floats, Grid, Ints

BLOCK = 512  # rows that are worked on at once, so that they stay in the cache

# ln m = 2 (s + s^3/3 + s^5/5 + ...) with s = (m - 1) / (m + 1). For m in [2/3, 4/3) |s| <= 1/5 and
# the first term left out, 2 s^11 / 11, is below 4e-9: less than half a float32 step of the rest.
_SERIES = tuple(np.float32(2.0 / odd) for odd in (9, 7, 5, 3, 1))
_LN2 = np.float32(0.6931471805599453)
_ONE = np.float32(1.0)
_TWO_THIRDS = np.int32(0x3F2AAAAB)  # bits of the float32 next to 2/3


def blocks(n: int) -> Iterator[slice]:
    """Slices of BLOCK rows that cover n rows."""
    return (slice(start, start + BLOCK) for start in range(0, n, BLOCK))


def natural_log(x: Floats) -> Floats:
    """ln x for x >= 0, any shape, within 2e-7 relative.

    Finite at 0 and at subnormals (about -88), so that `x * natural_log(x)` is 0 there. In float32
    and seven times faster than buffers.exact.ln, whose 2 ulp of float64 ranks need and scores,
    which are rounded to 1/4096, do not.
    """
    bits = x.view(np.int32)
    exponent = (bits - _TWO_THIRDS) >> 23
    mantissa = (bits - (exponent << 23)).view(np.float32)  # in [2/3, 4/3)
    s = (mantissa - _ONE) / (mantissa + _ONE)
    square = s * s
    total = np.full_like(s, _SERIES[0])
    for coefficient in _SERIES[1:]:
        total *= square
        total += coefficient
    logarithm: Floats = total * s + exponent.astype(np.float32) * _LN2
    return logarithm


def row_sums(table: Floats) -> Floats:
    """(n, k) -> (n,): the sum of each row, added by halves.

    The order of addition depends on k alone; the error is at most ceil(log2 k) roundings.
    """
    columns: Floats = np.array(table.T, order="C")  # (k, n): additions run along contiguous memory
    width = len(columns)
    while width > 1:
        half = width // 2
        columns[:half] += columns[width - half : width]
        width -= half
    sums: Floats = columns[0]
    return sums


def top_two(probs: Floats) -> tuple[Ints, Floats, Floats]:
    """Per row the index of the largest entry (the first on ties), it, and the next largest.

    With one class the next largest is 0. NaN counts as largest, so it shows in the second result.
    """
    n, k = probs.shape
    rows = np.arange(n)
    best = probs.argmax(axis=1)
    first = probs[rows, best]
    if k == 1:
        return best.astype(np.int32), first, np.zeros(n, np.float32)
    others = probs.copy()
    others[rows, best] = -1.0
    # argmax and a gather: several times faster than max along rows
    second = others[rows, others.argmax(axis=1)]
    return best.astype(np.int32), first, second


def to_grid(values: npt.NDArray[np.floating]) -> Grid:
    """round(value * GRID), halves to even. The values must lie in [0, 32767 / GRID]."""
    steps: Grid = np.rint(values * np.float32(GRID)).astype(np.int16)
    return steps

"""Numbers without a bound, brought onto the grid: monotone, so that no order is lost.

A score ends at `LARGEST`, because the grid is an int16. What has a sign or no end is mapped by one
of these; the file of the score says which, so that the paper's number can be read back.
"""

from __future__ import annotations

import numpy as np

from scoring.rows import BLOCK, blocks, natural_log, row_sums
from scoring.types import GRID, Floats

LARGEST = np.iinfo(np.int16).max / GRID  # 7.9998: the last step of the grid
_ONE = np.float32(1.0)
_WIDE = 64  # columns; wider rows are halved where they lie, narrower ones faster by columns


def bounded(values: Floats, high: float) -> Floats:
    """Clipped to [0, high]: sums of float32 may end a rounding beyond the ends."""
    return np.clip(values, np.float32(0.0), np.float32(high))


def shifted(values: Floats, least: float, unit: float) -> Floats:
    """(values - least) / unit, clipped to [0, LARGEST]. Back: value = least + unit * score."""
    return bounded((values - np.float32(least)) / np.float32(unit), LARGEST)


def logarithm(values: Floats) -> Floats:
    """ln of values >= 0, NaN where they are not finite.

    `natural_log` reads bits: it makes a number of NaN, which would then go on as a score.
    """
    finite = np.isfinite(values)
    if finite.all():
        return natural_log(values)
    return np.where(finite, natural_log(values), np.float32(np.nan))


def logarithmic(values: Floats) -> Floats:
    """ln(1 + value) for values >= 0, clipped at LARGEST: as it is near 0, relative far from it.

    Back: value = exp(score) - 1, up to 2979.
    """
    return bounded(logarithm(values + _ONE), LARGEST)


def squared_norm(table: Floats) -> Floats:
    """(n, d) -> (n,) the squared length of each row."""
    result = np.empty(len(table), np.float32)
    room = np.empty((min(BLOCK, len(table)), table.shape[1]), np.float32)
    for block in blocks(len(result)):
        rows = table[block]
        squares = np.square(rows, out=room[: len(rows)])
        width = squares.shape[1]
        while width > _WIDE:  # what row_sums does, before it turns what is left
            half = width // 2
            squares[:, :half] += squares[:, width - half : width]
            width -= half
        result[block] = row_sums(squares[:, :width])
    return result

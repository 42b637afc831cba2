"""The audited label-noise rate with its interval."""

from __future__ import annotations

import math
from typing import NamedTuple

Z95 = 1.959963984540054  # two-sided 95 % quantile of the standard normal


class Interval(NamedTuple):
    """An estimate and its two-sided 95 % interval, all in [0, 1]."""

    estimate: float
    low: float
    high: float


def wilson(successes: float, n: float) -> Interval:
    """Wilson's score interval of a binomial share (JASA 22, 1927, p. 209).

    Only + - * / and sqrt, which IEEE 754 rounds correctly: the same bits on every CPU. Counts may
    be decayed, hence not whole. Raises ZeroDivisionError for n = 0.
    """
    share = successes / n
    centre = share + Z95 * Z95 / (2 * n)
    half = Z95 * math.sqrt(share * (1 - share) / n + Z95 * Z95 / (4 * n * n))
    scale = 1 + Z95 * Z95 / n
    return Interval(share, max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale))

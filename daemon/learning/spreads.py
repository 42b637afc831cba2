"""How a score is spread in a calibration's half: what policies map between. Integers alone."""

from __future__ import annotations

from collections.abc import Mapping
from math import isqrt

import numpy as np

from daemon.learning.calibration import SCALE, quantile
from daemon.policy import Learning
from scoring.policies.strata import stratum_of
from scoring.types import GRID, Asks, Spread


def spread(histogram: Mapping[int, int], learning: Learning, asks: Asks) -> Spread:
    """Of one histogram, step -> count in SCALE-ths; an empty one gives `rows` 0."""
    low = quantile(histogram, learning.low_quantile)
    high = min(max(low + 1, quantile(histogram, learning.high_quantile)), 8 * GRID)
    rows, deviation = _moments(histogram)
    cut = low if asks.share is None else quantile(histogram, asks.share)
    strata = _strata(histogram, low, high, asks.strata)
    return Spread(low, high, rows, deviation, cut, strata, _ladder(histogram, asks.rungs))


def _moments(histogram: Mapping[int, int]) -> tuple[int, int]:
    """Rows, and the standard deviation in steps: both rounded down, the latter at least 1."""
    total = first = second = 0
    for step, count in histogram.items():
        total += count
        first += count * step
        second += count * step * step
    # T sum(c s^2) - (sum c s)^2 = T^2 variance, without a fraction
    deviation = isqrt(total * second - first * first) // max(total, 1)
    return total // SCALE, max(deviation, 1)


def _strata(histogram: Mapping[int, int], low: int, high: int, count: int) -> tuple[int, ...]:
    masses = [0] * count
    if count:
        steps = np.array(list(histogram), np.int64)
        places = stratum_of(steps, low, high, count).tolist()
        for place, mass in zip(places, histogram.values(), strict=True):
            masses[place] += mass
    return tuple(masses)


def _ladder(histogram: Mapping[int, int], rungs: int) -> tuple[int, ...]:
    """For each of 1/rungs, 2/rungs ... the smallest step with at least this share at or below."""
    total, seen, found = sum(histogram.values()), 0, list[int]()
    for step in sorted(histogram):
        seen += histogram[step]
        while len(found) + 1 < rungs and seen * rungs >= (len(found) + 1) * total:
            found.append(step)
    return tuple(found)

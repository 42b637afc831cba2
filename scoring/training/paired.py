"""Paired differences: what one arm answers rightly more often than another, with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from scoring.training.dice import Dice, Floats64

RESAMPLES = 1_000


class Difference(NamedTuple):
    """one - other, in [-1, 1], with its two-sided 95 % bootstrap interval."""

    estimate: float
    low: float
    high: float


def differences(gains: Floats64, labels: Sequence[str]) -> tuple[Difference, Difference]:
    """Plain and macro difference of paired answers.

    `gains` (s, n) in {-1, 0, 1}: seed s, row n; `labels` (n,). Rows and seeds are resampled
    together, both arms alike (Efron & Tibshirani 1993, section 13.3: percentile interval).
    """
    seeds, rows = gains.shape
    _, group = np.unique(np.array(labels), return_inverse=True)
    dice = Dice("bootstrap", seeds, rows)
    which_rows = dice.below("rows", RESAMPLES * rows, rows).reshape(RESAMPLES, rows)
    which_seeds = dice.below("seeds", RESAMPLES * seeds, seeds).reshape(RESAMPLES, seeds)
    plain = np.empty(RESAMPLES)
    macro = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        gain = gains[which_seeds[draw]].mean(axis=0)[which_rows[draw]]
        plain[draw] = gain.mean()
        macro[draw] = _macro(gain, group[which_rows[draw]])
    mean = gains.mean(axis=0)
    return _interval(float(mean.mean()), plain), _interval(_macro(mean, group), macro)


def _macro(gain: Floats64, group: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> float:
    """Mean over the groups that occur of the mean gain inside."""
    sizes = np.bincount(group)
    sums = np.bincount(group, weights=gain)
    return float((sums[sizes > 0] / sizes[sizes > 0]).mean())


def _interval(estimate: float, draws: Floats64) -> Difference:
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return Difference(estimate, low, high)

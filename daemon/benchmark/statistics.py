"""Figures of arms, and paired differences between them, with their intervals.

Every figure is a weighted mean of right answers, with weights that depend on the seed alone, so a
bootstrap of seeds and of rows (within their class) is a product of matrices.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from scoring.training.dice import Dice, Floats64, Ints64

RESAMPLES = 1_000
TAIL_TRAFFIC = 0.4  # the intents that bring the least traffic, this share of it in all
FIGURES = ("plain", "macro", "traffic", "tail")


class Interval(NamedTuple):
    """An estimate with its two-sided 95 % bootstrap interval."""

    estimate: float
    low: float
    high: float


def tail(traffic: Floats64) -> npt.NDArray[np.bool_]:
    """(k,) the least frequent classes that together bring at most TAIL_TRAFFIC; at least one."""
    order = np.argsort(traffic, kind="stable")
    rare = np.cumsum(traffic[order]) <= TAIL_TRAFFIC + 1e-9
    rare[0] = True
    chosen = np.zeros(len(traffic), np.bool_)
    chosen[order[rare]] = True
    return chosen


def weights(classes: Ints64, traffic: Floats64) -> Mapping[str, Floats64]:
    """What each of m asked rows counts, by figure; each sums to 1. Classes nobody asks do not."""
    sizes = np.bincount(classes, minlength=len(traffic)).astype(np.float64)
    there = sizes > 0
    of_class = {
        "plain": sizes,
        "macro": there.astype(np.float64),
        "traffic": traffic * there,
        "tail": (tail(np.where(there, traffic, 0.0)) & there).astype(np.float64),
    }
    made = {}
    for name, shares in of_class.items():
        counted = shares if shares.sum() > 0 else there.astype(np.float64)
        made[name] = (counted / counted.sum() / np.maximum(sizes, 1))[classes]
    return made


def mean(right: npt.NDArray[Any], counted: Floats64) -> float:
    """Over s seeds and m rows: `right` (s, m), `counted` (s, m) with rows that sum to 1."""
    return float((right * counted).sum(axis=1).mean())


def interval(gains: npt.NDArray[Any], counted: Floats64, classes: Ints64) -> Interval:
    """Of the mean of `gains` (s, m), by resampling seeds, and rows within their class.

    Percentile interval (Efron and Tibshirani 1993, section 13.3). For paired arms `gains` is the
    difference of their right answers.
    """
    seeds = len(gains)
    drawn = _row_counts(tuple(classes.tolist()))
    by_seed = drawn @ (gains * counted).T.astype(np.float32)  # (resamples, s)
    picks = Dice("bootstrap", seeds).below("seeds", RESAMPLES * seeds, seeds)
    means = np.take_along_axis(by_seed, picks.reshape(RESAMPLES, seeds), axis=1).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975)).tolist()
    return Interval(mean(gains, counted), low, high)


@lru_cache(maxsize=2)
def _row_counts(classes: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """(resamples, m) how often each row was drawn, its class's size being kept."""
    own = np.array(classes)
    counts = np.zeros((RESAMPLES, len(own)), np.float32)
    for name in np.unique(own).tolist():
        rows = np.flatnonzero(own == name)
        drawn = Dice("bootstrap", "rows", name).below("draws", RESAMPLES * len(rows), len(rows))
        places = np.repeat(np.arange(RESAMPLES), len(rows)) * len(rows) + drawn
        found = np.bincount(places, minlength=RESAMPLES * len(rows)).reshape(RESAMPLES, -1)
        counts[:, rows] = found
    return counts


def auroc(values: Floats64, wrong: npt.NDArray[np.bool_]) -> float | None:
    """Chance that a wrong row has the larger value, ties counting half; None without both kinds.

    Mann and Whitney 1947: from the ranks of the wrong rows.
    """
    ones = int(wrong.sum())
    if not 0 < ones < len(wrong):
        return None
    _, place, count = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(count) - (count - 1) / 2)[place]
    above = float(ranks[wrong].sum()) - ones * (ones + 1) / 2
    return above / (ones * (len(wrong) - ones))

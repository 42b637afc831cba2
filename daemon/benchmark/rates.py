"""Rates of joint answers with intervals, and paired differences of two arms, absolute or relative.

A rate is a ratio of sums, so utterances are drawn with all their counts, and seeds as a whole; both
arms alike (Efron and Tibshirani 1993, section 13.3: percentile interval).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from daemon.benchmark.statistics import RESAMPLES, Interval
from scoring.training.dice import Dice, Floats64
from scoring.training.mistakes import RATES, UP, Counts, rates

Difference = Callable[[Counts, Counts], Mapping[str, Interval]]


def alone(counts: Counts) -> Mapping[str, Interval]:
    """Of (s, n, 7): s seeds, n utterances."""
    drawn, whole = _drawn(counts), rates(counts.sum(axis=(0, 1)))
    return {name: _interval(float(whole[name]), rates(drawn)[name]) for name in RATES}


def gains(counts: Counts, others: Counts) -> Mapping[str, Interval]:
    """How much better than the others, (s, n, 7) each of equal seeds and utterances: above 0."""
    made = {}
    pairs = rates(_drawn(counts)), rates(_drawn(others))
    wholes = rates(counts.sum(axis=(0, 1))), rates(others.sum(axis=(0, 1)))
    for name in RATES:
        sign = 1 if name in UP else -1
        (mine, theirs), (own, other) = ([each[name] for each in two] for two in (pairs, wholes))
        made[name] = _interval(sign * float(own - other), sign * (mine - theirs))
    return made


def spared(counts: Counts, others: Counts) -> Mapping[str, Interval]:
    """Share of the others' mistakes that is not made: 0.1 is a tenth fewer. Of intents, as
    `accuracy`, of SEMER, F-SEMER and IRER; of slots, as `slot_f1`, the share of 1 - F1."""
    made = {}
    pairs = rates(_drawn(counts)), rates(_drawn(others))
    wholes = rates(counts.sum(axis=(0, 1))), rates(others.sum(axis=(0, 1)))
    for name in RATES:
        mine, theirs, own, other = (
            1 - each[name] if name in UP else each[name] for each in (*pairs, *wholes)
        )
        share = 1 - float(own) / max(float(other), 1e-12)
        made[name] = _interval(share, 1 - mine / np.maximum(theirs, 1e-12))
    return made


def _interval(estimate: float, draws: Floats64) -> Interval:
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return Interval(estimate, low, high)


def _drawn(counts: Counts) -> Floats64:
    """(RESAMPLES, 7) sums of as many seeds and utterances, drawn with replacement."""
    seeds, rows, _ = counts.shape
    by_seed = np.einsum("rn,snc->rsc", _weights(rows), counts.astype(np.float64), optimize=True)
    picks = Dice("bootstrap", seeds).below("seeds", RESAMPLES * seeds, seeds)
    places = picks.reshape(RESAMPLES, seeds)
    drawn: Floats64 = np.take_along_axis(by_seed, places[:, :, None], axis=1).sum(axis=1)
    return drawn


@lru_cache(maxsize=4)
def _weights(rows: int) -> npt.NDArray[np.float64]:
    """(RESAMPLES, n) how often each utterance was drawn."""
    drawn = Dice("bootstrap", "utterances").below("draws", RESAMPLES * rows, rows)
    places = np.repeat(np.arange(RESAMPLES), rows) * rows + drawn
    found = np.bincount(places, minlength=RESAMPLES * rows).reshape(RESAMPLES, rows)
    return found.astype(np.float64)

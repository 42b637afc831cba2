"""Temperature scaling: one number per checkpoint that makes its probabilities honest.

Guo, Pleiss, Sun and Weinberger 2017 (arXiv 1706.04599), section 4.2: logits are divided by T before
softmax, T by the smallest cross-entropy of labelled rows that it was not trained on; no answer
changes, only how sure it is. T is an integer in 1/GRID and part of an edition, so every score is
made of the same probabilities wherever it is computed (law 7).

Calibration error is theirs, section 3: 15 bins of equal width by confidence, the mean of
|accuracy - confidence| weighted by rows. Wrong labels count as overconfidence, so noisy rows make T
too large: take labels that were checked.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from scoring.models.base import softmax
from scoring.types import GRID, Floats, Ints, Outputs

ONE = GRID  # the temperature that changes nothing
COLDEST, HOTTEST = GRID // 20, 20 * GRID
ROWS_MIN = 50  # labelled rows under which a temperature says more about them than the checkpoint
BINS = 15

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Fitted:
    """A temperature in 1/GRID, and what it did to the rows that it was fitted on."""

    temperature: int
    before: float  # expected calibration error at temperature 1, in [0, 1]
    after: float
    rows: int


def tempered(outputs: Outputs, temperature: int) -> Outputs:
    """The outputs with logits divided by `temperature` / GRID; at ONE the same object."""
    if temperature == ONE:
        return outputs
    logits: Floats = outputs.logits * np.float32(ONE / temperature)
    return replace(outputs, logits=logits, probs=softmax(logits))


def fit(logits: Floats, labels: Ints) -> Fitted | None:
    """Of (n, k) raw logits and (n,) class indices, negative where unknown. None of too few rows."""
    known = np.flatnonzero(labels >= 0)
    if len(known) < ROWS_MIN:
        return None
    rows, given = logits[known].astype(np.float64), labels[known]
    low, high = COLDEST, HOTTEST
    while high - low > 2:  # the cross-entropy has one minimum: it is convex in 1 / T
        third = (high - low) // 3
        left, right = low + third, high - third
        if _cross_entropy(rows, given, left) <= _cross_entropy(rows, given, right):
            high = right
        else:
            low = left
    best = min(range(low, high + 1), key=lambda t: _cross_entropy(rows, given, t))
    before, after = (_error(rows, given, t) for t in (ONE, best))
    return Fitted(best, before, after, len(known))


def calibration_error(confidence: Doubles, right: npt.NDArray[np.bool_]) -> float:
    """Expected calibration error of n answers; the bins are (0, 1/15], (1/15, 2/15] and so on."""
    if not len(confidence):
        return 0.0
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)
    gaps = [
        math.fsum(confidence[bins == b]) - int(np.count_nonzero(right[bins == b]))
        for b in range(BINS)
    ]
    return math.fsum(abs(gap) for gap in gaps) / len(confidence)


def _log_probs(logits: Doubles, temperature: int) -> Doubles:
    scaled = logits * (ONE / temperature)
    scaled -= scaled.max(axis=1, keepdims=True)
    logs: Doubles = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return logs


def _cross_entropy(logits: Doubles, given: Ints, temperature: int) -> float:
    logs = _log_probs(logits, temperature)
    return -math.fsum(logs[np.arange(len(given)), given])


def _error(logits: Doubles, given: Ints, temperature: int) -> float:
    probs = np.exp(_log_probs(logits, temperature))
    return calibration_error(probs.max(axis=1), probs.argmax(axis=1) == given)

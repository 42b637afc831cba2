"""What a row says of the label that it was given: its probability, its rival, its error vector.

UNKNOWN_LABEL is a class outside the k, of probability 0. All of it row by row (scoring.rows).
"""

from __future__ import annotations

from typing import TypeVar

import numpy as np

from scoring.rows import blocks, row_sums
from scoring.types import UNKNOWN_LABEL, Floats, Ints

T = TypeVar("T")


def needed(column: T | None, score: str, what: str) -> T:
    """The column, or ValueError where a score is asked without what it `needs`."""
    if column is None:
        raise ValueError(f"{score} needs {what}")
    return column


def checkpoints(history: Floats | None, score: str) -> Floats:
    """(m, n, ...) with m >= 1. ValueError without a history, or with an empty one."""
    found = needed(history, score, "history")
    if not len(found):
        raise ValueError(f"{score} needs a history of at least one checkpoint")
    return found


def probability(probs: Floats, labels: Ints) -> Floats:
    """(n, k), (n,) -> (n,) p_y; 0 for UNKNOWN_LABEL."""
    known = np.flatnonzero(labels >= 0)
    result = np.zeros(len(probs), np.float32)
    result[known] = probs[known, labels[known]]
    return result


def rival(probs: Floats, labels: Ints) -> Floats:
    """(n, k), (n,) -> (n,) max_{j != y} p_j; 0 where there is no other class."""
    others = np.array(probs, np.float32, order="C")
    known = np.flatnonzero(labels >= 0)
    others[known, labels[known]] = 0.0
    largest: Floats = others[np.arange(len(others)), others.argmax(axis=1)]
    return largest


def squared_error(probs: Floats, labels: Ints) -> Floats:
    """(n, k), (n,) -> (n,) ||p - y||^2 in [0, 2], give or take a rounding.

    Never 1 - 2 p_y + sum p^2: that cancels where p_y is near 1.
    """
    result = np.empty(len(probs), np.float32)
    for block in blocks(len(result)):
        error = np.array(probs[block], np.float32, order="C")
        given = labels[block]
        known = np.flatnonzero(given >= 0)
        error[known, given[known]] -= np.float32(1.0)
        error *= error
        result[block] = row_sums(error) + (given == UNKNOWN_LABEL).astype(np.float32)
    return result

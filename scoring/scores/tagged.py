"""Errors at the slots: per row as many positions as it has words, each with its own tag.

Rows differ in length. Positions are added one after the other, so that the sum of a row has the
same bits whatever the longest row beside it is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scoring.scores.given import squared_error
from scoring.types import NO_LABEL, Floats, Ints


def check(slot_probs: Sequence[Floats], slot_labels: Sequence[Ints], score: str) -> None:
    """ValueError unless every row has one label for each of its positions."""
    for probs, labels in zip(slot_probs, slot_labels, strict=True):
        if len(probs) != len(labels):
            raise ValueError(f"{score} needs a slot label for each word, NO_LABEL where none is")


def slot_errors(
    slot_probs: Sequence[Floats], slot_labels: Sequence[Ints]
) -> tuple[Floats, Floats, Floats]:
    """n rows (T_i, S) and (T_i,) -> (n,) sum_t ||e_t||^2, (n,) sum_t ||e_t||, (n,) labelled words.

    e_t = p_t - y_t; a position with NO_LABEL adds nothing.
    """
    n, lengths = len(slot_probs), np.array([len(labels) for labels in slot_labels], np.int64)
    squares, norms, words = np.zeros((3, n), np.float32)
    if not lengths.any():
        return squares, norms, words
    labels = np.concatenate(slot_labels)
    errors = squared_error(np.concatenate(slot_probs), labels)
    errors[labels == NO_LABEL] = 0.0
    row = np.repeat(np.arange(n), lengths)
    starts = np.cumsum(lengths, dtype=np.int64) - lengths
    position = np.arange(len(row)) - starts[row]
    padded = np.zeros((int(lengths.max()), n), np.float32)
    padded[position, row] = errors
    for column in padded:  # adding 0 where a row has ended changes no bit
        squares += column
        norms += np.sqrt(column)
    counted: Floats = np.bincount(row[labels != NO_LABEL], minlength=n).astype(np.float32)
    return squares, norms, counted

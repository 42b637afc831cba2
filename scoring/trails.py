"""Entropy of slot trails: how many ways of filling slots each intent has been seen with.

The table behind score `slot_trail_entropy`. Anand, Tan and Minakova 2023 (arXiv 2311.16298),
equation 8: H = -sum_t P(t) log2 P(t) over the trails of an intent, P by frequency. From counts c of
N rows that is log2 N - sum c log2 c / N: integers can be kept and merged, and the logarithm is
taken once, of elementary IEEE operations (law 7), summed exactly.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from buffers.exact import PER_LN2, ln
from scoring.types import Floats, Ints

Trail = tuple[tuple[str, str | None], ...]  # of a text: (slot, value), value None outside of slots


def trail(tags: Sequence[str], words: Sequence[str], outside: str = "O") -> Trail:
    """The trail of one text. The value counts only where there is a slot.

    Raises ValueError unless there is a tag for each word.
    """
    pairs = zip(tags, words, strict=True)
    return tuple((tag, None if tag == outside else word) for tag, word in pairs)


def entropies(labels: Ints, trails: Sequence[Trail], k: int) -> Floats:
    """(k,) bits: the entropy of the trails of each class; 0 for a class without a row.

    `labels` (n,) are class indices of the n trails; rows with a label outside the k are passed
    over. Independent of the order of rows.
    """
    counts: list[Counter[Trail]] = [Counter() for _ in range(k)]
    for label, walked in zip(labels.tolist(), trails, strict=True):
        if 0 <= label < k:
            counts[label][walked] += 1
    return np.array([entropy_of_counts(count.values()) for count in counts], np.float32)


def entropy_of_counts(counts: Iterable[int]) -> float:
    """Bits of a distribution given as counts > 0; 0.0 of none."""
    kept = np.array(list(counts), np.float64)
    rows = math.fsum(kept)  # exact, so in any order the same
    if not rows:
        return 0.0
    nats = float(ln(np.array([rows]))[0]) - math.fsum(kept * ln(kept)) / rows
    return max(nats * PER_LN2, 0.0)

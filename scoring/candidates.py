"""What a lane keeps of a row's probabilities, so that a label that comes late can be judged.

The largest probabilities in fixed point, 1/65535, with their classes. What is left out is spread
evenly over the other classes. A late label is graded by the same function as an early one
(`scoring.grade.grade`), on the probabilities that `recall` gives back; where the label is among
those kept, its plausibility is what the full row would have given but for 1 / (WHOLE * p), p the
largest probability: one grid step, more where the checkpoint is at sea.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from scoring.grade import MOST_CLASSES, grade
from scoring.rows import natural_log
from scoring.types import Floats, Ints, Outputs

KEEP = 16  # classes per row
WHOLE = 65_535  # fixed point: this is probability 1
NO_CLASS = 65_535  # fills a row of a checkpoint with fewer than `keep` classes

Shorts = npt.NDArray[np.uint16]


def top_probabilities(
    probs: Floats, rows: npt.NDArray[np.integer] | None = None, keep: int = KEEP
) -> tuple[Shorts, Shorts]:
    """Of r rows of (n, k), or of all, the `keep` largest: classes and probabilities, (r, keep).

    Ordered by (probability in fixed point, largest first; class, smallest first): rounding comes
    before ordering, so the order can be checked from what is stored. Filled up with NO_CLASS, 0.
    """
    chosen = probs if rows is None else probs[rows]
    r, k = chosen.shape
    if k > MOST_CLASSES:
        raise ValueError(f"{k} classes: at most {MOST_CLASSES} can be stored")
    fixed = np.minimum(np.rint(chosen * np.float32(WHOLE)), np.float32(WHOLE)).astype(np.uint32)
    # one integer holds both orders, so ties cannot depend on the sorting algorithm
    keys = (fixed << np.uint32(16)) | (NO_CLASS - np.arange(k)).astype(np.uint32)
    if k > keep:
        keys = np.partition(keys, k - keep, axis=1)[:, k - keep :]
    else:
        keys = np.concatenate([keys, np.zeros((r, keep - k), np.uint32)], axis=1)
    keys = np.sort(keys, axis=1)[:, ::-1]
    classes = (NO_CLASS - (keys & np.uint32(0xFFFF))).astype(np.uint16)
    return classes, (keys >> np.uint32(16)).astype(np.uint16)


def expand(classes: Shorts, fixed: Shorts, k: int) -> Floats:
    """(r, keep) and (r, keep) -> (r, k): rows that sum to 1.

    Each class that was left out gets rest / (k - keep). Raises ValueError for a class >= k: the
    row was kept under another checkpoint.
    """
    kept = classes != NO_CLASS
    if (classes[kept] >= k).any():
        raise ValueError(f"a kept class is not among {k} classes")
    inside = fixed.sum(axis=1, dtype=np.int64)
    outside = k - kept.sum(axis=1)
    # rounding up may bring the kept ones above 1; with none outside they are the whole
    whole = np.where(outside > 0, np.maximum(inside, WHOLE), np.maximum(inside, 1))
    rest = (whole - inside) / np.maximum(outside, 1) / whole
    result = np.repeat(rest.astype(np.float32)[:, None], k, axis=1)
    row, place = np.nonzero(kept)
    result[row, classes[row, place]] = (fixed / whole[:, None])[row, place]
    return result


def recall(classes: Shorts, fixed: Shorts, k: int, labels: Ints) -> Outputs:
    """Outputs of kept rows with the labels (r,) that came late: what `grade` needs."""
    probs = expand(classes, fixed, k)
    return Outputs(logits=natural_log(probs), probs=probs, labels=labels)


def plausibility_of(classes: Shorts, fixed: Shorts, k: int, label: int) -> int:
    """Of one kept row, (keep,) and (keep,): the label's plausibility on the grid, or MISSING."""
    labels = np.array([label], np.int32)
    graded = grade(recall(classes[None, :], fixed[None, :], k, labels), ())
    return int(graded.plausibility[0])

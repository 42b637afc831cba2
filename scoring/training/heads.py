"""A softmax head on frozen features, trained in numpy alone.

A fixed number of minibatch steps, then one temperature on held-out rows (Guo et al. 2017,
arXiv:1706.04599): comparisons are at equal steps, and probabilities mean something.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scoring.training.accuracy import Accuracy, indices, shares
from scoring.training.descent import Descent, Head, bordered
from scoring.training.dice import Dice, Ints64
from scoring.types import Floats

__all__ = ["Head", "accuracy", "ensemble", "fit", "history", "hits", "tempered"]

STEPS, BATCH = 400, 128
SHARPNESS = tuple(2.0 ** (step / 4) for step in range(-8, 9))  # 1 / temperature, 0.25 to 4


def fit(
    features: Floats,
    labels: Sequence[str],
    classes: Sequence[str],
    *,
    steps: int = STEPS,
    seed: int = 0,
    weights: Floats | None = None,
    start: Head | None = None,
) -> Head:
    """Train on (n, d) features, n >= 1. Rows are reshuffled when all were seen.

    `weights` (n,) >= 0, not all 0: what each row's loss counts, relative to the mean. `start`: a
    head of the same classes to go on from.
    Raises ValueError for a label that is no class: it would be learnt as some other.
    """
    kept = history(
        features, labels, classes, every=steps, steps=steps, seed=seed, weights=weights, start=start
    )
    return kept[-1]


def history(
    features: Floats,
    labels: Sequence[str],
    classes: Sequence[str],
    *,
    every: int,
    steps: int = STEPS,
    seed: int = 0,
    weights: Floats | None = None,
    start: Head | None = None,
) -> tuple[Head, ...]:
    """The heads after every `every` steps, oldest first; the last one is what `fit` returns."""
    targets = indices(labels, classes)
    if len(targets) == 0 or (targets < 0).any():
        raise ValueError("training needs at least one row, and only labels that are classes")
    if steps < 1 or every < 1:
        raise ValueError("training needs at least one step, and one between snapshots")
    relative = None if weights is None else _relative(weights, len(targets))
    rows = bordered(features)
    descent = Descent(len(classes), features.shape[1], steps, start)
    kept = []
    for number, batch in enumerate(_order(len(targets), steps, seed), start=1):
        shares_of = None if relative is None else relative[batch]
        descent.step(rows[batch], targets[batch], shares_of)
        if number % every == 0 or number == steps:
            kept.append(descent.head)
    return tuple(kept)


def ensemble(
    features: Floats,
    labels: Sequence[str],
    classes: Sequence[str],
    *,
    seeds: Sequence[int],
    steps: int = STEPS,
    weights: Floats | None = None,
) -> tuple[Head, ...]:
    """One head for each seed: they differ in the order of their batches alone."""
    return tuple(
        fit(features, labels, classes, steps=steps, seed=seed, weights=weights) for seed in seeds
    )


def _relative(weights: Floats, count: int) -> Floats:
    if len(weights) != count or not np.isfinite(weights).all() or weights.min() < 0:
        raise ValueError("training takes one finite weight >= 0 for each row")
    mean = float(np.mean(weights, dtype=np.float64))
    if mean == 0:
        raise ValueError("training takes weights of which at least one is not 0")
    relative: Floats = (weights / mean).astype(np.float32)
    return relative


def _order(count: int, steps: int, seed: int) -> list[Ints64]:
    """Row indices of each step: shuffles of all rows, one after the other, cut into batches."""
    size = min(BATCH, count)
    dice = Dice("batches", seed)
    rounds = -(-steps * size // count)
    rows = np.concatenate([dice.permutation(f"round {each}", count) for each in range(rounds)])
    return [rows[step * size : (step + 1) * size] for step in range(steps)]


def tempered(head: Head, features: Floats, labels: Sequence[str], classes: Sequence[str]) -> Head:
    """The head with the temperature that makes held-out labels likeliest; answers stay.

    Rows whose label is no class say nothing. Without rows the head comes back as it is.
    """
    targets = indices(labels, classes)
    known = targets >= 0
    if not known.any():
        return head
    place = np.arange(int(known.sum())), targets[known]
    losses = [
        -np.log(np.maximum(_scaled(head, each).probs(features[known])[place], 1e-12)).mean()
        for each in SHARPNESS
    ]
    return _scaled(head, SHARPNESS[int(np.argmin(losses))])


def _scaled(head: Head, sharpness: float) -> Head:
    return Head(head.weight * np.float32(sharpness), head.bias * np.float32(sharpness))


def hits(head: Head, features: Floats, labels: Sequence[str], classes: Sequence[str]) -> Floats:
    """(n,) 1 where the answer is right; a label that is no class is never answered right."""
    answers = np.argmax(head.logits(features), axis=1)
    right: Floats = (answers == indices(labels, classes)).astype(np.float32)
    return right


def accuracy(
    head: Head, features: Floats, labels: Sequence[str], classes: Sequence[str]
) -> Accuracy:
    """Plain and macro accuracy on n >= 1 rows; macro over the labels that occur."""
    return shares(hits(head, features, labels, classes), labels)

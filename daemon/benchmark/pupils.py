"""The pupil: the head that every arm trains, at the same number of steps and from the same start.

Its rate, penalty and steps were set once, for training on everything of a clean stream, on
validation rows (docs/results/default.md): what somebody has who knows of no noise.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scoring.training.descent import (
    FIRST_MOMENT,
    RATE,
    SECOND_MOMENT,
    TINY,
    Head,
    bordered,
)
from scoring.training.dice import Dice, Ints64
from scoring.types import Floats

STEPS, BATCH = 1_600, 128
PENALTY = 1e-7  # hardly one: it keeps moments from fading into denormal numbers, which are slow
FARTHEST = -30.0  # of a logit below the largest, for the same reason: e^-30 is 1e-13
NOTHING = 1e-12  # features below are none, for the same reason: two of MiniLM's are 1e-33


class Pupil:
    """A softmax head on its way: Adam (Kingma and Ba 2015) on rows that end in a 1, in place.

    As scoring.training.descent, with a penalty of its own and without a temporary: thousands of
    heads are trained here.
    """

    def __init__(self, classes: int, width: int, steps: int, penalty: float) -> None:
        self._weight = np.zeros((classes, width + 1), np.float32)  # bias last
        self._mean, self._square = np.zeros_like(self._weight), np.zeros_like(self._weight)
        self._room = np.empty_like(self._weight)
        self._done, self._steps, self._penalty = 0, steps, np.float32(penalty)

    @property
    def head(self) -> Head:
        return Head(self._weight[:, :-1].copy(), self._weight[:, -1].copy())

    def step(self, rows: Floats, targets: Ints64) -> None:
        """One step on (b, width + 1) rows; the rate falls linearly to zero."""
        logits = rows @ self._weight.T
        logits -= logits.max(axis=1, keepdims=True)
        errors = np.exp(np.maximum(logits, FARTHEST, out=logits), out=logits)
        errors /= errors.sum(axis=1, keepdims=True)
        errors[np.arange(len(rows)), targets] -= 1
        gradient = (errors / np.float32(len(rows))).T @ rows
        if self._penalty:
            gradient[:, :-1] += self._penalty * self._weight[:, :-1]
        rate = RATE * (1 - self._done / self._steps)
        self._done += 1
        mean, square, room = self._mean, self._square, self._room
        mean *= FIRST_MOMENT
        np.multiply(gradient, 1 - FIRST_MOMENT, out=room)
        mean += room
        np.square(gradient, out=gradient)
        gradient *= 1 - SECOND_MOMENT
        square *= SECOND_MOMENT
        square += gradient
        np.sqrt(square, out=room)
        room *= 1 / math.sqrt(1 - SECOND_MOMENT**self._done)
        room += TINY
        np.divide(mean, room, out=room)
        room *= rate / (1 - FIRST_MOMENT**self._done)
        self._weight -= room


def fit(
    features: Floats,
    targets: Ints64,
    classes: int,
    *,
    seed: int,
    weights: Floats | None = None,
    steps: int = STEPS,
    penalty: float = PENALTY,
) -> Head:
    """Train on (n, d) features and (n,) classes, n >= 1; `weights` (n,) how often rows are shown.

    Without weights rows come in shuffles of all of them, one after the other.
    """
    every = max(steps, 1)
    return snapshots(
        features, targets, classes, seed=seed, weights=weights, steps=steps, penalty=penalty,
        every=every,
    )[-1]  # fmt: skip


def snapshots(
    features: Floats,
    targets: Ints64,
    classes: int,
    *,
    seed: int,
    every: int,
    steps: int,
    penalty: float,
    weights: Floats | None = None,
) -> list[Head]:
    """The heads after every `every` steps, oldest first, and the last one."""
    rows, pupil = bordered(features), Pupil(classes, features.shape[1], steps, penalty)
    rows[np.abs(rows) < NOTHING] = 0
    size = min(BATCH, len(rows))
    order = _order(len(rows), steps * size, Dice("pupil", seed), weights)
    heads = []
    for step in range(1, steps + 1):
        batch = order[(step - 1) * size : step * size]
        pupil.step(rows[batch], targets[batch])
        if step % every == 0 or step == steps:
            heads.append(pupil.head)
    return heads


def hits(head: Head, features: Floats, targets: Ints64) -> npt.NDArray[np.bool_]:
    """(m,) whether the answer is right."""
    right: npt.NDArray[np.bool_] = head.logits(features).argmax(axis=1) == targets
    return right


def _order(count: int, length: int, dice: Dice, weights: Floats | None) -> Ints64:
    if weights is not None:
        return dice.weighted("shown", length, weights.astype(np.float64))
    rounds = -(-length // count)
    return np.concatenate([dice.permutation(f"round {each}", count) for each in range(rounds)])

"""One training of a softmax head: its weights, and the moments that its next step reads.

Multinomial logistic regression with an L2 penalty, by Adam (Kingma & Ba 2015, arXiv:1412.6980).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from scoring.models.base import softmax
from scoring.types import Floats

RATE, PENALTY = 0.1, 2e-4  # the penalty keeps logits of separable intents finite
FIRST_MOMENT, SECOND_MOMENT, TINY = 0.9, 0.999, 1e-8


class Head(NamedTuple):
    """logits = features @ weight.T + bias."""

    weight: Floats  # (k, d)
    bias: Floats  # (k,)

    def logits(self, features: Floats) -> Floats:
        """(n, d) -> (n, k)."""
        made: Floats = features @ self.weight.T + self.bias
        return made

    def probs(self, features: Floats) -> Floats:
        """(n, d) -> (n, k), rows sum to 1."""
        return softmax(self.logits(features))


class Descent:
    """The state of one training: weights and Adam's two moments. Equal steps give equal bits.

    The rate falls linearly to zero at `steps`, so that the last ones settle.
    """

    def __init__(self, classes: int, width: int, steps: int, start: Head | None = None) -> None:
        """`start`: a head (classes, width) to go on from; without one, zeros."""
        self.weight: Floats = np.zeros((classes, width + 1), dtype=np.float32)  # bias last
        if start is not None:
            self.weight[:, :-1], self.weight[:, -1] = start
        self.mean: Floats = np.zeros_like(self.weight)
        self.square: Floats = np.zeros_like(self.weight)
        self.done = 0
        self._steps = steps
        self._decay = np.full(width + 1, PENALTY, dtype=np.float32)
        self._decay[-1] = 0  # how frequent an intent is, is no complexity

    @property
    def head(self) -> Head:
        return Head(self.weight[:, :-1].copy(), self.weight[:, -1].copy())

    def step(
        self, rows: Floats, targets: npt.NDArray[np.int64], weights: Floats | None = None
    ) -> None:
        """One step on rows (b, width + 1) that end in a 1; `weights` (b,) of their losses."""
        self.done += 1
        errors = softmax(rows @ self.weight.T)
        errors[np.arange(len(rows)), targets] -= 1
        if weights is not None:
            errors *= weights[:, None]
        gradient = errors.T @ rows / np.float32(len(rows)) + self._decay * self.weight
        self.mean = _blend(FIRST_MOMENT, self.mean, gradient)
        self.square = _blend(SECOND_MOMENT, self.square, gradient**2)
        ahead = self.mean / (1 - FIRST_MOMENT**self.done)
        spread = np.sqrt(self.square / (1 - SECOND_MOMENT**self.done)) + TINY
        rate = RATE * (1 - (self.done - 1) / self._steps)
        self.weight -= (rate * ahead / spread).astype(np.float32)


def bordered(features: Floats) -> Floats:
    """(n, d) -> (n, d + 1): a last column of ones, whose weight is the bias."""
    return np.hstack([features, np.ones((len(features), 1), dtype=np.float32)])


def _blend(share: float, old: Floats, new: Floats) -> Floats:
    return np.float32(share) * old + np.float32(1 - share) * new

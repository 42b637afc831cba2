"""The quick learner: a softmax head on frozen features. Seconds where a network takes minutes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.models.base import softmax
from scoring.training.course import Arrays, Tell
from scoring.training.descent import Descent, Head, bordered
from scoring.training.dice import Dice, Ints64
from scoring.training.dynamics import Measures, measure, together
from scoring.training.heads import BATCH
from scoring.training.schedules import Schedule
from scoring.types import Floats, Outputs

CHUNK = 4096  # rows measured at a time


class Frozen:
    """A `Learner` over (n, d) features and n labels in 0 .. classes - 1."""

    def __init__(
        self,
        features: Floats,
        targets: Ints64,
        classes: int,
        schedule: Schedule,
        epochs: int,
    ) -> None:
        """The schedule says how many steps there will be: the rate falls to zero at the last."""
        self._rows, self._targets = bordered(features), targets
        warm = epochs if schedule.kind == "full" else min(schedule.warm, epochs)
        full, kept = _steps(len(targets)), _steps(schedule.size(len(targets)))
        self._descent = Descent(classes, features.shape[1], warm * full + (epochs - warm) * kept)

    @property
    def head(self) -> Head:
        return self._descent.head

    @property
    def lengths(self) -> Ints64:
        """(n,) features of any text cost the same."""
        return np.ones(len(self._targets), np.int64)

    def batches(self, rows: Ints64, dice: Dice) -> list[Ints64]:
        shuffled = rows[dice.permutation("order", len(rows))]
        return [shuffled[first : first + BATCH] for first in range(0, len(rows), BATCH)]

    def learn(self, batches: Sequence[Ints64], epoch: int, epochs: int, tell: Tell) -> None:
        for batch in batches:
            self._descent.step(self._rows[batch], self._targets[batch])
            tell(len(batch))

    def measure(self, tell: Tell) -> Measures:
        parts = []
        for first in range(0, len(self._rows), CHUNK):
            chunk = slice(first, first + CHUNK)
            logits = self._rows[chunk] @ self._descent.weight.T
            labels = self._targets[chunk].astype(np.int32)
            # of the intent alone every reduction ranks alike; `mean` is the EL2N itself
            parts.append(measure(Outputs(logits, softmax(logits), labels=labels), "mean"))
            tell(len(labels))
        return together(parts)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        d = self._descent
        done = np.array([d.done], np.int64)
        # a copy: steps write into the weights, but make new moments
        return {"weight": d.weight.copy(), "mean": d.mean, "square": d.square, "done": done}

    def restore(self, state: Arrays) -> None:
        d = self._descent
        d.weight, d.mean, d.square = state["weight"].copy(), state["mean"], state["square"]
        d.done = int(state["done"][0])


def _steps(rows: int) -> int:
    return -(-rows // BATCH)

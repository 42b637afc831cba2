"""A course: one training from its first epoch to its last, by a schedule, resumable between epochs.

It knows nothing of models: a learner trains on batches of rows and measures all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from scoring.training.dice import Dice, Ints64
from scoring.training.dynamics import Dynamics, Measures
from scoring.training.schedules import Reals, Schedule, affordable, drawn, hardest, keys

Arrays = Mapping[str, npt.NDArray[Any]]
Tell = Callable[[int], None]  # rows that were just trained on or scored


class Learner(Protocol):
    """A model in training. Equal calls in equal order leave equal bits."""

    @property
    def lengths(self) -> Ints64:
        """(n,) tokens of each row, above 0."""

    def batches(self, rows: Ints64, dice: Dice) -> list[Ints64]:
        """All of the rows once, in an order that `dice` decides."""

    def learn(self, batches: Sequence[Ints64], epoch: int, epochs: int, tell: Tell) -> None:
        """Train on them in this order; `epoch` of `epochs`, the first being 0."""

    def measure(self, tell: Tell) -> Measures:
        """All rows, forward only; changes nothing."""

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Everything that the next epoch reads; what is learnt later does not change it."""

    def restore(self, state: Arrays) -> None: ...


class Course:
    """Call `epoch` until `done` is `epochs`; `state` and `restore` between any two calls."""

    def __init__(
        self, learner: Learner, rows: int, schedule: Schedule, *, epochs: int, seed: int
    ) -> None:
        self.learner, self.schedule, self.epochs = learner, schedule, epochs
        self.done = self.trained = self.scored = 0  # epochs, rows, rows
        self.dynamics = Dynamics()
        self._rows = rows
        self._kept: Ints64 = np.arange(rows)
        self._dice = Dice("course", seed)

    def epoch(self, tell: Tell = lambda _: None) -> None:
        """Choose rows if it is time to, then train one epoch on them."""
        if self.schedule.chooses(self.done):
            self._choose(tell)
        batches = self.learner.batches(self._kept, self._dice.named("epoch", self.done))
        self.learner.learn(batches, self.done, self.epochs, tell)
        self.trained += len(self._kept)
        self.done += 1

    def _choose(self, tell: Tell) -> None:
        schedule, size = self.schedule, self.schedule.size(self._rows)
        if schedule.scores(self.done):
            self.dynamics.add(self.learner.measure(tell))
            self.scored += self._rows
        if not len(self.dynamics):
            self._kept = drawn(self._rows, size, self._dice, self.done)
            return
        order: Reals = self.dynamics.smoothed(schedule.alpha, schedule.c)
        offset = schedule.offset
        if schedule.kind == "weighted":
            order, offset = keys(order, offset, self._dice, self.done), 0.0
        if schedule.by == "tokens":
            self._kept = affordable(order, self.learner.lengths, schedule.keep, offset)
        else:
            self._kept = hardest(order, size, offset)

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What `restore` of a course with the same arguments takes."""
        counts = np.array([self.done, self.trained, self.scored], np.int64)
        parts = {"learner": self.learner.state(), "dynamics": self.dynamics.state()}
        named = {f"{part}/{name}": a for part, all_ in parts.items() for name, a in all_.items()}
        return {"counts": counts, "kept": self._kept, **named}

    def restore(self, state: Arrays) -> None:
        self.done, self.trained, self.scored = map(int, state["counts"])
        self._kept = np.asarray(state["kept"], np.int64)
        self.learner.restore(_below("learner/", state))
        self.dynamics.restore(_below("dynamics/", state))


def _below(prefix: str, state: Arrays) -> dict[str, npt.NDArray[Any]]:
    return {n.removeprefix(prefix): value for n, value in state.items() if n.startswith(prefix)}

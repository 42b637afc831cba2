"""The cells of one scenario: figures of arms over their seeds, and paired differences of two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from daemon.benchmark import cells, statistics
from daemon.benchmark.arms import arms
from daemon.benchmark.cells import Cell, Key, World
from daemon.benchmark.features import Texts
from daemon.benchmark.statistics import Interval


class Block:
    """The cells of one scenario of one corpus."""

    def __init__(self, texts: Texts, found: Mapping[Key, Cell], worlds: Mapping[int, World]):
        self._classes = texts.asked_classes
        self._found = found
        self._worlds = worlds
        self._right: dict[Key, npt.NDArray[np.int8]] = {}

    def seeds(self, arm: str, budget: float) -> list[Key]:
        return sorted(
            key
            for key in self._found
            if key.arm == arm and (key.budget == budget or not arms()[arm].budgets)
        )

    def seeds_of(self, arm: str) -> list[Key]:
        return [key for key in self._found if key.arm == arm]

    def events(self, keys: Sequence[Key]) -> list[int]:
        """Of the streams of these cells."""
        return [self._worlds[key.seed].events for key in keys]

    def cells(self, keys: Sequence[Key]) -> list[Cell]:
        return [self._found[key] for key in keys]

    def right(self, key: Key) -> npt.NDArray[np.int8]:
        """(m,) of one cell, 1 where the answer was right."""
        if key not in self._right:
            self._right[key] = cells.right(self._found[key], len(self._classes))
        return self._right[key]

    def intervals(
        self, keys: Sequence[Key], others: Sequence[Key] | None = None
    ) -> dict[str, Interval]:
        """Of every figure; of the difference to `others` where they have the same seeds."""
        paired, gains = list(keys), [self.right(key) for key in keys]
        if others is not None:
            theirs = {key.seed: key for key in others}
            paired = [key for key in keys if key.seed in theirs and key != theirs[key.seed]]
            gains = [self.right(key) - self.right(theirs[key.seed]) for key in paired]
        if not paired:
            return {}
        made = {}
        for figure in statistics.FIGURES:
            of_class = np.array([self._worlds[key.seed].weights[figure] for key in paired])
            sizes = np.maximum(np.bincount(self._classes, minlength=of_class.shape[1]), 1)
            counted = (of_class / sizes)[:, self._classes]
            made[figure] = statistics.interval(np.array(gains), counted, self._classes)
        return made

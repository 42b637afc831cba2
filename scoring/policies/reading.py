"""What all policies that weigh scores share: what they read, who has no score, and cold windows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import cast

import numpy as np
import numpy.typing as npt

from scoring.kinds import load
from scoring.types import CODES, GRID, MISSING, Asks, Grid, Reason, Score, Scored, Terms, Weighed

NEITHER_TEXT_NOR_LABEL = frozenset({"slot_labels"})  # these come with the record: no part of a key

Codes = npt.NDArray[np.uint8]


class Reading(ABC):
    """A policy by one or more scores: GRID while cold, else `weights`; no score, no weight."""

    name: str
    asks = Asks()

    def __init__(self, *scores: str) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        needs = needs_of(scores)
        self.reads = scores
        self.needs_label = any("label" in need for need in needs.values())
        self.reads_label = self.needs_label
        self.key_only = not any(need & NEITHER_TEXT_NOR_LABEL for need in needs.values())

    def weigh(self, scored: Scored, terms: Terms) -> Weighed:
        """(n,) weights in 1..GRID, or 0 with the reason of `refused`."""
        weights = np.full(len(scored.argmax), GRID, np.int16)
        if not terms.cold:
            weights = self.weights(scored, terms)
        reasons = self.refused(scored, terms)
        weights[reasons > 0] = 0
        return Weighed(weights, reasons)

    @abstractmethod
    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) a new array of 1..GRID; what stands at rows that are refused does not matter."""

    def refused(self, scored: Scored, terms: Terms) -> Codes:
        """(n,) NO_LABEL where one of the scores has no value, cold or not; else 0."""
        missing = np.zeros(len(scored.argmax), np.bool_)
        for name in self.reads:
            missing |= scored.scores[name] == MISSING
        return missing * np.uint8(CODES[Reason.NO_LABEL])


def needs_of(scores: tuple[str, ...]) -> Mapping[str, frozenset[str]]:
    """What each score needs: the same whatever its options, so the defaults tell it."""
    return {name: cast(Score, load("scoring.scores", name, {})).needs for name in scores}

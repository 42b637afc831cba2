"""One score, mapped linearly to a weight between `eps` and 1.

Weights:    eps at or below `terms.low`, 1 at or above `terms.high`, a straight line between, in
            integers. While cold: 1 for every row that has the score.
Refuses:    NO_LABEL where the score needs a label and the row has none, cold or not
Reads:      one score. `reads_label` says whether that score reads the label: then a weight is a
            function of (text, label), and the label must be part of what is kept once.
Source:     Anand, Tan and Minakova 2023 (arXiv 2311.16298), appendix C.3: a linear map to
            [eps, 1], because softmax weights starved easy rows and kept noisy hard ones.
Traps:      - Under label noise this loves wrong labels where the score is EL2N: see `default`.
            - eps = 1 is `uniform`; a tiny eps is a hard cut, the worst arm under noise.
"""

from __future__ import annotations

from typing import Annotated, cast

import numpy as np
from msgspec import Meta, Struct

from scoring.kinds import load
from scoring.types import CODES, GRID, MISSING, Grid, Reason, Score, Scored, Terms, Weighed


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score is weighed, and how little the least valuable row weighs."""

    score: str = "entropy"
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1


class Weighted:
    """A straight line from eps to 1 between two quantiles of one score."""

    name = "weighted"
    key_only = True

    def __init__(self, score: str, eps: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        # what a score needs is the same whatever its options, so the defaults tell it
        needs = cast(Score, load("scoring.scores", score, {})).needs
        self.reads: tuple[str, ...] = (score,)
        self.needs_label = "label" in needs
        self.reads_label = self.needs_label
        self._eps = max(1, round(eps * GRID))

    def weigh(self, scored: Scored, terms: Terms) -> Weighed:
        """(n,) weights in [eps, GRID], or 0 with NO_LABEL."""
        values = scored.scores[self.reads[0]]
        missing = values == MISSING
        weights = np.full(len(values), GRID, np.int16)
        if not terms.cold:
            weights = linear(values, terms.low, terms.high, self._eps)
        weights[missing] = 0
        return Weighed(weights, missing * np.uint8(CODES[Reason.NO_LABEL]))


def linear(values: Grid, low: int, high: int, eps: int) -> Grid:
    """(n,) eps + (GRID - eps) * (value - low) / (high - low), clipped, halves up. Integers.

    An empty span is a step: eps up to `low`, GRID above.
    """
    span = max(high - low, 1)
    risen = np.clip(values.astype(np.int64) - low, 0, span)
    return (eps + (2 * risen * (GRID - eps) + span) // (2 * span)).astype(np.int16)


def build(options: Options) -> Weighted:
    return Weighted(options.score, options.eps)

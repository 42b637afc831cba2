"""One score, mapped linearly to a weight between `eps` and 1.

Weights:    eps at or below the lower quantile, 1 at or above the upper, a straight line between, in
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

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.policies.reading import Reading
from scoring.types import GRID, Grid, Scored, Terms


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score is weighed, and how little the least valuable row weighs."""

    score: str = "entropy"
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1


class Weighted(Reading):
    """A straight line from eps to 1 between two quantiles of one score."""

    name = "weighted"

    def __init__(self, score: str, eps: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(score)
        self._eps = on_grid(eps)

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) in [eps, GRID]."""
        (spread,) = terms.spreads
        return linear(scored.scores[self.reads[0]], spread.low, spread.high, self._eps)


def linear(values: Grid, low: int, high: int, eps: int) -> Grid:
    """(n,) eps + (GRID - eps) * (value - low) / (high - low), clipped, halves up. Integers.

    An empty span is a step: eps up to `low`, GRID above.
    """
    span = max(high - low, 1)
    risen = np.clip(values.astype(np.int64) - low, 0, span)
    return (eps + (2 * risen * (GRID - eps) + span) // (2 * span)).astype(np.int16)


def on_grid(eps: float) -> int:
    """The smallest weight that an option names, in 1..GRID."""
    return max(1, round(eps * GRID))


def build(options: Options) -> Weighted:
    return Weighted(options.score, options.eps)

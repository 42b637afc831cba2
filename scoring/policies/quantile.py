"""One score by its rank among the rows of its checkpoint: other checkpoints, the same weights.

Weights:    eps + (1 - eps) * F(score): F is the share of the pinned calibration's rows below the
            row, ties counted half, in 64 steps. The median row weighs (1 + eps) / 2 under every
            checkpoint, however its scores are spread. While cold, and of a score of which nothing
            was learnt: 1.
Refuses:    NO_LABEL where the score needs a label and the row has none. SUSPECT first, with
            `quarantine`.
Reads:      one score; the plausibility, with `quarantine`
Source:     the probability integral transform (Rosenblatt 1952): F of a score is uniform whatever
            the score, so windows of two checkpoints offer equally to one rolling reservoir. The
            other policies map straight between two quantiles, which undoes shift and scale alone.
Traps:      - Forgets distances: of rows that are all easy half are still called hard. Where most
              rows lie on one step of the score they all weigh alike.
            - A checkpoint that got better in fact looks as uncertain as before, too.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.policies.quarantine import behind
from scoring.policies.reading import Reading
from scoring.policies.weighted import on_grid
from scoring.types import GRID, Asks, Grid, Policy, Scored, Terms

RUNGS = 64


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score is ranked, and how little the least valuable row weighs."""

    score: str = "entropy"
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1
    quarantine: bool = True


class Quantile(Reading):
    """eps to 1 by the row's place in the pinned distribution of the score."""

    name = "quantile"
    asks = Asks(rungs=RUNGS)

    def __init__(self, score: str, eps: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(score)
        self._eps = on_grid(eps)

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) in eps..GRID."""
        (spread,) = terms.spreads
        values = scored.scores[self.reads[0]]
        if not spread.rows or not spread.ladder:
            return np.full(len(values), GRID, np.int16)
        ladder = np.array(spread.ladder, np.int64)
        below = np.searchsorted(ladder, values, side="left")
        upto = np.searchsorted(ladder, values, side="right")
        top = 2 * len(ladder)
        risen = (2 * (below + upto) * (GRID - self._eps) + top) // (2 * top)
        return (self._eps + risen).astype(np.int16)


def build(options: Options) -> Policy:
    return behind(options.quarantine, Quantile(options.score, options.eps))

"""As many rows of every degree of difficulty: weights against the crowd, stratum by stratum.

Weights:    The range between two quantiles of the score is cut into `strata` of equal width. A row
            weighs eps * (mass of the fullest stratum) / (mass of its own), at most 1, by the masses
            of the pinned calibration: the fullest stratum weighs eps, one with less than eps of
            its mass weighs 1. While cold, and of a score of which nothing was learnt: 1.
Refuses:    NO_LABEL where the score needs a label and the row has none. SUSPECT first, with
            `quarantine`.
Reads:      one score; the plausibility, with `quarantine`
Source:     Lin et al. 2024 (arXiv 2401.17197), DEALRec: strata of equal width over the range of the
            score, and the budget dealt out from the smallest stratum on, min(share, its size)
            each. A weight against the mass gives every stratum the same expected share, and a
            small one all of its rows, without asking what else is in the window.
Traps:      - The top stratum of a hard score is small and holds the wrong labels: this prefers
              them. The authors leave out a share of the top first; here `quarantine` does.
            - Rows outside the quantiles belong to the outer strata, so one far outlier cannot
              leave all other rows in a single stratum.
            - A tiny eps costs resolution: eps * 4096 is the weight of the fullest stratum.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.policies.quarantine import behind
from scoring.policies.reading import Reading
from scoring.policies.strata import stratum_of
from scoring.policies.weighted import on_grid
from scoring.types import GRID, Asks, Grid, Policy, Scored, Terms


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score, its strata, and what a row of the fullest one weighs."""

    score: str = "entropy"
    strata: Annotated[int, Meta(ge=2, le=256)] = 20
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.02
    quarantine: bool = True


class Coverage(Reading):
    """eps over the relative mass of the row's stratum."""

    name = "coverage"

    def __init__(self, score: str, strata: int, eps: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(score)
        self.asks = Asks(strata=strata)
        self._eps = on_grid(eps)

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) in eps..GRID."""
        (spread,) = terms.spreads
        values = scored.scores[self.reads[0]]
        if not spread.rows:
            return np.full(len(values), GRID, np.int16)
        fullest = max(spread.strata)
        # Python's integers: masses are counts in fixed point, their products pass 64 bits
        weights = [
            min(GRID, (2 * self._eps * fullest + mass) // (2 * mass)) if mass else GRID
            for mass in spread.strata
        ]
        strata = stratum_of(values, spread.low, spread.high, len(weights))
        return np.array(weights, np.int16)[strata]


def build(options: Options) -> Policy:
    return behind(options.quarantine, Coverage(options.score, options.strata, options.eps))

"""The largest scores first, as hard as the grid allows: the arm that the literature compares with.

Weights:    1 above the quantile that leaves the share `keep` of the calibrated rows above it, one
            grid step (1/4096) elsewhere: rows below fill what the top leaves empty. While cold,
            and of a score of which nothing was learnt: 1.
Refuses:    NO_LABEL where the score needs a label and the row has none. SUSPECT first, with
            `quarantine`.
Reads:      one score; the plausibility, with `quarantine`
Source:     the hard cut-off by rank of Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075) and of
            Anand, Tan and Minakova 2023 (arXiv 2311.16298), by a calibrated quantile, since a
            rank among the rows of a window would depend on who else is in it.
Traps:      - For comparison only. With 10 % flips the top half by EL2N held twice their share and
              trained worse than everything else that was tried (68.5 % macro accuracy where random
              rows gave 83.8), which `quarantine: false` shows.
            - Of a score with many equal values (forgetting) the share above may be far smaller than
              `keep`; it is never larger. Where none is above, all rows weigh the same.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.policies.quarantine import behind
from scoring.policies.reading import Reading
from scoring.types import GRID, Asks, Grid, Policy, Scored, Terms


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score, and the share of rows that counts as its top."""

    score: str = "entropy"
    keep: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.5
    quarantine: bool = True


class Top(Reading):
    """GRID above a quantile, 1 elsewhere."""

    name = "top"

    def __init__(self, score: str, keep: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(score)
        self.asks = Asks(share=1.0 - keep)

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) GRID or 1."""
        (spread,) = terms.spreads
        values = scored.scores[self.reads[0]]
        if not spread.rows:
            return np.full(len(values), GRID, np.int16)
        return np.where(values > spread.cut, GRID, 1).astype(np.int16)


def build(options: Options) -> Policy:
    return behind(options.quarantine, Top(options.score, options.keep))

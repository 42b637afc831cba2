"""Softmax of one score: every further unit of it multiplies the weight by the same factor.

Weights:    exp((score - upper quantile) / (temperature * unit)), 1 from the upper quantile on, at
            least one grid step. The unit is the calibrated standard deviation of the score, or 1.
            While cold, and of a score of which nothing was learnt: 1.
Refuses:    NO_LABEL where the score needs a label and the row has none. SUSPECT first, with
            `quarantine`.
Reads:      one score; the plausibility, with `quarantine`
Source:     Anand, Tan and Minakova 2023 (arXiv 2311.16298), section on SNLI: drawn by softmax where
            a cut by rank fails: forgetting, which is 0 for most rows (unit `score`), and VoG,
            normalised over the data set (unit `deviation`). The sum under a softmax and the mean
            of a normalised score are one factor of all weights of a window, and only ranks of one
            window are compared, so neither is needed.
Traps:      - On live traffic the same authors gave it up for a line (`weighted`): it starved easy
              rows and kept noisy hard ones. A large temperature is `uniform`, a small one `top`.
            - Weights span 1 to 4096: what lies more than 8.3 temperatures under the top is alike.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from msgspec import Meta, Struct

from buffers import exact
from scoring.policies.quarantine import behind
from scoring.policies.reading import Reading
from scoring.types import GRID, Grid, Policy, Scored, Terms


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score, and how many units of it make a row e times as heavy."""

    score: str = "entropy"
    temperature: Annotated[float, Meta(ge=0.001, le=1000.0)] = 1.0
    unit: Literal["deviation", "score"] = "deviation"
    quarantine: bool = True


class Softmax(Reading):
    """exp of the score over a temperature, 1 at the upper quantile."""

    name = "softmax"

    def __init__(self, score: str, temperature: float, unit: Literal["deviation", "score"]) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(score)
        self._temperature = temperature
        self._unit = unit

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) in 1..GRID."""
        (spread,) = terms.spreads
        values = scored.scores[self.reads[0]]
        if not spread.rows:
            return np.full(len(values), GRID, np.int16)
        unit = GRID if self._unit == "score" else spread.deviation
        # one multiplication, one division, exact.exp, one rounding: equal bits everywhere (law 7)
        below = np.minimum(values.astype(np.int64) - spread.high, 0).astype(np.float64)
        weights = np.rint(exact.exp(below / (self._temperature * float(unit))) * float(GRID))
        return np.maximum(weights, 1.0).astype(np.int16)


def build(options: Options) -> Policy:
    softmax = Softmax(options.score, options.temperature, options.unit)
    return behind(options.quarantine, softmax)

"""One score on a line, times a temper of the label's class: frequent classes weigh less.

Weights:    line * (traffic of the rarest class / traffic of the label's class) ** gamma, at least
            one grid step; the line as `weighted`, the traffic as the pinned calibration remembers
            it, with one record more of each class. A label that the checkpoint has no class for
            counts as the rarest. While cold: 1.
Refuses:    NO_LABEL where a row has none, whatever the score needs. SUSPECT first, with
            `quarantine`.
Reads:      one score and the label; the plausibility, with `quarantine`
Source:     the line: Anand, Tan and Minakova 2023 (arXiv 2311.16298), appendix C.3. The power of a
            class's size is what multilingual pre-training draws languages by: Conneau and Lample
            2019 (arXiv 1901.07291), section 3.1, p_c ~ n_c ** a, so here a = 1 - gamma.
Traps:      - Changes nothing where the reservoir balances by label: within a group the temper is
              one factor of all rows. It is for reservoir `uniform`, or groups by something else;
              for `balanced` the knob is `policy.groups.traffic_exponent`.
            - Flips land in rare classes, so without `quarantine` this multiplies label noise.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
import numpy.typing as npt
from msgspec import Meta, Struct

from buffers import exact
from scoring.policies.quarantine import behind
from scoring.policies.reading import Codes, Reading
from scoring.policies.weighted import linear, on_grid
from scoring.types import CODES, GRID, NO_LABEL, Grid, Policy, Reason, Scored, Terms


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score, how little the least valuable row weighs, how strongly classes are evened."""

    score: str = "entropy"
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1
    gamma: Annotated[float, Meta(ge=0.0, le=1.0)] = 0.25
    quarantine: bool = True


class Tempered(Reading):
    """A line between two quantiles, times a power of the class's traffic."""

    name = "tempered"

    def __init__(self, score: str, eps: float, gamma: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(score)
        self.needs_label = self.reads_label = True
        self._eps = on_grid(eps)
        self._gamma = gamma

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) in 1..GRID."""
        (spread,) = terms.spreads
        line = linear(scored.scores[self.reads[0]], spread.low, spread.high, self._eps)
        tempers = self._tempers(terms.classes)
        # the last one is of labels without a class; without a label a row is refused anyway
        known = np.where(scored.labels >= 0, scored.labels, len(terms.classes))
        product = line.astype(np.int64) * tempers[known]
        weights: Grid = np.maximum((2 * product + GRID) // (2 * GRID), 1).astype(np.int16)
        return weights

    def refused(self, scored: Scored, terms: Terms) -> Codes:
        """(n,) NO_LABEL or 0."""
        reasons = super().refused(scored, terms)
        code = np.uint8(CODES[Reason.NO_LABEL])
        return np.where(scored.labels == NO_LABEL, code, reasons)

    def _tempers(self, classes: tuple[int, ...]) -> npt.NDArray[np.int64]:
        """(k + 1,) in 0..GRID: of each class, and of none."""
        traffic = exact.ln(np.array(classes, np.float64))
        powers = np.rint(exact.exp((traffic.min() - traffic) * self._gamma) * float(GRID))
        return np.append(powers.astype(np.int64), GRID)


def build(options: Options) -> Policy:
    tempered = Tempered(options.score, options.eps, options.gamma)
    return behind(options.quarantine, tempered)

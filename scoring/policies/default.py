"""Quarantine suspect labels first, then weigh one score: the order that survives label noise.

Weights:    as `weighted`; GRID for every row while cold
Refuses:    SUSPECT where 0 <= plausibility < `terms.suspect_below` (to the review arm, not to
            training), cold or not; None means no quarantine. Rows without a label, or with one
            that the checkpoint does not know, have no plausibility and are never suspect.
            Then NO_LABEL as `weighted`.
Reads:      one score, and the plausibility: a verdict is a function of (text, label)
Source:     the line is Anand, Tan and Minakova 2023 (arXiv 2311.16298), appendix C.3; normalised
            margin as the ranking of label errors is Northcutt, Jiang and Chuang 2021.
Why:        with 10 % flips, quarantine and then weights left 0.4 % wrong labels where weights
            alone left 18 to 20 %: flips land in rare classes, which balancing favours.
Traps:      the threshold must follow the measured noise rate. A fixed share costs more on clean
            data than it ever saves, so it comes with the terms and is no option here.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.policies.weighted import Weighted
from scoring.types import CODES, Reason, Scored, Terms, Weighed


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score is weighed, and how little the least valuable row weighs."""

    score: str = "entropy"
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1


class Default:
    """`weighted` behind a quarantine."""

    name = "default"
    reads_label = True  # the quarantine does, whatever the score
    key_only = True

    def __init__(self, inner: Weighted) -> None:
        self.reads = inner.reads
        self.needs_label = inner.needs_label
        self._inner = inner

    def weigh(self, scored: Scored, terms: Terms) -> Weighed:
        """(n,) weights in [eps, GRID], or 0 with SUSPECT or NO_LABEL."""
        weighed = self._inner.weigh(scored, terms)
        if terms.suspect_below is None:
            return weighed
        suspect = (scored.plausibility >= 0) & (scored.plausibility < terms.suspect_below)
        reasons = np.where(suspect, np.uint8(CODES[Reason.SUSPECT]), weighed.reasons)
        return Weighed(np.where(suspect, np.int16(0), weighed.weights), reasons)


def build(options: Options) -> Default:
    return Default(Weighted(options.score, options.eps))

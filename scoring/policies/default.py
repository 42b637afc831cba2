"""Quarantine suspect labels first, then weigh one score: the order that survives label noise.

Weights:    as `weighted`; GRID for every row while cold
Refuses:    SUSPECT where 0 <= plausibility < `terms.suspect_below` (to the review arm, not to
            training), cold or not; None means no quarantine. Rows without a label, or with one
            that the checkpoint does not know, have no plausibility and are never suspect.
            Then NO_LABEL as `weighted`.
Reads:      one score, and the plausibility: a verdict is a function of (text, label)
Source:     the line is Anand, Tan and Minakova 2023 (arXiv 2311.16298), appendix C.3. Suspects
            are ranked by the smoothed odds of their label against its rival (`scoring.grade`).
Why:        with 10 % flips, quarantine and then weights left 0.4 % wrong labels where weights
            alone left 18 to 20 %: flips land in rare classes, which balancing favours.
Traps:      the threshold must follow the measured noise rate. A fixed share costs more on clean
            data than it ever saves, so it comes with the terms and is no option here.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from scoring.policies.quarantine import Quarantined
from scoring.policies.weighted import Weighted


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which score is weighed, and how little the least valuable row weighs."""

    score: str = "entropy"
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.3


def build(options: Options) -> Quarantined:
    return Quarantined(Weighted(options.score, options.eps), "default")

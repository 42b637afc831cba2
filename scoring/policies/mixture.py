"""Several scores, each on its own line from `eps` to 1, and the mean of these.

Weights:    the mean, halves up, of what `weighted` makes of each score, in integers. While cold: 1.
Refuses:    NO_LABEL where one of the scores needs a label and the row has none. SUSPECT first,
            with `quarantine`.
Reads:      two to eight scores; the plausibility, with `quarantine`
Source:     Anand, Tan and Minakova 2023 (arXiv 2311.16298), user study: the mean of the sampling
            scores of VoG (is the intent hard?) and slot-trail entropy (are its slots?).
Traps:      - Means of scores that rank alike are that score again: entropy, margin and least
              confidence say nearly the same. `sluice scores` says what each one needs.
            - A score of which nothing was learnt yet adds the same to (nearly) every row.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.policies.quarantine import behind
from scoring.policies.reading import Reading
from scoring.policies.weighted import linear, on_grid
from scoring.types import Grid, Policy, Scored, Terms


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which scores, and how little the least valuable row weighs."""

    scores: Annotated[tuple[str, ...], Meta(min_length=2, max_length=8)] = ("entropy", "margin")
    eps: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.1
    quarantine: bool = True

    def __post_init__(self) -> None:
        """One score twice would count twice, which nobody could see."""
        if len(set(self.scores)) < len(self.scores):
            raise ValueError("scores: names one twice, it would count twice")


class Mixture(Reading):
    """The mean of straight lines."""

    name = "mixture"

    def __init__(self, scores: tuple[str, ...], eps: float) -> None:
        """Raises scoring.kinds.UnknownKind for a score that does not exist."""
        super().__init__(*scores)
        self._eps = on_grid(eps)

    def weights(self, scored: Scored, terms: Terms) -> Grid:
        """(n,) in [eps, GRID]."""
        total = np.zeros(len(scored.argmax), np.int64)
        for name, spread in zip(self.reads, terms.spreads, strict=True):
            total += linear(scored.scores[name], spread.low, spread.high, self._eps)
        count = len(self.reads)
        return ((2 * total + count) // (2 * count)).astype(np.int16)


def build(options: Options) -> Policy:
    return behind(options.quarantine, Mixture(options.scores, options.eps))

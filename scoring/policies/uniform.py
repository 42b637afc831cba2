"""Every row weighs the same: the reservoir is then a balanced sample without any score.

Weights:    GRID
Refuses:    nothing
Reads:      nothing, so a text weighs the same in every record
Use:        the honest baseline, and the policy of a model that nobody has measured yet
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.types import GRID, Asks, Scored, Terms, Weighed


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Uniform has no options."""


class Uniform:
    """GRID for all."""

    name = "uniform"
    reads: tuple[str, ...] = ()
    asks = Asks()
    needs_label = False
    reads_label = False
    key_only = True

    def weigh(self, scored: Scored, terms: Terms) -> Weighed:
        """(n,) rows accepted with weight GRID."""
        n = len(scored.argmax)
        return Weighed(np.full(n, GRID, np.int16), np.zeros(n, np.uint8))


def build(_options: Options) -> Uniform:
    return Uniform()

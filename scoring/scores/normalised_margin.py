"""Normalised margin of the given label, turned round: how far another class is ahead of it.

Shape:      probs (n, k), labels (n,) -> (n,) float32
Range:      [0, 1]: 0 = all on the label, 1/2 = another class is level with it, 1 = all on another.
            For UNKNOWN_LABEL p_y = 0: at least 1/2 (1 + 1/k).
Direction:  larger = harder = more valuable, up to the point where the label is wrong. The
            literature's (p_y - max_{j != y} p_j + 1) / 2 is SMALL for doubtful labels; this score
            is 1 less that.
Needs:      label
Cost:       forward
Source:     (p_y - max_{j != y} p_j + 1) / 2, the ranking by normalised margin of confident
            learning: Northcutt, Jiang and Chuang 2021 (JAIR 70, arXiv 1911.00068)
Traps:      - The quarantine (policy `default`) puts aside what this score puts on top. To weigh
              by it too is to prefer, of what was let through, the rows most like what was not.
            - Out of sample only, as `self_confidence`.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, probability, rival
from scoring.scores.scale import bounded
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Normalised margin has no options."""


class NormalisedMargin:
    """(1 - p_y + max_{j != y} p_j) / 2 per row."""

    name = "normalised_margin"
    high = 1.0
    needs = frozenset({"label"})
    cost = "forward"
    source = "Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1]. Raises ValueError without labels."""
        probs, labels = outputs.probs, needed(outputs.labels, self.name, "labels")
        ahead = rival(probs, labels) - probability(probs, labels)
        return bounded((ahead + np.float32(1.0)) * np.float32(0.5), self.high)


def build(_options: Options) -> NormalisedMargin:
    return NormalisedMargin()

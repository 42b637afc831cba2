"""Influence and effort: whether learning this row helps with rows that are trusted, and how much.

Shape:      probs (n, k), hidden (n, d), labels (n,), a direction (k, d + 1) -> (n,) float32
Range:      [0, 1 + effort]: influence + effort * GraNd of the last layer, each brought to [0, 1] by
            the smallest and the largest of the sample that was published with, and cut there
Direction:  larger = the row pulls where trusted rows pull, and has much to teach = more valuable
Needs:      label, hidden, direction
Cost:       forward, and a product of (d) by (d, k) for each row, as the last layer itself costs
Source:     DEALRec, Lin et al. 2024 (arXiv 2401.17197): I(s) = g(s)^T H^-1 g, g of validation rows,
            plus lambda ||grad loss(s)||_2; the influence of Koh and Liang 2017 (arXiv 1703.04730)
Traps:      - Trusted rows must be right and not trained on: of the training rows g is 0 at a
              minimum, and every influence with it.
            - Its plain top is the worst choice of 2 % (docs/results/seeds.md): give it to the
              policy `coverage`, as DEALRec deals its budget out over strata.
            - A wrong label pulls against what is trusted, but its effort is large: `effort` 0
              listens to the influence alone.
            - DEALRec takes the extremes of all rows; a stream has no last row, so those of the
              published sample stand for them.
"""

from __future__ import annotations

from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.scores.given import needed
from scoring.scores.scale import bounded
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """What the effort counts beside the influence: lambda, 0.3 to 1 in the paper."""

    effort: Annotated[float, Meta(ge=0.0, le=6.0)] = 0.3


class Influence:
    """unit(influence) + lambda * unit(effort) per row."""

    name = "influence"
    needs = frozenset({"label", "hidden", "direction"})
    cost = "forward"
    source = "Lin et al. 2024 (arXiv 2401.17197), DEALRec; Koh and Liang 2017 (arXiv 1703.04730)"

    def __init__(self, effort: float) -> None:
        self.high = 1.0 + effort
        self._effort = np.float32(effort)

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, high]. Raises ValueError without labels, hidden or a direction, and where the
        direction is of another layer."""
        labels = needed(outputs.labels, self.name, "labels")
        hidden = needed(outputs.hidden, self.name, "hidden")
        direction = needed(outputs.direction, self.name, "a direction")
        given = outputs.probs, hidden, labels
        value = bounded(direction.influences(*given), 1.0)
        if self._effort:
            value = value + self._effort * bounded(direction.efforts(*given), 1.0)
        return bounded(value, self.high)


def build(options: Options) -> Influence:
    return Influence(options.effort)

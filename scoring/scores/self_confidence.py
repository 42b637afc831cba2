"""Self-confidence of the given label, turned round: what the checkpoint leaves to other classes.

Shape:      probs (n, k), labels (n,) -> (n,) float32
Range:      [0, 1]: 0 = all on the label, 1 = nothing on it (UNKNOWN_LABEL too)
Direction:  larger = harder = more valuable, up to the point where the label is wrong. The
            literature's self-confidence p_y is SMALL for doubtful labels; this score is 1 - p_y.
Needs:      label
Cost:       forward
Source:     p_y, the ranking by self-confidence of confident learning: Northcutt, Jiang and
            Chuang 2021 (JAIR 70, arXiv 1911.00068)
Traps:      - Confident learning assumes probabilities OUT OF SAMPLE: of a checkpoint that has not
              trained on the row. A row scored before it is trained on fulfils that; a row that
              comes again from an old recording does not.
            - Classes differ in how sure a checkpoint is of them. The method compares with a
              threshold per class; this score does not, so among equal values rare intents are
              less doubtful than frequent ones.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, probability
from scoring.scores.scale import bounded
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Self-confidence has no options."""


class SelfConfidence:
    """1 - p_y per row."""

    name = "self_confidence"
    high = 1.0
    needs = frozenset({"label"})
    cost = "forward"
    source = "Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1]. Raises ValueError without labels."""
        labels = needed(outputs.labels, self.name, "labels")
        return bounded(np.float32(1.0) - probability(outputs.probs, labels), self.high)


def build(_options: Options) -> SelfConfidence:
    return SelfConfidence()

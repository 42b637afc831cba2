"""Slot-trail entropy: how many ways of filling slots the intent of the row has.

Shape:      labels (n,), trails (k,) -> (n,) float32: one number per intent, for all of its rows
Range:      [0, 7.9998]: bits / 4. 0 = every utterance of the intent has the same trail. From 32
            bits on rows are equal. UNKNOWN_LABEL takes the largest of the table: of an intent
            that nobody has seen nothing may be called simple.
Direction:  larger = more to learn about the slots of this intent = more valuable
Needs:      label, trails
Cost:       forward: a look-up
Source:     H = -sum_t P(t) log2 P(t) over the trails t of an intent, Anand, Tan and Minakova 2023
            (arXiv 2311.16298), equation 8. A trail is the sequence of (slot, value), the value
            only where there is a slot; P is its share among the training rows of the intent.
            `trails` comes with the pinned calibration, computed by scoring.trails.
Traps:      - Says nothing of the row, only of its intent: it is made to be averaged with another
              score, as the paper does, not to rank by.
            - Grows with the number of rows it was counted on: intents with many rows look richer.
            - Follows the GIVEN label, so a wrong label brings the entropy of another intent.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed
from scoring.scores.scale import LARGEST, shifted
from scoring.types import Floats, Outputs

BITS_PER_UNIT = 4.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Slot-trail entropy has no options."""


class SlotTrailEntropy:
    """Entropy of the intent's slot trails, in bits, over 4."""

    name = "slot_trail_entropy"
    high = LARGEST
    needs = frozenset({"label", "trails"})
    cost = "forward"
    source = "Anand, Tan and Minakova 2023 (arXiv 2311.16298), eq. 8"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without labels or entropies of k classes."""
        labels = needed(outputs.labels, self.name, "labels")
        trails = needed(outputs.trails, self.name, "entropies of slot trails")
        if trails.shape != outputs.probs.shape[1:]:
            raise ValueError(f"entropies of {len(trails)} classes, not {outputs.probs.shape[1]}")
        bits: Floats = trails[np.maximum(labels, 0)]  # of unknown labels: any, they follow
        bits[labels < 0] = trails.max()
        return shifted(bits, 0.0, BITS_PER_UNIT)


def build(_options: Options) -> SlotTrailEntropy:
    return SlotTrailEntropy()

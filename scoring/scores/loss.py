"""Loss: the cross-entropy of the given label.

Shape:      probs (n, k), labels (n,) -> (n,) float32
Range:      [0, 7.9998]: the loss in nats divided by 4. 0 = all on the label. From 32 nats on
            (p_y < 1.3e-14, and UNKNOWN_LABEL, where p_y = 0) rows are equal.
Direction:  larger = harder = more valuable, up to the point where the label is wrong
Needs:      label
Cost:       forward
Source:     -ln p_y; the score of loss-based selection in Attendu and Corbeil 2023 (arXiv
            2306.03208, mode "loss") and the baseline in Mindermann et al. 2022 (arXiv 2206.07137)
Traps:      - The order inside one class count is nearly that of EL2N; the tail is much longer, so
              a straight line between quantiles gives a few wrong labels most of the weight.
            - Follows the temperature: a checkpoint trained longer has longer losses for the same
              mistakes. Compare within a checkpoint only.
"""

from __future__ import annotations

from msgspec import Struct

from scoring.scores.given import needed, probability
from scoring.scores.scale import LARGEST, logarithm, shifted
from scoring.types import Floats, Outputs

NATS_PER_UNIT = 4.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Loss has no options."""


class Loss:
    """-ln p_y / 4 per row."""

    name = "loss"
    high = LARGEST
    needs = frozenset({"label"})
    cost = "forward"
    source = "cross-entropy; Attendu and Corbeil 2023 (arXiv 2306.03208), mode loss"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without labels."""
        labels = needed(outputs.labels, self.name, "labels")
        nats = -logarithm(probability(outputs.probs, labels))
        return shifted(nats, 0.0, NATS_PER_UNIT)


def build(_options: Options) -> Loss:
    return Loss()

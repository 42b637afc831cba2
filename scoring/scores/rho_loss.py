"""RHO-LOSS: what of a row's loss could still be learnt.

Shape:      probs (n, k), reference (n, k), labels (n,) -> (n,) float32
Range:      [0, 7.9998]: (16 + rho) / 4 for rho in [-16, 16) nats; rho = 4 * score - 16. 4 = this
            checkpoint does as well as the reference. Beyond +-16 nats rows are equal.
Direction:  larger = learnable and not yet learnt = more valuable. Noisy and ambiguous rows have a
            large loss under the reference too, so they do not come out on top.
Needs:      label, reference
Cost:       forward of this checkpoint; another forward pass of the reference, once per text
Source:     rho = L[y | x; D_t] - L[y | x; D_ho], Mindermann et al. 2022 (arXiv 2206.07137),
            equation 3: loss under the model being trained less the irreducible loss, under a
            model trained on held-out rows alone
Traps:      - The reference must not have trained on the row: a model of all rows has learnt the
              wrong labels too, and calls them reducible.
            - For UNKNOWN_LABEL both have p_y = 0, so rho is 0, not large: neither can learn it.
            - Recorded at the checkpoint's moment. A row that was learnt since keeps its score.
"""

from __future__ import annotations

from msgspec import Struct

from scoring.scores.given import needed, probability
from scoring.scores.scale import LARGEST, logarithm, shifted
from scoring.types import Floats, Outputs

MOST, NATS_PER_UNIT = 16.0, 4.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """RHO-LOSS has no options."""


class RhoLoss:
    """(16 + ln reference_y - ln p_y) / 4 per row."""

    name = "rho_loss"
    high = LARGEST
    needs = frozenset({"label", "reference"})
    cost = "forward"
    source = "Mindermann et al. 2022 (arXiv 2206.07137), eq. 3"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without labels or a reference of k classes."""
        labels = needed(outputs.labels, self.name, "labels")
        reference = needed(outputs.reference, self.name, "a reference")
        if reference.shape != outputs.probs.shape:
            raise ValueError(f"the reference is {reference.shape}, not {outputs.probs.shape}")
        irreducible = logarithm(probability(reference, labels))
        rho = irreducible - logarithm(probability(outputs.probs, labels))
        return shifted(rho, -MOST, NATS_PER_UNIT)


def build(_options: Options) -> RhoLoss:
    return RhoLoss()

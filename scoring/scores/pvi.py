"""PVI, turned round: how much the text speaks against its label, in bits.

Shape:      probs (n, k), labels (n,), prior (k,) -> (n,) float32
Range:      [0, 7.9998]: (16 - PVI) / 4 for PVI in (-16, 16]; PVI = 16 - 4 * score. 4 = the text
            says nothing of the label (PVI 0). PVI is at most -log2 of the smallest prior; below
            -16, and for UNKNOWN_LABEL, rows are equal at the upper end.
Direction:  larger = harder = more valuable, up to the point where the label is wrong. The
            literature's PVI is SMALL or negative for such rows.
Needs:      label, prior
Cost:       forward
Source:     PVI = -log2 g_null(y) + log2 g_x(y), Ethayarajh, Choi and Swayamdipta 2022 (arXiv
            2110.08420); Anand, Tan and Minakova 2023 (arXiv 2311.16298),
            equation 7. `prior` is g_null, which is one distribution for all rows, for every text
            is empty to it. Two suppliers, one formula: the answer of a null model, trained on
            empty texts with the same labels; or, of a stream, the smoothed shares of the classes
            in the pinned calibration, which is what a null model learns.
Traps:      - The answer of THIS checkpoint to an empty text is no null model: it was trained on
              texts, and nothing holds its answer to the shares.
            - A share of 0 would call every row of its class easy, and is refused: smooth first.
            - Frequent intents gain little by definition: -log2 prior bounds what a text can add.
              Between classes it ranks by frequency first.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, probability
from scoring.scores.scale import LARGEST, logarithm, shifted
from scoring.types import Floats, Outputs

MOST, BITS_PER_UNIT = 16.0, 4.0
_PER_BIT = np.float32(0.6931471805599453)  # ln 2


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """PVI has no options."""


class Pvi:
    """(16 + log2 prior_y - log2 p_y) / 4 per row."""

    name = "pvi"
    high = LARGEST
    needs = frozenset({"label", "prior"})
    cost = "forward"
    source = "Ethayarajh et al. 2022 (arXiv 2110.08420); Anand et al. 2023 (2311.16298), eq. 7"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. ValueError without labels, or a prior > 0 of each class."""
        labels = needed(outputs.labels, self.name, "labels")
        prior = needed(outputs.prior, self.name, "a prior")
        if prior.shape != outputs.probs.shape[1:]:
            raise ValueError(f"a prior of {len(prior)} classes, not {outputs.probs.shape[1]}")
        if not (prior > 0.0).all():  # false for NaN too
            raise ValueError("a prior must be above 0 for every class: smooth it")
        # of an unknown label: any share, for p_y = 0 brings it to the upper end by itself
        share = prior[np.maximum(labels, 0)]
        bits = (logarithm(share) - logarithm(probability(outputs.probs, labels))) / _PER_BIT
        return shifted(bits, -MOST, BITS_PER_UNIT)


def build(_options: Options) -> Pvi:
    return Pvi()

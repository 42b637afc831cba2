"""AUM, turned round: how far, over checkpoints, another class was ahead of the given label.

Shape:      history (m, n, k), labels (n,) -> (n,) float32
Range:      [0, 7.9998]: (32 - AUM) / 8 for AUM in (-32, 32]; AUM = 32 - 8 * score. 4 = level with
            the best other class. Beyond +-32 rows are equal.
Direction:  larger = harder = more valuable, up to the point where the label is wrong. The
            literature's area under the margin is SMALL or negative for wrong labels.
Needs:      label, history
Cost:       checkpoints: m forward passes
Source:     AUM = 1/m sum_c (z_y - max_{j != y} z_j), Pleiss et al. 2020 (arXiv 2001.10528),
            equations 1 and 2, on logits. Here ln p_y - ln max_{j != y} p_j, which is the same
            number: softmax subtracts one constant from all logits of a row.
Traps:      - The margin of LOGITS. Of probabilities it would be the normalised margin, which ends
              at +-1 and so forgets how sure a checkpoint was.
            - The paper averages over all presentations of training, of a model that trains on the
              row. Late checkpoints of a large model have learnt wrong labels by heart.
            - A probability of 0 counts as e^-88, the least that float32 has.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import checkpoints, needed, probability, rival
from scoring.scores.scale import LARGEST, logarithm, shifted
from scoring.types import Floats, Outputs

MOST, LOGITS_PER_UNIT = 32.0, 8.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """AUM has no options."""


class Aum:
    """(32 - mean margin of logits) / 8 per row."""

    name = "aum"
    high = LARGEST
    needs = frozenset({"label", "history"})
    cost = "checkpoints"
    source = "Pleiss et al. 2020 (arXiv 2001.10528), eq. 1 and 2"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without labels or history."""
        labels = needed(outputs.labels, self.name, "labels")
        history = checkpoints(outputs.history, self.name)
        behind = np.zeros(len(labels), np.float32)
        for probs in history:
            behind += logarithm(rival(probs, labels)) - logarithm(probability(probs, labels))
        return shifted(behind / np.float32(len(history)), -MOST, LOGITS_PER_UNIT)


def build(_options: Options) -> Aum:
    return Aum()

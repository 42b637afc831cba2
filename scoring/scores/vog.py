"""VoG: how much what the model looks at, in this text, changed from checkpoint to checkpoint.

Shape:      n times gradients (m, L_i, d), labels (n,) -> (n,) float32. gradients[i][c] is the
            derivative of the LOGIT of the row's label, before softmax, by the output of the
            embedding layer, at each of the L_i real tokens, under checkpoint c, without dropout.
Range:      [0, 7.9998]: (16 + ln VoG) / 4 for VoG in (e^-16, e^16), VoG = exp(4 * score - 16).
            0 = below that: the gradient never changed.
Direction:  larger = learnt late or with effort = more valuable, up to where the label is wrong
Needs:      label, gradient
Cost:       backward: m forward and m backward passes
Source:     Agarwal, D'souza and Hooker 2022 (arXiv 2008.11600): S_c as above, mu = 1/m sum_c S_c,
            VoG = mean over all entries of sqrt(1/m sum_c (S_c - mu)^2); of text: Anand, Tan and
            Minakova 2023 (arXiv 2311.16298), appendix B.1, 10 checkpoints
Traps:      - The mean of DEVIATIONS, as the first authors compute it. The second paper prints a
              variance; the two rank differently once they are averaged over entries.
            - The papers normalise by class or over the data set and then map to weights. Between
              two quantiles of this score a policy does the second, on the logarithm; by class it
              was no better than drawing by class in the imbalanced data of the second paper.
            - Padding must not be among the tokens: it pulls short texts towards 0.
            - A linear model on frozen features has the same gradient for every row of a class.
            - A label that the checkpoint has no class for has no logit, hence no gradient: 0.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.rows import row_sums
from scoring.scores.given import needed
from scoring.scores.scale import LARGEST, logarithm, shifted
from scoring.supplies import TooFewCheckpoints
from scoring.types import Floats, Outputs

CHECKPOINTS_MIN = 4  # a deviation of fewer says more about the checkpoints than about the row
MOST, LOGS_PER_UNIT = 16.0, 4.0


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """VoG has no options."""


class Vog:
    """(16 + ln mean deviation of the label's gradient) / 4 per row."""

    name = "vog"
    high = LARGEST
    needs = frozenset({"label", "gradient"})
    cost = "backward"
    source = "Agarwal et al. 2022 (arXiv 2008.11600); Anand et al. 2023 (arXiv 2311.16298), B.1"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. ValueError without labels and gradients of 4 checkpoints."""
        labels = needed(outputs.labels, self.name, "labels")
        gradients = needed(outputs.gradients, self.name, "gradients")
        deviations = np.array([_mean_deviation(table) for table in gradients], np.float32)
        deviations[labels < 0] = 0.0
        return shifted(logarithm(deviations), -MOST, LOGS_PER_UNIT)


def _mean_deviation(table: Floats) -> np.float32:
    """Mean over tokens and dimensions of the deviation over checkpoints: (m, L, d)."""
    if len(table) < CHECKPOINTS_MIN:
        few = f"vog needs {CHECKPOINTS_MIN} checkpoints or more, not {len(table)}"
        raise TooFewCheckpoints(few)
    checkpoints = np.float32(len(table))
    mean = np.zeros(table.shape[1:], np.float32)
    variance = np.zeros_like(mean)
    if not mean.size:
        return np.float32(0.0)  # a text without a token looks at nothing
    for gradient in table:  # oldest first: one order of addition
        mean += gradient
    mean /= checkpoints
    for gradient in table:
        variance += np.square(gradient - mean)
    deviation = np.sqrt(variance / checkpoints).reshape(1, -1)
    result: np.float32 = row_sums(deviation)[0] / np.float32(deviation.size)
    return result


def build(_options: Options) -> Vog:
    return Vog()

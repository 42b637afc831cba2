"""TracIn self-influence of the last layer: how much training on a row changed its own loss.

Shape:      history (m, n, k), hidden_history (m, n, d), labels (n,) -> (n,) float32
Range:      [0, 7.9998]: ln(1 + s) / 2 with s = sum_c w_c GraNd_c^2, s = exp(2 * score) - 1 up to
            8.9e6. 0 = all on the label under every checkpoint.
Direction:  larger = harder, rarer or wrongly labelled = more valuable, up to that last point
Needs:      label, history, hidden_history
Cost:       checkpoints: m forward passes, no backward pass
Source:     TracInCP(z, z) = sum_c eta_c ||grad loss(w_c, z)||^2, Pruthi et al. 2020 (arXiv
            2002.08484); Anand, Tan and Minakova 2023 (arXiv 2311.16298), equation 5. Of the last
            layer in closed form: ||p - y||^2 (||h||^2 + 1), with h under the same checkpoint.
            w_c = eta_c / sum eta: learning rates count relatively, a constant rate drops out.
Traps:      - Where the encoder is frozen h is one and the same for all checkpoints: supply it
              m times. With a fine-tuned encoder it is not, and today's h would be wrong.
            - The last layer cancels: rows that share it look alike in it. Anand et al. found the
              last encoder layer steadier; that needs a backward pass.
            - Self-influence is a sum of squares, so it never says that a row harms others.
"""

from __future__ import annotations

import math
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.scores.given import checkpoints, needed, squared_error
from scoring.scores.scale import LARGEST, bounded, logarithm, squared_norm
from scoring.types import Floats, Outputs

Rate = Annotated[float, Meta(gt=0.0)]


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Learning rates at the checkpoints."""

    rates: tuple[Rate, ...] = ()  # of each checkpoint, oldest first; none: all alike


class Tracin:
    """ln(1 + sum_c w_c ||p_c - y||^2 (||h_c||^2 + 1)) / 2 per row."""

    name = "tracin"
    high = LARGEST
    needs = frozenset({"label", "history", "hidden_history"})
    cost = "checkpoints"
    source = "Pruthi et al. 2020 (arXiv 2002.08484); Anand et al. 2023 (arXiv 2311.16298), eq. 5"

    def __init__(self, rates: tuple[float, ...]) -> None:
        self._rates = rates

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. ValueError without what it needs, or with m other rates."""
        labels = needed(outputs.labels, self.name, "labels")
        history = checkpoints(outputs.history, self.name)
        hidden = needed(outputs.hidden_history, self.name, "hidden_history")
        rates = self._rates or (1.0,) * len(history)
        if not len(history) == len(hidden) == len(rates):
            raise ValueError(
                f"{len(rates)} learning rates and {len(hidden)} hidden layers for "
                f"{len(history)} checkpoints: tracin needs one of each"
            )
        whole, total = math.fsum(rates), np.zeros(len(labels), np.float32)
        for rate, probs, read in zip(rates, history, hidden, strict=True):
            gradient = squared_error(probs, labels) * (squared_norm(read) + np.float32(1.0))
            total += np.float32(rate / whole) * gradient
        return bounded(logarithm(total + np.float32(1.0)) * np.float32(0.5), self.high)


def build(options: Options) -> Tracin:
    return Tracin(options.rates)

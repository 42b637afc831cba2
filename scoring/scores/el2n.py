"""EL2N: the length of the error vector of the given label.

Shape:      probs (n, k), labels (n,) -> (n,) float32
Range:      [0, sqrt 2]: 0 = all on the label, sqrt 2 = all on one other class
Direction:  larger = harder = more valuable, up to the point where the label is wrong
Needs:      label. UNKNOWN_LABEL is a class outside the k with p_y = 0: sqrt(1 + sum_j p_j^2)
Cost:       forward
Source:     EL2N(x, y) = E ||p - y||_2, Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075);
            Anand, Tan and Minakova 2023 (arXiv 2311.16298), equation 6. p - y is the gradient of
            the cross-entropy with respect to the logits. Some code drops the root: the order of
            rows is the same, averages over checkpoints are not.
Traps:      - Empty for weak labels of the SAME checkpoint: with y = argmax p it is at most
              sqrt((k - 1) / k) and nearly a function of the confidence, so it says nothing about
              the label. Score such rows with a checkpoint that did not make the labels.
            - Flipped labels gather at the top end. Taking the plain top of a noisy stream trains
              worse than random rows (10 % flips: twice their share in what was kept).
              Quarantine first (policy `default`), weigh afterwards.
            - The papers average 10 runs of an early checkpoint. One late checkpoint cannot rank
              easy rows: they lie closer together than runs do.
            - A function of (text, label): where repeats are kept once by text, the label must be
              part of what is kept once.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, squared_error
from scoring.scores.scale import bounded
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """EL2N has no options."""


class El2n:
    """||p - y||_2 per row."""

    name = "el2n"
    high = math.sqrt(2.0)
    needs = frozenset({"label"})
    cost = "forward"
    source = "Paul et al. 2021 (arXiv 2107.07075); Anand et al. 2023 (arXiv 2311.16298), eq. 6"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, sqrt 2]. Raises ValueError without labels."""
        labels = needed(outputs.labels, self.name, "labels")
        # bounded: the square root of a sum that rounded up may pass sqrt 2
        return bounded(np.sqrt(squared_error(outputs.probs, labels)), self.high)


def build(_options: Options) -> El2n:
    return El2n()

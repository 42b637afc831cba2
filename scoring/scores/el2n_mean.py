"""EL2N under several checkpoints, averaged: the papers' form of it.

Shape:      history (m, n, k), labels (n,) -> (n,) float32
Range:      [0, sqrt 2]: 0 = all on the label under every checkpoint
Direction:  larger = harder = more valuable, up to the point where the label is wrong
Needs:      label, history
Cost:       checkpoints: m forward passes
Source:     EL2N(x, y) = E_w ||p(w, x) - y||_2, the mean over independent runs: Paul, Ganguli and
            Dziugaite 2021 (arXiv 2107.07075), 10 runs; Anand, Tan and Minakova 2023 (arXiv
            2311.16298), equation 6, 10 runs; Fayyaz et al. 2022 (arXiv 2211.05610), 5 runs
Traps:      - The mean is over RUNS (other seeds, other bootstraps) of the same early epoch.
              Checkpoints of one run share their mistakes: the mean of those smooths in time and
              removes no chance of the run. Both may stand in `history`; know which.
            - Of lengths, not of squares: some code averages ||p - y||^2, which ranks otherwise.
            - One of ten runs ranks like ten (Spearman 0.75), but what it selects trains worse.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct

from scoring.scores.given import checkpoints, needed, squared_error
from scoring.scores.scale import bounded
from scoring.types import Floats, Ints, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The mean has no options."""


class El2nMean:
    """Mean over checkpoints of ||p - y||_2 per row."""

    name = "el2n_mean"
    high = math.sqrt(2.0)
    needs = frozenset({"label", "history"})
    cost = "checkpoints"
    source = "Paul et al. 2021 (arXiv 2107.07075); Anand et al. 2023 (arXiv 2311.16298), eq. 6"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, sqrt 2]. Raises ValueError without labels or history."""
        rounds = el2n_rounds(outputs.history, outputs.labels, self.name)
        total = np.zeros_like(rounds[0])
        for values in rounds:  # oldest first: an order of addition that no neighbour changes
            total += values
        return bounded(total / np.float32(len(rounds)), self.high)


def el2n_rounds(history: Floats | None, labels: Ints | None, score: str) -> list[Floats]:
    """(m, n, k), (n,) -> m times (n,) EL2N, oldest checkpoint first. ValueError if m is 0."""
    given = needed(labels, score, "labels")
    return [np.sqrt(squared_error(probs, given)) for probs in checkpoints(history, score)]


def build(_options: Options) -> El2nMean:
    return El2nMean()

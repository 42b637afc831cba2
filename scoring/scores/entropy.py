"""Entropy of the checkpoint's answer: how undecided it is over all classes.

Shape:      probs (n, k) -> (n,) float32
Range:      [0, 1] with `normalise` (the default): 0 = all on one class, 1 = all classes alike.
            Without it [0, ln k] in nats, for k <= 2980: above that ln k leaves the int16 grid.
Direction:  larger = more uncertain = more valuable
Needs:      nothing: no label
Cost:       forward
Source:     H = -sum_k p_k ln p_k, 0 ln 0 = 0 (Shannon 1948, section 6); as a selection score for
            assistants: Sabbineni, Anand and Minakova 2023 (arXiv 2311.16302). Divided by ln k so
            that checkpoints with other numbers of classes share a scale.
Traps:      - Reads the probabilities, so a change of temperature moves every score: calibrate
              before publishing, not after.
            - Words that no class covers also score high. That is news once and noise afterwards;
              keeping each text once is what bounds it.
            - Needs no label, hence says nothing about whether a label is wrong.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.rows import blocks, natural_log, row_sums
from scoring.types import GRID, Floats, Outputs

LARGEST = np.iinfo(np.int16).max / GRID  # nats that the grid can hold


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """How entropy is scaled."""

    normalise: bool = True  # divide by ln k; false: nats


class Entropy:
    """-sum p ln p per row, over ln k or in nats."""

    name = "entropy"
    needs: frozenset[str] = frozenset()
    cost = "forward"
    source = "Shannon 1948, section 6; Sabbineni, Anand and Minakova 2023 (arXiv 2311.16302)"

    def __init__(self, normalise: bool) -> None:
        self.high = 1.0 if normalise else LARGEST
        self._normalise = normalise

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1], or nats. Raises ValueError in nats where ln k leaves the grid."""
        n, k = outputs.probs.shape
        most = natural_log(np.array([k], np.float32))  # (1,): ln k
        if not self._normalise and most[0] > LARGEST:
            raise ValueError(f"entropy in nats of {k} classes leaves the grid: set normalise")
        result = np.zeros(n, np.float32)
        if k == 1:
            return result
        for block in blocks(n):
            probs = np.ascontiguousarray(outputs.probs[block])
            result[block] = row_sums(probs * natural_log(probs))
        scaled = result / -most if self._normalise else -result
        # a sum of float32 may end a rounding beyond the ends that real numbers have
        return np.clip(scaled, np.float32(0.0), _ONE if self._normalise else most)


_ONE = np.float32(1.0)


def build(options: Options) -> Entropy:
    return Entropy(options.normalise)

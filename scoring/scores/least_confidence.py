"""Least confidence: what the checkpoint leaves to all classes but its answer.

Shape:      probs (n, k) -> (n,) float32
Range:      [0, 1): 0 = all on one class, 1 - 1/k = all classes alike
Direction:  larger = more uncertain = more valuable
Needs:      nothing: no label
Cost:       forward
Source:     1 - max_k p_k, Lewis and Gale 1994 (uncertainty sampling), Settles 2009 section 3.1;
            beside entropy and margin as in Sabbineni, Anand and Minakova 2023 (arXiv 2311.16302)
Traps:      - Sees one number of the row: 0.5 / 0.5 and 0.5 / fifty times 0.01 are equal. The first
              is a pair of intents to be told apart, the second a text that nothing covers.
            - With y = argmax p it is the self-confidence turned round: one more way to see that
              the checkpoint's own answer, taken as a label, carries no news.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.scale import bounded
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Least confidence has no options."""


class LeastConfidence:
    """1 - max p per row."""

    name = "least_confidence"
    high = 1.0
    needs: frozenset[str] = frozenset()
    cost = "forward"
    source = "Lewis and Gale 1994; Settles 2009, section 3.1"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1)."""
        probs = outputs.probs
        first: Floats = probs[np.arange(len(probs)), probs.argmax(axis=1)]
        return bounded(np.float32(1.0) - first, self.high)


def build(_options: Options) -> LeastConfidence:
    return LeastConfidence()

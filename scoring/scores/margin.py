"""Margin of the checkpoint's answer, turned round: how near the second class comes to the first.

Shape:      probs (n, k) -> (n,) float32
Range:      [0, 1]: 0 = all on one class, 1 = the two best classes are alike
Direction:  larger = more uncertain = more valuable. The literature's margin p1 - p2 is SMALL for
            uncertain rows; this score is 1 - (p1 - p2), so that large is good as everywhere here.
Needs:      nothing: no label
Cost:       forward
Source:     p_(1) - p_(2), margin sampling (Scheffer, Decomain and Wrobel 2001); as a selection
            score for assistants: Sabbineni, Anand and Minakova 2023 (arXiv 2311.16302)
Traps:      - Sees two classes only: 0.4 / 0.4 / 0.2 and 0.4 / 0.4 / twenty times 0.01 are equal.
            - Two intents that the ontology does not separate stay on top for ever: look at which
              pair the high rows come from before buying labels for them.
            - Not the plausibility of a label, which asks for the class that was GIVEN.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.rows import top_two
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Margin has no options."""


class Margin:
    """1 - (p1 - p2) per row."""

    name = "margin"
    high = 1.0
    needs: frozenset[str] = frozenset()
    cost = "forward"
    source = "Scheffer, Decomain and Wrobel 2001; Sabbineni et al. 2023 (arXiv 2311.16302)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, 1]."""
        if outputs.probs.shape[1] == 1:
            return np.zeros(len(outputs.probs), np.float32)  # nothing to confuse it with
        _, first, second = top_two(outputs.probs)
        near: Floats = np.float32(1.0) - (first - second)
        return np.clip(near, np.float32(0.0), np.float32(1.0))


def build(_options: Options) -> Margin:
    return Margin()

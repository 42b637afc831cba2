"""Null control: how many tokens the text has.

Shape:      lengths (n,) -> (n,) float32
Range:      [0, 7.9998]: ln(1 + tokens), tokens = exp(score) - 1 up to 2979
Direction:  none: a null control. Selecting by it must not beat selecting at random
Needs:      lengths: no label
Cost:       forward
Source:     the input norm of Kirsch 2023 (arXiv 2303.14753), for texts: what a score must beat to
            be more than a measure of size. Sums over tokens and slots grow with it.
Traps:      - |Spearman(score, length)| above 0.8 is an alarm, below it no acquittal.
            - Tokens as the model read them: cut at its limit, special ones included.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed
from scoring.scores.scale import LARGEST, logarithmic
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Length has no options."""


class Length:
    """ln(1 + tokens) per row."""

    name = "length"
    high = LARGEST
    needs = frozenset({"lengths"})
    cost = "forward"
    source = "null control, after the input norm of Kirsch 2023 (arXiv 2303.14753)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without lengths."""
        return logarithmic(needed(outputs.lengths, self.name, "lengths").astype(np.float32))


def build(_options: Options) -> Length:
    return Length()

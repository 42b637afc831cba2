"""Null control: the length of what the last layer read, whatever was made of it.

Shape:      hidden (n, d) -> (n,) float32
Range:      [0, 7.9998]: ln(1 + ||h||_2), ||h|| = exp(score) - 1 up to 2979
Direction:  none: a null control. Selecting by it must not beat selecting at random
Needs:      hidden: no label
Cost:       forward
Source:     Kirsch 2023 (arXiv 2303.14753): gradient norms at initialisation rank nearly as
            the norm of the input does, and select no better than it, both worse than random
Traps:      - Where a score selects no better than this one, it is this one in disguise: GraNd of
              a head carries the factor sqrt(1 + ||h||^2).
            - Constant where embeddings are normalised to length 1: then it is no control.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed
from scoring.scores.scale import LARGEST, logarithmic, squared_norm
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """The norm has no options."""


class InputNorm:
    """ln(1 + ||h||_2) per row."""

    name = "input_norm"
    high = LARGEST
    needs = frozenset({"hidden"})
    cost = "forward"
    source = "null control of Kirsch 2023 (arXiv 2303.14753)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without hidden."""
        return logarithmic(np.sqrt(squared_norm(needed(outputs.hidden, self.name, "hidden"))))


def build(_options: Options) -> InputNorm:
    return InputNorm()

"""GraNd of the last layer: how far this row alone would move the head.

Shape:      probs (n, k), hidden (n, d), labels (n,) -> (n,) float32
Range:      [0, 7.9998]: ln(1 + GraNd), GraNd = exp(score) - 1 up to 2979. 0 = all on the label.
Direction:  larger = harder = more valuable, up to the point where the label is wrong
Needs:      label, hidden
Cost:       forward: a closed form, no backward pass
Source:     GraNd(x, y) = E ||grad_w loss||_2, Paul, Ganguli and Dziugaite 2021 (arXiv
            2107.07075), of the classifier alone as in Fayyaz et al. 2022 (arXiv 2211.05610). With
            z = W h + b: dloss/dW = (p - y) h^T and dloss/db = p - y, hence
            GraNd = ||p - y|| sqrt(1 + ||h||^2).
Traps:      - Where ||h|| is nearly constant (normalised embeddings) this is EL2N again.
            - Where it is not, look whether ||h|| alone ranks as well: null control `input_norm`.
            - At initialisation it selects no better than chance (Kirsch 2023, arXiv 2303.14753).
            - Not the GraNd of all parameters: with a fine-tuned encoder most of the gradient
              lies below the head.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, squared_error
from scoring.scores.scale import LARGEST, logarithmic, squared_norm
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """GraNd of the last layer has no options."""


class Grand:
    """ln(1 + ||p - y|| sqrt(1 + ||h||^2)) per row."""

    name = "grand"
    high = LARGEST
    needs = frozenset({"label", "hidden"})
    cost = "forward"
    source = "Paul et al. 2021 (arXiv 2107.07075), of the head: Fayyaz et al. 2022 (2211.05610)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without labels or hidden."""
        labels = needed(outputs.labels, self.name, "labels")
        hidden = needed(outputs.hidden, self.name, "hidden")
        # the bias is one more input, of value 1
        gradient = squared_error(outputs.probs, labels) * (squared_norm(hidden) + np.float32(1.0))
        return logarithmic(np.sqrt(gradient))


def build(_options: Options) -> Grand:
    return Grand()

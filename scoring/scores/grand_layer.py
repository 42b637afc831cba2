"""GraNd of an encoder layer: how far this row alone would move the parameters of that layer.

Shape:      layer_gradient (n,), labels (n,) -> (n,) float32. layer_gradient[i] is the length of
            the gradient of the row's own cross-entropy by all parameters of one layer of the
            encoder, without dropout. `layer` counts as Python does: 0 the first, -1 the last.
Range:      [0, 7.9998]: ln(1 + GraNd), GraNd = exp(score) - 1 up to 2979. 0 = all on the label.
Direction:  larger = harder = more valuable, up to the point where the label is wrong
Needs:      label, layer_gradient
Cost:       backward: one more forward pass, a backward pass from the loss down to that layer, and
            a gradient of the size of the layer for each row
Source:     GraNd(x, y) = E ||grad_w loss||_2, Paul, Ganguli and Dziugaite 2021 (arXiv
            2107.07075), w those of one layer: Anand, Tan and Minakova 2023 (arXiv 2311.16298)
            found the last encoder layer steadier than the classifier. Of each row by itself, under
            the newest checkpoint alone: no mean over runs.
Traps:      - What `grand` has in closed form is of the head. No layer's score contains it.
            - Layers have other scales: scores of two layers, or of two architectures, do not
              compare; a policy goes by quantiles of one of them.
            - Where the encoder was frozen the layer has a gradient all the same, though nothing
              that was learnt depends on it: `grand` is then the honest one.
            - The loss is the one that training sees: policy.calibrate divides no logit of it.
            - A label that the checkpoint has no class for is a class of probability 0, as in
              `grand`. It has no weights, so the layer hears only what pushes the others down.
            - At initialisation it selects no better than chance (Kirsch 2023, arXiv 2303.14753).
"""

from __future__ import annotations

from msgspec import Struct

from scoring.scores.given import needed
from scoring.scores.scale import LARGEST, logarithmic
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which layer."""

    layer: int = -1  # of the encoder: 0 the first, -1 the last


class GrandLayer:
    """ln(1 + ||gradient by the layer's parameters||) per row."""

    name = "grand_layer"
    high = LARGEST
    needs = frozenset({"label", "layer_gradient"})
    cost = "backward"
    source = "Paul et al. 2021 (arXiv 2107.07075), of a layer as in Anand et al. 2023 (2311.16298)"

    def __init__(self, layer: int) -> None:
        self.layer = layer  # read by scoring.supplies: the model derives by this layer alone

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. Raises ValueError without labels or layer_gradient."""
        needed(outputs.labels, self.name, "labels")
        return logarithmic(needed(outputs.layer_gradient, self.name, "layer_gradient"))


def build(options: Options) -> GrandLayer:
    return GrandLayer(options.layer)

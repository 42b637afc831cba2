"""GraNd of both heads: how far this row alone would move the intent layer and the slot layer.

Shape:      probs (n, k), hidden (n, d), labels (n,), and n times slot_probs (T_i, S), slot_hidden
            (T_i, d), slot_labels (T_i,) -> (n,) float32
Range:      [0, 7.9998]: ln(1 + GraNd), GraNd = exp(score) - 1 up to 2979. 0 = all on the labels.
Direction:  larger = harder = more valuable, up to the point where a label is wrong
Needs:      label, hidden, slots, slot_labels, slot_hidden
Cost:       forward: a closed form, no backward pass; S * d multiplications a word, row by row
Source:     GraNd, Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075), for joint models Attendu
            and Corbeil 2023 (arXiv 2306.03208), of the two last layers. Words share the slot
            layer, so their gradients add before they are measured:
            GraNd^2 = ||e||^2 (||h||^2 + 1) + ||sum_t e_t h_t^T||_F^2 + ||sum_t e_t||^2
            with e = p - y. The loss is cross-entropy of the intent plus the SUM over words.
Traps:      - Not sqrt(sum_t GraNd_t^2): gradients of words may cancel, and do where one word is
              called what its neighbour is.
            - A loss that averages over words divides the second and third term by T^2.
            - Grows with the length of the text, as the sum of losses does.
            - Reads slot labels: keep by utterance id, not by text (see `joint_el2n`).
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, squared_error
from scoring.scores.scale import LARGEST, logarithmic, squared_norm
from scoring.scores.tagged import check
from scoring.types import NO_LABEL, Floats, Ints, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """GraNd of both heads has no options."""


class JointGrand:
    """ln(1 + length of the gradient of both last layers) per row."""

    name = "joint_grand"
    high = LARGEST
    needs = frozenset({"label", "hidden", "slots", "slot_labels", "slot_hidden"})
    cost = "forward"
    source = "Paul et al. 2021 (arXiv 2107.07075); Attendu and Corbeil 2023 (arXiv 2306.03208)"

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, LARGEST]. ValueError without what it needs."""
        labels = needed(outputs.labels, self.name, "labels")
        hidden = needed(outputs.hidden, self.name, "hidden")
        slot_probs = needed(outputs.slot_probs, self.name, "slots")
        slot_labels = needed(outputs.slot_labels, self.name, "slot labels")
        slot_hidden = needed(outputs.slot_hidden, self.name, "slot_hidden")
        check(slot_probs, slot_labels, self.name)
        squares = squared_error(outputs.probs, labels) * (squared_norm(hidden) + np.float32(1.0))
        rows = zip(slot_probs, slot_hidden, slot_labels, strict=True)
        slots = [_slot_gradient(probs, read, tags) for probs, read, tags in rows]
        return logarithmic(np.sqrt(squares + np.array(slots, np.float32)))


def _slot_gradient(probs: Floats, hidden: Floats, labels: Ints) -> np.float32:
    """||sum_t e_t h_t^T||^2 + ||sum_t e_t||^2 of one row: (T, S), (T, d), (T,)."""
    counted = np.flatnonzero(labels != NO_LABEL)
    error = probs[counted]
    known = np.flatnonzero(labels[counted] >= 0)
    error[known, labels[counted[known]]] -= np.float32(1.0)
    # an unknown tag is a column of its own, of error -1; the bias an input of its own, of value 1
    unknown = (labels[counted] >= 0).astype(np.float32) - np.float32(1.0)
    errors = np.column_stack([error, unknown])
    inputs = np.column_stack([hidden[counted], np.ones(len(counted), np.float32)])
    gradient = np.zeros((errors.shape[1], inputs.shape[1]), np.float32)
    product = np.empty_like(gradient)
    for tag, read in zip(errors, inputs, strict=True):
        gradient += np.multiply(tag[:, None], read, out=product)
    square: np.float32 = squared_norm(gradient.reshape(1, -1))[0]
    return square


def build(_options: Options) -> JointGrand:
    return JointGrand()

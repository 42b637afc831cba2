"""Joint EL2N of intent and slots: the error vectors of the row's labels, taken together.

Shape:      probs (n, k), labels (n,), n times slot_probs (T_i, S) and slot_labels (T_i,)
            -> (n,) float32
Range:      reduce mean: [0, sqrt 2]. norm and sum: [0, 7.9998], which is ln(1 + joint);
            joint = exp(score) - 1. 0 = all on the labels.
Direction:  larger = harder = more valuable, up to the point where a label is wrong
Needs:      label, slots, slot_labels
Cost:       forward
Source:     Attendu and Corbeil 2023 (arXiv 2306.03208), EL2N of joint models. With s = ||p - y||_2
            of the intent and n_t = ||p_t - y_t||_2 of the tag of word t, first sub-tokens only:
            norm sqrt(s^2 + sum_t n_t^2) (their default), sum s + sum_t n_t, mean
            (s + sum_t n_t / T) / 2. T counts words that have a slot label; without one the mean
            is s.
Traps:      - norm and sum grow with the length of the text: compare them with null control
              `length` before believing them. mean does not, hence the default here.
            - Words without a slot label (NO_LABEL) say nothing and add nothing. A row whose slots
              nobody annotated scores its intent alone, which under norm and sum looks easy.
            - Reads slot labels: two records of one text and intent may have others, so a weight
              from it is no function of (text, label): keep by utterance id, not by text.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from msgspec import Struct

from scoring.scores.given import needed, squared_error
from scoring.scores.scale import LARGEST, bounded, logarithmic
from scoring.scores.tagged import check, slot_errors
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """How the errors of intent and slots become one number."""

    reduce: Literal["mean", "norm", "sum"] = "mean"


class JointEl2n:
    """Norm, sum or mean of ||p - y|| over intent and slots, per row."""

    name = "joint_el2n"
    needs = frozenset({"label", "slots", "slot_labels"})
    cost = "forward"
    source = "Attendu and Corbeil 2023 (arXiv 2306.03208), EL2N of joint models"

    def __init__(self, reduce: Literal["mean", "norm", "sum"]) -> None:
        self.high = math.sqrt(2.0) if reduce == "mean" else LARGEST
        self._reduce = reduce

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, high]. ValueError without what it needs."""
        labels = needed(outputs.labels, self.name, "labels")
        slot_probs = needed(outputs.slot_probs, self.name, "slots")
        slot_labels = needed(outputs.slot_labels, self.name, "slot labels")
        check(slot_probs, slot_labels, self.name)
        square = squared_error(outputs.probs, labels)
        squares, norms, words = slot_errors(slot_probs, slot_labels)
        if self._reduce == "norm":
            return logarithmic(np.sqrt(square + squares))
        intent = np.sqrt(square)
        if self._reduce == "sum":
            return logarithmic(intent + norms)
        both = (intent + norms / np.maximum(words, np.float32(1.0))) * np.float32(0.5)
        return bounded(np.where(words > 0, both, intent), self.high)


def build(options: Options) -> JointEl2n:
    return JointEl2n(options.reduce)

"""EL2N over scoring rounds, smoothed, plus what it still moves: running mean + c * deviation.

Shape:      history (m, n, k), oldest first, labels (n,) -> (n,) float32
Range:      [0, sqrt 2 + c]: 0 = all on the label in every round
Direction:  larger = harder or unsettled = more valuable, up to where the label is wrong
Needs:      label, history
Cost:       checkpoints: m forward passes
Source:     Attendu and Corbeil 2023 (arXiv 2306.03208), scores of dynamic pruning:
            mu_r = (1 - alpha) mu_{r-1} + alpha chi_r from mu_1 = chi_1, and mu + c * deviation;
            alpha = 0.8 and c = 1 in their joint training. With w_r the weight of round r in mu:
            deviation^2 = sum_r w_r (chi_r - mu)^2 / (1 - sum_r w_r^2), exponentially weighted and
            unbiased; 0 for a single round.
Traps:      - No running state: computed anew from the m rounds of the edition. What lies further
              back weighs (1 - alpha)^m: with alpha = 0.8 and m = 4 that is 0.0016.
            - c pays for change of either direction: a row that was just learnt scores as high as
              one just forgotten.
            - Their chi is the joint EL2N of intent and slots; this is the intent alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import numpy as np
from msgspec import Meta, Struct

from scoring.scores.el2n_mean import el2n_rounds
from scoring.scores.scale import bounded
from scoring.types import Floats, Outputs


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """How fast the mean forgets, and what unrest is worth."""

    alpha: Annotated[float, Meta(gt=0.0, le=1.0)] = 0.8  # weight of the newest round
    c: Annotated[float, Meta(ge=0.0, le=6.0)] = 1.0  # times the deviation


class El2nSmoothed:
    """Exponentially weighted mean + c * deviation of ||p - y||_2 per row."""

    name = "el2n_smoothed"
    needs = frozenset({"label", "history"})
    cost = "checkpoints"
    source = "Attendu and Corbeil 2023 (arXiv 2306.03208), smoothed scores of dynamic pruning"

    def __init__(self, alpha: float, c: float) -> None:
        # two rounds sqrt 2 apart deviate by 1, and no history by more
        self.high = math.sqrt(2.0) + c
        self._alpha, self._c = alpha, c

    def __call__(self, outputs: Outputs) -> Floats:
        """(n,) in [0, sqrt 2 + c]. Raises ValueError without labels or history."""
        rounds = el2n_rounds(outputs.history, outputs.labels, self.name)
        return bounded(smooth(rounds, self._alpha, self._c), self.high)


def smooth(rounds: Sequence[Floats], alpha: float, c: float) -> Floats:
    """m >= 1 times (n,), oldest first -> (n,) running mean + c * deviation."""
    weights = round_weights(len(rounds), alpha)
    mean: Floats = np.zeros_like(rounds[0])
    variance: Floats = np.zeros_like(rounds[0])
    for weight, values in zip(weights, rounds, strict=True):
        mean += np.float32(weight) * values
    for weight, values in zip(weights, rounds, strict=True):
        variance += np.float32(weight) * np.square(values - mean)
    spread = 1.0 - math.fsum(weight * weight for weight in weights)
    if spread > 0.0:  # else one round has all the weight, and nothing deviates from it
        variance /= np.float32(spread)
    unrest: Floats = np.sqrt(variance) * np.float32(c)
    return mean + unrest


def round_weights(rounds: int, alpha: float) -> list[float]:
    """Weights of the rounds in the running mean, oldest first; they sum to 1."""
    weights, rest = [], 1.0
    for _ in range(rounds - 1):  # newest first
        weights.append(alpha * rest)
        rest *= 1.0 - alpha
    return [rest, *reversed(weights)]


def build(options: Options) -> El2nSmoothed:
    return El2nSmoothed(options.alpha, options.c)

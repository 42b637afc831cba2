"""Lift: how much better a head trained on the selected rows answers than one on random rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daemon.corpus import Row
from daemon.demo.encoder import Encoder
from scoring.training.accuracy import Accuracy
from scoring.training.dice import Floats64
from scoring.training.heads import STEPS, accuracy, fit, hits
from scoring.training.paired import Difference, differences


class Lift(NamedTuple):
    """Accuracies are means over seeds."""

    selected: Accuracy
    random: Accuracy
    plain: Difference
    macro: Difference


def lift(
    encoder: Encoder,
    selected: Sequence[Row],
    random: Sequence[Row],
    heldout: Sequence[Row],
    *,
    seeds: int = 5,
    steps: int = STEPS,
) -> Lift:
    """Train both arms at equal steps with the same seeds, answer the same clean rows.

    `intent` of the arms' rows is the label as given, wrong or not; that of `heldout` is true.
    """
    classes = sorted({row.intent for rows in (selected, random, heldout) for row in rows})
    asked = encoder.features([row.text for row in heldout])
    truth = [row.intent for row in heldout]
    right: list[list[Floats64]] = [[], []]
    scores: list[list[Accuracy]] = [[], []]
    for arm, rows in enumerate((selected, random)):
        features = encoder.features([row.text for row in rows])
        labels = [row.intent for row in rows]
        for seed in range(seeds):
            head = fit(features, labels, classes, steps=steps, seed=seed)
            right[arm].append(hits(head, asked, truth, classes).astype(np.float64))
            scores[arm].append(accuracy(head, asked, truth, classes))
    plain, macro = differences(np.array(right[0]) - np.array(right[1]), truth)
    means = [Accuracy(*np.mean(each, axis=0).tolist()) for each in scores]
    return Lift(means[0], means[1], plain, macro)

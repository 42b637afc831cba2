"""Lift: how much better a head trained on the selected rows answers than one on random rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from daemon.demo.corpus import Row
from daemon.demo.dice import Dice, Floats64
from daemon.demo.encoder import Encoder
from daemon.demo.training import STEPS, Accuracy, accuracy, fit, hits

RESAMPLES = 1_000


class Difference(NamedTuple):
    """selected - random, in [-1, 1], with its two-sided 95 % bootstrap interval."""

    estimate: float
    low: float
    high: float


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


def differences(gains: Floats64, labels: Sequence[str]) -> tuple[Difference, Difference]:
    """Plain and macro difference of paired answers.

    `gains` (s, n) in {-1, 0, 1}: seed s, row n; `labels` (n,). Rows and seeds are resampled
    together, both arms alike (Efron & Tibshirani 1993, section 13.3: percentile interval).
    """
    seeds, rows = gains.shape
    _, group = np.unique(np.array(labels), return_inverse=True)
    dice = Dice("bootstrap", seeds, rows)
    which_rows = dice.below("rows", RESAMPLES * rows, rows).reshape(RESAMPLES, rows)
    which_seeds = dice.below("seeds", RESAMPLES * seeds, seeds).reshape(RESAMPLES, seeds)
    plain = np.empty(RESAMPLES)
    macro = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        gain = gains[which_seeds[draw]].mean(axis=0)[which_rows[draw]]
        plain[draw] = gain.mean()
        macro[draw] = _macro(gain, group[which_rows[draw]])
    mean = gains.mean(axis=0)
    return _interval(float(mean.mean()), plain), _interval(_macro(mean, group), macro)


def _macro(gain: Floats64, group: np.ndarray[tuple[int, ...], np.dtype[np.intp]]) -> float:
    """Mean over the groups that occur of the mean gain inside."""
    sizes = np.bincount(group)
    sums = np.bincount(group, weights=gain)
    return float((sums[sizes > 0] / sizes[sizes > 0]).mean())


def _interval(estimate: float, draws: Floats64) -> Difference:
    low, high = np.quantile(draws, (0.025, 0.975)).tolist()
    return Difference(estimate, low, high)

"""Intervals of rates: the estimate is the rate itself, arms are paired, intervals cover."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.benchmark import rates
from scoring.training.mistakes import Counts

SEEDS, ROWS = 3, 400


def counts(wrong: float, seed: int, seeds: int = SEEDS) -> Counts:
    """Utterances of two slots; an intent is wrong with this chance, a slot half as often."""
    random = np.random.default_rng(seed)
    made = np.zeros((seeds, ROWS, 7), np.int64)
    made[..., 0], made[..., 3], made[..., 4] = 1, 2, 2
    made[..., 1] = random.random((seeds, ROWS)) < wrong
    made[..., 2] = random.random((seeds, ROWS)) < wrong / 2
    made[..., 5] = 2 - made[..., 2]
    made[..., 6] = (made[..., 1] + made[..., 2]) > 0
    return made


def test_estimates_are_those_of_all_utterances() -> None:
    made = counts(0.2, 1)
    sums = made.sum(axis=(0, 1))
    found = rates.alone(made)
    assert found["accuracy"].estimate == pytest.approx(1 - sums[1] / sums[0])
    assert found["semer"].estimate == pytest.approx((sums[1] + sums[2]) / (sums[0] + sums[3]))
    assert all(value.low <= value.estimate <= value.high for value in found.values())


def test_an_arm_gains_nothing_over_itself() -> None:
    made = counts(0.2, 1)
    for found in (rates.gains(made, made), rates.spared(made, made)):
        assert all(value == (0, 0, 0) for value in found.values())


def test_fewer_mistakes_are_a_gain_of_every_rate() -> None:
    worse = counts(0.3, 1)
    better = worse.copy()
    better[:, ::2, 1:3] = 0  # every other utterance is answered rightly now
    better[:, ::2, 5], better[:, ::2, 6] = 2, 0
    assert all(value.low > 0 for value in rates.gains(better, worse).values())
    found = rates.spared(better, worse)
    assert all(0.35 < value.estimate < 0.65 for value in found.values())
    assert all(value.high < 0 for value in rates.gains(worse, better).values())


def test_pairs_are_narrower_than_strangers() -> None:
    worse = counts(0.3, 1)
    better = worse.copy()
    better[:, :40, 1] = 0
    paired = rates.gains(better, worse)["accuracy"]
    strangers = rates.gains(counts(0.27, 2), worse)["accuracy"]
    assert paired.high - paired.low < 0.7 * (strangers.high - strangers.low)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    covered = [
        value.low <= 0.8 <= value.high
        for value in (rates.alone(counts(0.2, seed, 1))["accuracy"] for seed in range(60))
    ]
    assert 0.85 <= np.mean(covered) <= 1.0

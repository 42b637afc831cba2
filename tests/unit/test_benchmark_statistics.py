"""The benchmark's figures against cases computed by hand, and its verdicts against their rules."""

from __future__ import annotations

import numpy as np
import pytest

from daemon.benchmark import claims, goals, ours, stages, statistics, worlds
from daemon.benchmark.claims import CLAIMS, Claim
from daemon.benchmark.statistics import Interval
from daemon.benchmark.tables import Line, Results
from scoring.types import GRID
from tests.tiny_corpus import TINY, numbers


def test_auroc_counts_pairs_and_halves_ties() -> None:
    # wrong rows 3 and 1 against right rows 2 and 1: pairs won 1 + 1 + 0 + 1/2 of 4
    values = np.array([3.0, 1.0, 2.0, 1.0])
    wrong = np.array([True, True, False, False])
    assert statistics.auroc(values, wrong) == 2.5 / 4
    assert statistics.auroc(values, np.zeros(4, np.bool_)) is None
    assert statistics.auroc(-values, wrong) == 1.5 / 4


def test_the_tail_is_the_least_frequent_that_bring_two_fifths() -> None:
    traffic = np.array([0.5, 0.05, 0.25, 0.15, 0.05])
    assert statistics.tail(traffic).tolist() == [False, True, False, True, True]
    assert statistics.tail(np.array([0.9, 0.1])).tolist() == [False, True]
    assert statistics.tail(np.array([0.6, 0.3, 0.1])).tolist() == [False, True, True]
    assert statistics.tail(np.array([0.5, 0.5])).sum() == 1  # never empty


def test_weights_give_each_figure_its_mean() -> None:
    classes = np.array([0, 0, 0, 1])  # nobody asks class 2
    counted = statistics.weights(classes, np.array([0.2, 0.6, 0.2]))
    right = np.array([1.0, 0.0, 0.0, 1.0])
    found = {name: float((right * each).sum()) for name, each in counted.items()}
    assert found["plain"] == pytest.approx(2 / 4)
    assert found["macro"] == pytest.approx((1 / 3 + 1) / 2)
    assert found["traffic"] == pytest.approx(0.25 / 3 + 0.75)
    assert found["tail"] == pytest.approx(1 / 3)  # of 0.2 and 0.6 the lesser
    assert all(each.sum() == pytest.approx(1) for each in counted.values())


def test_an_interval_is_paired_and_keeps_what_does_not_vary() -> None:
    classes = np.repeat(np.arange(10), 20)
    counted = np.full((4, 200), 1 / 200)
    always = statistics.interval(np.ones((4, 200)) * 0.25, counted, classes)
    assert [always.estimate, always.low, always.high] == pytest.approx([0.25] * 3)
    gains = (np.arange(800).reshape(4, 200) % 3 == 0) * 1.0
    some = statistics.interval(gains, counted, classes)
    assert some.estimate == pytest.approx(gains.mean())
    # rows are Bernoulli(1/3): of 200 of them, seeds being paired, +- 2 standard errors
    assert some.low < some.estimate < some.high
    assert 0.02 < some.high - some.low < 0.2
    assert some == statistics.interval(gains, counted, classes)


def test_an_interval_of_seeds_knows_that_they_differ() -> None:
    classes = np.repeat(np.arange(10), 20)
    counted = np.full((4, 200), 1 / 200)
    apart = np.zeros((4, 200))
    apart[0] = 1.0  # one seed of four gains all: its mean of four draws goes from 0 to 3/4
    wide = statistics.interval(apart, counted, classes)
    assert (wide.estimate, wide.low, wide.high) == pytest.approx((0.25, 0.0, 0.75))


@pytest.mark.parametrize(
    ("expects", "low", "high", "verdict"),
    [
        ("above", 0.001, 0.02, "reproduced"),
        ("above", -0.001, 0.02, "not reproduced"),
        ("below", -0.02, -0.001, "reproduced"),
        ("below", -0.02, 0.001, "not reproduced"),
        ("not above", -0.02, 0.001, "reproduced"),
        ("not above", 0.001, 0.02, "not reproduced"),
        ("equal", -0.02, -0.004, "reproduced"),
        ("equal", -0.02, -0.006, "not reproduced"),
        ("equal", 0.001, 0.02, "beyond"),
    ],
)
def test_a_verdict_follows_from_the_interval(
    expects: str, low: float, high: float, verdict: str
) -> None:
    claim = Claim("paper", "claim", "published", "once", "el2n.top", 0.5)._replace(
        expects=expects  # type: ignore[arg-type]
    )
    assert claims.verdict(claim, Interval((low + high) / 2, low, high)) == verdict


def line(arm: str, budget: float, macro: Interval, noise: float = 0.0) -> Line:
    every = dict.fromkeys(statistics.FIGURES, macro)
    return Line(
        "tiny", "flips-10", arm, budget, 3, budget, noise, 0.1, 0.2, every, every, every, every
    )


@pytest.mark.parametrize(
    ("macro", "reached", "certain"),
    [
        (Interval(0.05, 0.04, 0.06), True, True),
        (Interval(0.04, 0.03, 0.05), True, False),
        (Interval(0.03, 0.02, 0.05), False, False),
    ],
)
def test_a_goal_is_reached_by_its_estimate_and_surely_by_its_interval(
    macro: Interval, reached: bool, certain: bool
) -> None:
    found = Results((line("default", 0.5, macro),), ())
    made = {(goal.scenario, goal.goal): goal for goal in goals.goals(found)}
    goal = made["flips-10", "50% kept: macro >= 3.5 points above everything"]
    assert (goal.reached, goal.certain) == (reached, certain)
    assert made["near-10", "20% kept: macro >= 2.5 points above everything"].reached is None


def test_a_relative_error_is_of_the_random_arm() -> None:
    found = line("random", 0.5, Interval(0.8, 0.7, 0.9))  # errs on 0.2
    gain = line("default", 0.5, Interval(0.03, 0.01, 0.05))
    assert goals.weak(gain, found).ours == "+15.00 [+5.00, +25.00]"


def test_plausibility_is_by_smoothed_odds_and_can_be_another() -> None:
    stage = stages.stage(worlds.make(numbers(), TINY, 0))
    shipped = stage.scored.plausibility / GRID
    odds, smoothed, margin = (
        ours.judged(stage, smoothing).scored.plausibility / GRID for smoothing in (0.0, 0.1, None)
    )
    np.testing.assert_array_equal(ours.judged(stage, 1 / 32).scored.plausibility / GRID, shipped)
    probs, labels = stage.scored.probs, stage.scored.labels
    for row in range(0, len(labels), 37):
        own = probs[row, labels[row]]
        best = np.delete(probs[row], labels[row]).max()
        assert odds[row] == pytest.approx(own / (own + best), abs=1 / GRID)
        assert smoothed[row] == pytest.approx((own + 0.1) / (own + best + 0.2), abs=1 / GRID)
        assert margin[row] == pytest.approx((own - best + 1) / 2, abs=1 / GRID)


def test_claims_name_what_there_is() -> None:
    from daemon.benchmark.arms import arms
    from daemon.benchmark.runs import BUDGETS
    from daemon.benchmark.scenarios import SCENARIOS

    for claim in CLAIMS:
        assert claim.scenario in SCENARIOS
        assert claim.arm in arms()
        assert claim.budget in BUDGETS

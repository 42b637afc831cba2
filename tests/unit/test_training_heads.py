"""Heads on frozen features, paired differences of their answers, and the dice under them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.models.base import softmax
from scoring.training import descent, heads
from scoring.training.accuracy import indices
from scoring.training.dice import Dice, zipf
from scoring.training.heads import Head, accuracy, ensemble, fit, history, hits, tempered
from scoring.training.paired import RESAMPLES, differences
from scoring.types import Floats

CLASSES = ("a", "b", "c")


def clouds(count: int, seed: int, spread: float = 0.2) -> tuple[Floats, list[str]]:
    """Points of norm 1 around three directions of eight, classes in turn."""
    generator = np.random.default_rng(seed)
    targets = np.arange(count) % 3
    points = np.eye(3, 8)[targets] + spread * generator.normal(size=(count, 8))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    return points.astype(np.float32), [CLASSES[t] for t in targets]


def test_a_head_learns_what_can_be_learnt() -> None:
    features, labels = clouds(150, seed=1)
    head = fit(features, labels, CLASSES)
    assert head.weight.shape == (3, 8)
    fresh, truth = clouds(300, seed=2)
    assert accuracy(head, fresh, truth, CLASSES).plain > 0.95
    probs = head.probs(fresh)
    assert probs.sum(axis=1) == pytest.approx(1, abs=1e-5)
    assert 0.5 < probs.max(axis=1).mean() < 0.999


def test_fit_is_a_function_of_rows_and_seed() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    one, other = (fit(features, labels, CLASSES, seed=s) for s in (1, 2))
    assert np.array_equal(one.weight, fit(features, labels, CLASSES, seed=1).weight)
    assert not np.array_equal(one.weight, other.weight)
    half = fit(features, labels, CLASSES, seed=1, steps=20)
    assert not np.array_equal(one.weight, half.weight)


def test_fit_finds_the_optimum_of_its_loss() -> None:
    # the gradient of mean cross-entropy + penalty is near 0 over all rows, as the law says
    features, labels = clouds(60, seed=3, spread=0.7)
    head = fit(features, labels, CLASSES, steps=3_000)
    errors = head.probs(features)
    errors[np.arange(60), indices(labels, CLASSES)] -= 1
    gradient = errors.T @ features / 60 + descent.PENALTY * head.weight
    assert np.abs(gradient).max() < 2e-4
    assert np.abs(errors.mean(axis=0)).max() < 2e-4


@given(st.integers(1, 300), st.integers(1, 40))
@settings(max_examples=30)
def test_every_row_is_seen_equally_often(count: int, steps: int) -> None:
    order = heads._order(count, steps, 0)
    assert len(order) == steps
    assert {len(batch) for batch in order} == {min(heads.BATCH, count)}
    seen = np.bincount(np.concatenate(order), minlength=count)
    assert seen.max() - seen.min() <= 1


@pytest.mark.parametrize("labels", [[], ["a", "z"]])
def test_fit_refuses_what_it_cannot_learn(labels: list[str]) -> None:
    with pytest.raises(ValueError, match="training needs") as caught:
        fit(np.zeros((len(labels), 8), np.float32), labels, CLASSES)
    assert "'z'" not in str(caught.value)


def test_a_temperature_changes_sureness_and_no_answer() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    head = fit(features, labels, CLASSES)
    wild = Head(head.weight * 2, head.bias * 2)
    fresh, truth = clouds(600, seed=9, spread=0.6)
    tame = tempered(wild, fresh, truth, CLASSES)
    plain = accuracy(tame, fresh, truth, CLASSES).plain
    sure = [float(h.probs(fresh).max(axis=1).mean()) for h in (wild, tame)]
    assert sure[0] > plain + 0.1
    assert sure[1] == pytest.approx(plain, abs=0.05)
    assert plain == accuracy(wild, fresh, truth, CLASSES).plain
    assert tempered(wild, fresh, ["new"] * 600, CLASSES) is wild


def test_accuracy_by_hand() -> None:
    head = Head(np.eye(3, dtype=np.float32), np.zeros(3, np.float32))
    answers = np.eye(3, dtype=np.float32)[[0, 0, 0, 1, 2]]
    labels = ["a", "a", "b", "b", "new"]  # a class that the head does not know is never right
    assert hits(head, answers, labels, CLASSES).tolist() == [1, 1, 0, 1, 0]
    found = accuracy(head, answers, labels, CLASSES)
    assert found == pytest.approx((3 / 5, (1 + 0.5 + 0) / 3))


@given(st.integers(1, 5), st.integers(1, 30), st.integers(0, 99))
@settings(max_examples=15)
def test_differences_hold_their_estimate_and_turn_round(seeds: int, rows: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    gains = generator.integers(-1, 2, (seeds, rows)).astype(np.float64)
    labels = [CLASSES[i % 2] for i in range(rows)]
    plain, macro = differences(gains, labels)
    assert plain.estimate == pytest.approx(gains.mean())
    shares = [gains[:, i::2].mean() for i in range(min(2, rows))]
    assert macro.estimate == pytest.approx(np.mean(shares))
    turned = differences(-gains, labels)
    assert (turned[0].low, turned[0].high) == pytest.approx((-plain.high, -plain.low))
    assert plain.low <= plain.high
    assert macro.low <= macro.high


def test_the_interval_is_as_wide_as_the_answers_vary() -> None:
    generator = np.random.default_rng(1)
    gains = np.repeat(generator.integers(0, 2, (1, 400)).astype(np.float64), 3, axis=0)
    plain, macro = differences(gains, ["a"] * 400)
    error = 1.96 * gains[0].std() / 20
    assert plain.high - plain.estimate == pytest.approx(error, rel=0.2)
    assert plain.estimate - plain.low == pytest.approx(error, rel=0.2)
    assert macro == plain  # one class
    seeds = np.repeat(np.array([[0.0], [1.0], [0.0], [1.0]]), 400, axis=1)
    apart, _ = differences(seeds, ["a"] * 400)  # rows agree, seeds do not
    assert apart.high - apart.low > 0.4
    assert RESAMPLES >= 1_000


def test_softmax_of_the_engine_is_the_one_that_was_trained() -> None:
    features, labels = clouds(30, seed=1)
    head = fit(features, labels, CLASSES, steps=30)
    assert np.array_equal(head.probs(features), softmax(features @ head.weight.T + head.bias))


def test_a_history_ends_in_what_fit_returns() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    kept = history(features, labels, CLASSES, every=30, steps=100)
    assert len(kept) == 4  # after 30, 60, 90 and 100
    assert np.array_equal(kept[-1].weight, fit(features, labels, CLASSES, steps=100).weight)
    assert not np.array_equal(kept[0].weight, kept[1].weight)
    again = history(features, labels, CLASSES, every=50, steps=100)
    assert np.array_equal(again[-1].bias, kept[-1].bias)
    with pytest.raises(ValueError, match="at least one step"):
        history(features, labels, CLASSES, every=0)


def test_weights_are_relative_and_zero_is_absence() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    plain = fit(features, labels, CLASSES)
    for level in (1.0, 7.0):
        same = fit(features, labels, CLASSES, weights=np.full(90, level, np.float32))
        assert np.array_equal(same.weight, plain.weight)
    spoilt = [CLASSES[(CLASSES.index(x) + 1) % 3] if i % 4 else x for i, x in enumerate(labels)]
    trusted = np.array([float(i % 4 == 0) for i in range(90)], np.float32)
    believed = fit(features, spoilt, CLASSES)
    weighted = fit(features, spoilt, CLASSES, weights=trusted)
    fresh, truth = clouds(300, seed=2, spread=0.3)
    assert accuracy(believed, fresh, truth, CLASSES).plain < 0.5
    assert accuracy(weighted, fresh, truth, CLASSES).plain > 0.8


@pytest.mark.parametrize("weights", [[1.0], [-1.0] * 3, [0.0] * 3, [float("nan")] * 3])
def test_weights_that_say_nothing_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="training takes"):
        fit(np.eye(3, 8, dtype=np.float32), CLASSES, CLASSES, weights=np.array(weights, np.float32))


def test_a_warm_start_is_where_it_goes_on() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    good = fit(features, labels, CLASSES)
    step = [fit(features, labels, CLASSES, steps=1, start=start) for start in (None, good)]
    loss = [-np.log(h.probs(features)[range(90), indices(labels, CLASSES)]).mean() for h in step]
    assert loss[1] < loss[0] - 0.1


def test_an_ensemble_is_a_head_for_each_seed() -> None:
    features, labels = clouds(90, seed=1, spread=0.6)
    found = ensemble(features, labels, CLASSES, seeds=(4, 9), steps=20)
    assert len(found) == 2
    for seed, head in zip((4, 9), found, strict=True):
        alone = fit(features, labels, CLASSES, seed=seed, steps=20)
        assert np.array_equal(head.weight, alone.weight)
    assert not np.array_equal(found[0].weight, found[1].weight)


def test_dice_are_the_same_everywhere() -> None:
    # SHAKE128 of a name: neither numpy's version nor the machine has a say
    assert Dice("a", 1).below("p", 5, 100).tolist() == [59, 12, 33, 20, 94]
    assert Dice("a").named(1).uniform("p") == Dice("a", 1).uniform("p")
    assert Dice("a", 1).uniform("p") != Dice("a1").uniform("p") != Dice("a", "1").uniform("p")


@given(st.integers(0, 50), st.integers(0, 2**32))
def test_dice_shuffle_and_stay_in_range(count: int, seed: int) -> None:
    dice = Dice("x", seed)
    assert sorted(dice.shuffled("s", range(count))) == list(range(count))
    assert set(dice.below("b", 200, 7).tolist()) <= set(range(7))
    picked = dice.weighted("w", 400, zipf(4, 1.0) * [1, 0, 1, 1])
    assert set(picked.tolist()) == {0, 2, 3}
    assert (picked == 0).sum() > (picked == 3).sum()

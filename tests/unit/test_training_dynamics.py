"""What training shows of rows, by hand, and the schedules that read it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.scores.aum import Aum
from scoring.scores.forgetting import Forgetting
from scoring.training.dice import Dice
from scoring.training.dynamics import Dynamics, Measures, measure, together
from scoring.training.schedules import LEAST, Schedule, affordable, drawn, hardest, keys
from scoring.types import NO_LABEL, Floats, Outputs

F = np.float32


def outputs(probs: list[list[float]], labels: list[int], **slots: object) -> Outputs:
    table = np.array(probs, F)
    given_labels = np.array(labels, np.int32)
    return Outputs(table, table, labels=given_labels, **slots)  # type: ignore[arg-type]


def test_the_error_of_an_intent_and_its_words_by_hand() -> None:
    tags = (np.array([[0.6, 0.4], [0.0, 1.0], [0.5, 0.5]], F), np.zeros((0, 2), F))
    said = (np.array([0, 1, NO_LABEL], np.int32), np.zeros(0, np.int32))
    given_ = outputs([[0.7, 0.3], [0.0, 1.0]], [0, 0], slot_probs=tags, slot_labels=said)
    intent, word = math.sqrt(2 * 0.3**2), math.sqrt(2 * 0.4**2)
    norm = [math.hypot(intent, word), math.sqrt(2)]
    assert measure(given_, "norm").error == pytest.approx(norm, abs=1e-5)
    assert measure(given_, "sum").error == pytest.approx([intent + word, math.sqrt(2)], abs=1e-5)
    mean = [(intent + word / 2) / 2, math.sqrt(2)]
    assert measure(given_, "mean").error == pytest.approx(mean, abs=1e-5)


@pytest.mark.parametrize("reduce", ["norm", "sum", "mean"])
def test_without_slots_the_error_is_that_of_the_intent(reduce: str) -> None:
    found = measure(outputs([[0.7, 0.3], [0.5, 0.5]], [0, 1]), reduce)  # type: ignore[arg-type]
    assert found.error == pytest.approx([math.sqrt(2) * 0.3, math.sqrt(0.5)], abs=1e-5)
    assert found.answer == pytest.approx(np.array([[0.7, 0.3], [0.5, 0.5]]))


def rounds(*errors: list[float], right: list[list[bool]] | None = None) -> Dynamics:
    made = Dynamics()
    for place, values in enumerate(errors):
        good = [True] * len(values) if right is None else right[place]
        pairs = [[0.9, 0.1] if ok else [0.2, 0.8] for ok in good]
        made.add(Measures(np.array(values, F), np.array(pairs, F)))
    return made


def test_errors_are_smoothed_by_hand() -> None:
    assert rounds([0.5, 1.0]).smoothed(0.8, 1.0) == pytest.approx([0.5, 1.0])
    # mean 0.2 * 1 + 0.8 * 0; variance (0.2 * 0.8^2 + 0.8 * 0.2^2) / (1 - 0.2^2 - 0.8^2) = 0.5
    two = rounds([1.0, 0.3], [0.0, 0.3])
    assert two.smoothed(0.8, 0.0) == pytest.approx([0.2, 0.3])
    assert two.smoothed(0.8, 1.0) == pytest.approx([0.2 + math.sqrt(0.5), 0.3])
    # a fifth of the mean before, and four fifths of the newest
    three = rounds([1.0], [0.0], [0.5])
    assert three.smoothed(0.8, 0.0) == pytest.approx([0.2 * 0.2 + 0.8 * 0.5])


def test_answers_are_counted_by_hand() -> None:
    right = [[True, False, True, False], [False, False, True, True], [True, False, True, False]]
    made = rounds([0.0] * 4, [0.0] * 4, [0.0] * 4, right=right)
    # forgotten once, never learnt, never forgotten, forgotten once; of three rounds
    assert made.forgetting() == pytest.approx([1 / 3, 1, 0, 1 / 3])
    sure, unsure = math.log(0.9 / 0.1), math.log(0.2 / 0.8)
    margins = [(2 * sure + unsure) / 3, unsure, sure, (sure + 2 * unsure) / 3]
    assert 32 - 8 * made.aum() == pytest.approx(margins, abs=1e-4)


@given(st.integers(1, 5), st.integers(1, 9), st.integers(2, 6), st.integers(0, 99))
def test_what_is_kept_of_a_round_is_enough(m: int, n: int, k: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    history: Floats = generator.dirichlet(np.ones(k), (m, n)).astype(F)
    labels = generator.integers(0, k, n).astype(np.int32)
    made = Dynamics()
    for probs in history:
        made.add(measure(Outputs(probs, probs, labels=labels), "mean"))
    whole = Outputs(history[-1], history[-1], labels=labels, history=history)
    assert np.array_equal(made.aum(), Aum()(whole))
    assert np.array_equal(made.forgetting(), Forgetting()(whole))
    again = Dynamics()
    again.restore(made.state())
    assert np.array_equal(again.smoothed(0.8, 1.0), made.smoothed(0.8, 1.0))
    assert np.array_equal(again.aum(), made.aum())
    assert len(again) == m


def test_parts_are_rows_one_after_the_other() -> None:
    one, other = (measure(outputs([[p, 1 - p]], [0]), "mean") for p in (0.7, 0.4))
    both = together([one, other])
    assert both.error.tolist() == [*one.error.tolist(), *other.error.tolist()]
    assert both.answer.shape == (2, 2)
    empty = Dynamics()
    empty.restore({})
    assert empty.state() == {}


def test_a_schedule_by_hand() -> None:
    made = Schedule(kind="dynamic", keep=0.2, warm=1, every=3)
    assert [e for e in range(9) if made.chooses(e)] == [1, 4, 7]
    assert made.size(101) == 21
    assert made.seen(9, 100) == (100 + 8 * 20, 300)
    assert Schedule(kind="random", keep=0.2, warm=1, every=3).seen(9, 100) == (260, 0)
    assert Schedule(keep=0.2).seen(9, 100) == (900, 0)
    assert not any(Schedule(keep=0.2).chooses(e) for e in range(9))
    weighted = Schedule(kind="weighted", keep=0.2, warm=1, every=3)
    assert weighted.seen(9, 100) == made.seen(9, 100)
    assert [e for e in range(9) if weighted.scores(e)] == [1, 4, 7]
    assert [e for e in range(9) if weighted.chooses(e)] == list(range(1, 9))
    cold = Schedule(kind="dynamic", warm=0, every=2)
    assert [e for e in range(5) if cold.chooses(e)] == [0, 2, 4]
    assert [e for e in range(5) if cold.scores(e)] == [2, 4]  # nothing is known at first
    assert Schedule(kind="dynamic", warm=9).seen(5, 100) == (500, 0)
    assert [Schedule(keep=0.3).size(n) for n in (1, 10, 11)] == [1, 3, 4]


def test_the_affordable_by_hand() -> None:
    scores = np.array([0.5, 0.9, 0.1, 0.7], np.float32)
    costs = np.array([2, 5, 1, 4], np.int64)  # hardest first: 5, 4, 2, 1 of 12
    assert affordable(scores, costs, 0.5, 0.0).tolist() == [1]
    assert affordable(scores, costs, 0.75, 0.0).tolist() == [1, 3]  # exactly 9
    assert affordable(scores, costs, 0.5, 0.25).tolist() == [0, 3]  # without the hardest
    assert affordable(scores, costs, 0.1, 0.0).tolist() == [1]  # one row always
    assert affordable(scores, costs, 1.0, 0.0).tolist() == [0, 1, 2, 3]
    assert affordable(scores, costs, 0.6, 0.75).tolist() == [0, 2, 3]  # 7: the offset gives way
    assert affordable(scores, costs, 0.5, 0.75).tolist() == [0, 2]  # with 4 more it were 7 of 6
    assert affordable(scores, costs, 1.0, 0.75).tolist() == [0, 1, 2, 3]
    assert affordable(scores, costs, 0.05, 0.75).tolist() == [2]  # one row always
    alike = np.ones(10, np.int64)
    falling = np.linspace(1.0, 0.1, 10, dtype=F)
    for keep, offset in ((0.8, 0.5), (0.3, 0.5), (0.5, 0.5), (1.0, 0.9), (0.1, 0.9)):
        expected = hardest(falling, Schedule(keep=keep).size(10), offset).tolist()
        assert affordable(falling, alike, keep, offset).tolist() == expected


def test_keys_draw_in_proportion_to_the_score() -> None:
    scores = np.array([0.1, 0.2, 0.4, 0.0], F)
    made = [keys(scores, 0.0, Dice("t"), epoch) for epoch in range(4_000)]
    first = np.bincount([int(k.argmax()) for k in made], minlength=4) / len(made)
    weights = scores + LEAST
    assert first == pytest.approx(weights / weights.sum(), abs=0.02)
    # what comes second is drawn in proportion among those that are left
    second = [int(np.argsort(-k)[1]) for k in made if k.argmax() == 2]
    rest = weights[:2] / (weights[0] + weights[1] + weights[3])
    assert np.bincount(second, minlength=4)[:2] / len(second) == pytest.approx(rest, abs=0.03)
    assert (keys(scores, 0.0, Dice("t"), 1) == made[1]).all()
    spared = keys(scores, 0.25, Dice("t"), 1)
    assert np.isneginf(spared).tolist() == [False, False, True, False]


def test_the_hardest_by_hand() -> None:
    scores = np.array([0.1, 0.9, 0.5, 0.9, 0.7], F)
    assert hardest(scores, 2, 0.0).tolist() == [1, 3]
    assert hardest(scores, 1, 0.0).tolist() == [1]  # of equals the first
    assert hardest(scores, 2, 0.4).tolist() == [2, 4]
    assert hardest(scores, 4, 0.9).tolist() == [0, 2, 3, 4]  # the offset gives way
    assert hardest(scores, 5, 0.0).tolist() == [0, 1, 2, 3, 4]


def test_draws_differ_by_epoch_alone() -> None:
    dice = Dice("x", 1)
    assert drawn(50, 10, dice, 3).tolist() == drawn(50, 10, dice, 3).tolist()
    assert drawn(50, 10, dice, 3).tolist() != drawn(50, 10, dice, 4).tolist()
    assert len(set(drawn(50, 10, dice, 3).tolist())) == 10

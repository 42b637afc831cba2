"""A course of training on frozen features: repeatable, resumable, and nothing is lost for good."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import convert

from scoring.training.course import Course
from scoring.training.dice import Ints64
from scoring.training.frozen import Frozen
from scoring.training.schedules import Schedule
from scoring.types import Floats

ROWS, CLASSES, EPOCHS = 300, 4, 5

schedules = st.builds(
    Schedule,
    kind=st.sampled_from(["full", "dynamic", "weighted", "random"]),
    keep=st.sampled_from([0.1, 0.5, 1.0]),
    warm=st.integers(0, 3),
    every=st.integers(1, 3),
    offset=st.sampled_from([0.0, 0.2]),
)


@cache
def clouds() -> tuple[Floats, Ints64]:
    """Points around four directions; every tenth label is wrong."""
    generator = np.random.default_rng(0)
    targets = np.arange(ROWS) % CLASSES
    points = np.eye(CLASSES, 8)[targets] + 0.3 * generator.normal(size=(ROWS, 8))
    targets = np.where(np.arange(ROWS) % 10 == 0, (targets + 1) % CLASSES, targets)
    return points.astype(np.float32), targets


def course(schedule: Schedule, *, epochs: int = EPOCHS, seed: int = 0) -> Course:
    features, targets = clouds()
    learner = Frozen(features, targets, CLASSES, schedule, epochs)
    return Course(learner, ROWS, schedule, epochs=epochs, seed=seed)


def finished(made: Course) -> Course:
    while made.done < made.epochs:
        made.epoch()
    return made


def bits(made: Course) -> dict[str, bytes]:
    return {name: np.asarray(value).tobytes() for name, value in made.state().items()}


@given(schedules, st.integers(0, 3), st.integers(0, EPOCHS))
@settings(max_examples=25)
def test_a_resumed_course_ends_as_the_uninterrupted_one(
    schedule: Schedule, seed: int, stop: int
) -> None:
    whole = finished(course(schedule, seed=seed))
    first = course(schedule, seed=seed)
    for _ in range(stop):
        first.epoch()
    kept = first.state()
    assert bits(finished(first)) == bits(whole)
    for _ in range(2):  # nobody's going on changes what was kept
        again = course(schedule, seed=seed)
        again.restore(kept)
        assert bits(finished(again)) == bits(whole)
    assert (whole.trained, whole.scored) == schedule.seen(EPOCHS, ROWS)


@given(schedules, st.integers(0, 3))
@settings(max_examples=10)
def test_keeping_everything_is_training_on_everything(schedule: Schedule, seed: int) -> None:
    all_of_them = Schedule(kind=schedule.kind, keep=1.0, warm=schedule.warm, every=schedule.every)
    one = finished(course(all_of_them, seed=seed)).learner.state()
    other = finished(course(Schedule(), seed=seed)).learner.state()
    assert all(np.array_equal(one[name], other[name]) for name in other)


def test_another_seed_is_another_order() -> None:
    one, other = (finished(course(Schedule(), seed=s)).learner.state() for s in (1, 2))
    assert not np.array_equal(one["weight"], other["weight"])


def test_told_is_what_was_seen() -> None:
    told: list[int] = []
    made = course(Schedule(kind="dynamic", keep=0.5, warm=1, every=2))
    while made.done < made.epochs:
        made.epoch(told.append)
    assert sum(told) == made.trained + made.scored == ROWS + 4 * 150 + 2 * ROWS


class Recorder(Frozen):
    """Remembers what it was asked to learn."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.epochs: list[set[int]] = []

    def learn(self, batches: Any, epoch: int, epochs: int, tell: Any) -> None:
        rows = np.concatenate(batches)
        assert len(set(rows.tolist())) == len(rows)
        self.epochs.append(set(rows.tolist()))
        super().learn(batches, epoch, epochs, tell)


def rows_seen(schedule: Schedule, epochs: int) -> tuple[list[set[int]], Course]:
    features, targets = clouds()
    learner = Recorder(features, targets, CLASSES, schedule, epochs)
    made = finished(Course(learner, ROWS, schedule, epochs=epochs, seed=0))
    return learner.epochs, made


def test_rows_are_chosen_anew_and_none_is_removed_for_good() -> None:
    seen, made = rows_seen(Schedule(kind="dynamic", keep=0.3, warm=2, every=1), 12)
    assert [len(rows) for rows in seen] == [ROWS] * 2 + [90] * 10
    back = [(seen[e] - seen[e - 1]) & set().union(*seen[2 : e - 1]) for e in range(4, 12)]
    assert any(back)  # put aside, scored again, and there again
    # what it chose is what its errors say
    assert len(made.dynamics) == 10
    scores = made.dynamics.smoothed(0.8, 1.0)
    assert scores[sorted(seen[11])].min() >= scores[sorted(set(range(ROWS)) - seen[11])].max()


def test_a_choice_holds_for_as_many_epochs_as_it_was_made_for() -> None:
    seen, made = rows_seen(Schedule(kind="dynamic", keep=0.3, warm=1, every=3), 8)
    assert seen[1] == seen[2] == seen[3] != seen[4] == seen[5] == seen[6] != seen[7]
    assert len(made.dynamics) == 3


def test_wrong_labels_are_what_looks_hard_and_the_offset_leaves_them_out() -> None:
    wrong = set(range(0, ROWS, 10))
    plain, _ = rows_seen(Schedule(kind="dynamic", keep=0.3, warm=2, every=2), 8)
    assert len(plain[-1] & wrong) > 25
    for kind in ("dynamic", "weighted"):
        given = {"kind": kind, "keep": 0.3, "warm": 2, "every": 2, "offset": 0.12}
        spared, _ = rows_seen(convert(given, Schedule), 8)
        assert len(spared[-1] & wrong) < 10


def test_random_draws_as_many_at_the_same_moments() -> None:
    seen, made = rows_seen(Schedule(kind="random", keep=0.3, warm=1, every=2), 7)
    assert [len(rows) for rows in seen] == [ROWS] + [90] * 6
    assert seen[1] == seen[2] != seen[3] == seen[4] != seen[5]
    assert len(made.dynamics) == made.scored == 0


def test_weighted_draws_every_epoch_anew_and_the_hard_more_often() -> None:
    schedule = Schedule(kind="weighted", keep=0.3, warm=1, every=4)
    seen, made = rows_seen(schedule, 9)
    assert [len(rows) for rows in seen] == [ROWS] + [90] * 8
    assert all(one != other for one, other in pairwise(seen))
    assert len(made.dynamics) == 2  # before epochs 1 and 5: the scores are those of `dynamic`
    scores = made.dynamics.smoothed(0.8, 1.0)
    order = np.argsort(scores).tolist()
    easy, hard = set(order[:30]), set(order[-30:])  # of scores from .39 to .97
    often, seldom = (sum(len(rows & part) for rows in seen[5:]) for part in (hard, easy))
    assert often > 1.3 * seldom > 0  # of what is learnt some comes again, too


@pytest.mark.parametrize("kind", ["dynamic", "weighted", "random"])
def test_a_first_choice_of_an_untrained_model_is_random(kind: Any) -> None:
    seen, made = rows_seen(Schedule(kind=kind, keep=0.3, warm=0, every=9), 3)
    assert [len(rows) for rows in seen] == [90] * 3
    assert made.scored == 0

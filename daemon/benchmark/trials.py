"""Trials: what one arm reached in one lesson. Created once, never changed; any stop loses one.

Seeds come first, as in `runs`. A trial is asked on the validation and on the test split: choices
are made on the first, results are told of the second.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec
import numpy as np

from daemon.benchmark import courses, lessons
from daemon.benchmark.courses import Arm
from daemon.benchmark.lessons import Lesson
from daemon.benchmark.schools import School
from daemon.corpus import Corpus, Row
from daemon.ports import Clock, Missing, Store
from daemon.training.joint import JointSubject
from scoring.training.mistakes import Counts, mistakes
from scoring.types import Scored

VERSION = "1"  # of what a trial means: another one begins anew
ASKED = ("valid", "test")


class Plan(NamedTuple):
    """What is asked for."""

    arms: Mapping[str, Sequence[str]]  # by setting
    budgets: Sequence[float]
    seeds: int
    rows: int  # of the train split
    epochs: int
    layers: int  # of the encoder


class Key(NamedTuple):
    """Which trial."""

    corpus: str
    setting: str
    rows: int
    epochs: int
    layers: int
    seed: int
    arm: str
    budget: float  # share of the rows; 1.0 for arms without budgets

    @property
    def name(self) -> str:
        """Of its object."""
        lesson = f"{self.corpus}/{self.setting}/{self.rows}x{self.epochs}x{self.layers}"
        return f"trials-{VERSION}/{lesson}/{self.seed:03d}/{self.arm}/{self.budget:.4f}.json"


class Trial(msgspec.Struct, frozen=True):
    """What it cost and what was answered."""

    rows: int  # that it chose, or chose from in each round
    wrong: float  # share of them whose intent or tags are not the truth
    tokens: int  # read: forward and back counts three times
    seconds: float
    cpu_seconds: float
    answers: dict[str, str]  # by split: base64 of (m, 7) counts, see scoring.training.mistakes

    def counts(self, split: str) -> Counts:
        """(m, 7) of the rows of a split, in their order."""
        raw = np.frombuffer(base64.b64decode(self.answers[split]), "<u2")
        return raw.reshape(-1, 7).astype(np.int64)


def keys(plan: Plan, corpora: Sequence[str]) -> Iterator[Key]:
    """Every trial, in the order of measuring."""
    known = courses.arms()
    for seed in range(plan.seeds):
        for corpus in corpora:
            for setting, names in plan.arms.items():
                for arm in names:
                    for budget in plan.budgets if known[arm].budgets else (1.0,):
                        yield Key(corpus, setting, *plan[-3:], seed, arm, budget)


def measure(
    plan: Plan,
    corpora: Mapping[str, Corpus],
    store: Store,
    clock: Clock,
    *,
    until: float | None = None,
    advance: Callable[[int], None] = lambda _steps: None,
) -> bool:
    """Measure what is missing. False: the time was up (`until`, of the monotonic clock)."""
    known = courses.arms()
    grouped = groupby(keys(plan, tuple(corpora)), key=lambda key: key[:6])
    for lesson_keys in [list(each) for _, each in grouped]:
        todo = [key for key in lesson_keys if read(store, key) is None]
        advance(len(lesson_keys) - len(todo))
        if not todo:
            continue
        if until is not None and clock.monotonic() >= until:
            return False
        lesson, scored = begin(todo, corpora, clock)
        for key in todo:
            if until is not None and clock.monotonic() >= until:
                return False
            trial = tried(lesson, scored, known[key.arm], key.budget, clock)
            store.create(key.name, msgspec.json.encode(trial))
            advance(1)
    return True


def begin(
    todo: Sequence[Key], corpora: Mapping[str, Corpus], clock: Clock
) -> tuple[Lesson, Scored | None]:
    """The lesson of these trials, with the scores that their arms read."""
    first = todo[0]
    lesson = lessons.make(
        corpora[first.corpus],
        first.setting,
        rows=first.rows,
        seed=first.seed,
        epochs=first.epochs,
        layers=first.layers,
        clock=clock,
    )
    scores = courses.reads([key.arm for key in todo])
    return lesson, lessons.judged(lesson, scores, clock) if scores else None


def tried(lesson: Lesson, scored: Scored | None, arm: Arm, budget: float, clock: Clock) -> Trial:
    """Choose, train, ask."""
    capacity = max(1, round(budget * len(lesson.given)))
    chosen = arm.choose(lesson, scored, capacity) if arm.choose else np.arange(len(lesson.given))
    right = lesson.right
    rows = [lesson.given[place] for place in chosen.tolist()]
    school = School(
        [*lesson.gold, *rows],
        lesson.corpus.classes,
        arm.schedule(budget),
        epochs=lesson.epochs,
        seed=lesson.seed,
        layers=lesson.layers,
        reduce=arm.reduce,
    )
    spent, _ = school.run(clock)
    splits = zip(ASKED, (lesson.corpus.valid, lesson.corpus.test), strict=True)
    return Trial(
        rows=len(rows),
        wrong=sum(not right[place] for place in chosen.tolist()) / max(len(rows), 1),
        tokens=spent.tokens,
        seconds=round(spent.seconds, 3),
        cpu_seconds=round(spent.cpu_seconds, 3),
        answers={split: packed(asked(school.subject, own)) for split, own in splits},
    )


def asked(subject: JointSubject, rows: Sequence[Row]) -> Counts:
    """(m, 7) mistakes in rows with true intents and tags."""
    answers = subject.answers(rows)
    tags = [row.tags or () for row in rows]
    said = answers.tags or tuple(("O",) * len(own) for own in tags)  # no row it saw had a tag
    return mistakes([row.intent for row in rows], tags, answers.intents, said)


def read(store: Store, key: Key) -> Trial | None:
    try:
        return msgspec.json.decode(store.get(key.name), type=Trial)
    except Missing:
        return None


def packed(counts: Counts) -> str:
    """(m, 7) as `Trial.answers` holds them."""
    return base64.b64encode(counts.astype("<u2").tobytes()).decode()

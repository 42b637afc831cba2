"""Schools: joint models in training for a benchmark, and what their checkpoints say of rows.

A checkpoint is read by the engine that scores live utterances, several of one training as a
history, so that every score of the product can be asked for.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple, cast

import numpy as np

from daemon.corpus import Row
from daemon.ports import Clock
from daemon.training.joint import JointSubject
from scoring import kinds
from scoring.layouts import inspect
from scoring.manifest import describe, digest
from scoring.models import torch as engine
from scoring.models.base import Files
from scoring.models.ensemble import Pinned, ensemble
from scoring.scorer import Scorer
from scoring.supplies import Supplies
from scoring.training.course import Course, Tell
from scoring.training.dice import Dice, Ints64
from scoring.training.dynamics import Measures, Reduce
from scoring.training.schedules import Schedule
from scoring.types import Model, Outputs, Score, Scored

FORWARD_AND_BACK = 3  # a backward pass costs two forward ones


class Spent(NamedTuple):
    """What a training cost."""

    seconds: float  # on the clock
    cpu_seconds: float  # of all threads
    tokens: int  # read forward; those that were trained on count FORWARD_AND_BACK times


class School:
    """A training: rows with given labels, from the first epoch to the last."""

    def __init__(
        self,
        rows: Sequence[Row],
        classes: tuple[str, ...],
        schedule: Schedule,
        *,
        epochs: int,
        seed: int,
        layers: int,
        reduce: Reduce = "mean",
    ) -> None:
        """A schedule that measures rows does so in bfloat16, as its authors do in float16."""
        self.subject = JointSubject(
            rows, classes, layers=layers, seed=seed, threads=1, reduce=reduce, coarse=True
        )
        metered = _Metered(self.subject)
        self._meter = metered
        self.course = Course(metered, len(rows), schedule, epochs=epochs, seed=seed)

    def run(self, clock: Clock, keep: int = 0) -> tuple[Spent, list[Files]]:
        """All epochs; with the checkpoints after the last `keep` of them, oldest first."""
        began, used, kept = clock.monotonic(), os.times(), []
        while self.course.done < self.course.epochs:
            self.course.epoch()
            if self.course.done > self.course.epochs - keep:
                kept.append(files(self.subject))
        now = os.times()
        cpu = now.user + now.system - used.user - used.system
        return Spent(clock.monotonic() - began, cpu, self._meter.tokens), kept


class _Metered:
    """The learner of a subject, with a count of the tokens that it reads."""

    def __init__(self, subject: JointSubject) -> None:
        self._learner = subject.learner
        self.state, self.restore = self._learner.state, self._learner.restore
        self.lengths = self._learner.lengths
        self.tokens = 0

    def batches(self, rows: Ints64, dice: Dice) -> list[Ints64]:
        return self._learner.batches(rows, dice)

    def learn(self, batches: Sequence[Ints64], epoch: int, epochs: int, tell: Tell) -> None:
        read = sum(int(self.lengths[batch].sum()) for batch in batches)
        self.tokens += FORWARD_AND_BACK * read
        self._learner.learn(batches, epoch, epochs, tell)

    def measure(self, tell: Tell) -> Measures:
        self.tokens += int(self.lengths.sum())
        return self._learner.measure(tell)


def files(subject: JointSubject) -> Files:
    """A checkpoint of what is in training, as the engine takes it."""
    blobs = subject.files()
    inspected = inspect("hf", blobs)
    assert inspected.labels is not None  # its config.json names them
    made = describe("hf", blobs, inspected.labels, inspected.max_length, "school")
    return Files("hf", blobs, inspected.labels, inspected.max_length, digest(made))


def model(history: Sequence[Files]) -> Model:
    """The last of these checkpoints, with the earlier ones."""
    *earlier, own = (Pinned(engine.build(each, 1)) for each in history)
    return ensemble(own, earlier)


def said(history: Sequence[Files], rows: Sequence[Row]) -> tuple[Outputs, tuple[str, ...]]:
    """What the last checkpoint says of these texts, and the names of its tags."""
    own = engine.build(history[-1], 1)
    return own.run([row.text for row in rows]), getattr(own, "tags", ())


def graded(history: Sequence[Files], rows: Sequence[Row], scores: Sequence[str]) -> Scored:
    """These scores of rows with their given labels and tags; classes as the checkpoint's."""
    built = [cast(Score, kinds.load("scoring.scores", name, {})) for name in scores]
    classes = history[-1].labels
    prior = np.full(len(classes), 1 / len(classes), np.float32)
    scorer = Scorer(model(history), built, Supplies(prior=prior, tagged=True))
    texts, labels, tags = zip(*rows, strict=True)
    return scorer.score(texts, labels, tags=tags)

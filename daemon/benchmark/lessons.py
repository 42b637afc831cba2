"""Lessons: the rows that a joint model may learn from, as they were labelled, and the truth.

Equal (corpus, setting, rows, seed) give equal lessons; arms of one lesson are paired.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from daemon.benchmark import schools
from daemon.benchmark.schools import School
from daemon.corpus import Corpus, Row
from daemon.ports import EXIT_CONFIG, Clock, Fatal
from scoring.models.base import Files
from scoring.training.dice import Dice, Ints64
from scoring.training.schedules import Schedule
from scoring.types import Scored

SETTINGS: Mapping[str, str] = {
    "clean": "all labels and tags right",
    "flips-10": "10 % of the intents are any other one, tags right",
    "weak": "a teacher of a tenth of the rows gives intents and tags to eight tenths; the other "
    "tenth is annotated, trains the checkpoint that scores, and is part of every training",
}
FLIPS = 0.1
CONFIDENT = 0.5  # of a teacher's intent that is taken for a label
SCOUTED = 4  # epochs of the checkpoints that scores read, without selection
HISTORY = 4  # checkpoints of them
AUDITED = 200  # rows whose intents somebody checks
LONGER = 4  # times the epochs of a training on a tenth: else it ends before it has learnt
TEACHER, SCOUT = 1_000, 2_000  # their seeds begin here: other heads than those of any arm


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """n rows to choose from, and those that are annotated and always trained on."""

    corpus: Corpus
    setting: str
    seed: int
    epochs: int
    layers: int
    given: tuple[Row, ...]  # (n,)
    truth: tuple[Row, ...]  # (n,)
    gold: tuple[Row, ...]

    @property
    def right(self) -> list[bool]:
        """(n,) intent and tags as in the truth."""
        return [row == true for row, true in zip(self.given, self.truth, strict=True)]

    def dice(self, purpose: str) -> Dice:
        return Dice("lesson", self.seed, purpose)

    def audit(self) -> tuple[int, int]:
        """Rows of which somebody checked the intent, and those of them that were wrong."""
        rows = self.dice("audit").permutation("rows", len(self.given))[:AUDITED].tolist()
        return len(rows), sum(self.given[row].intent != self.truth[row].intent for row in rows)


def make(
    corpus: Corpus, setting: str, *, rows: int, seed: int, epochs: int, layers: int, clock: Clock
) -> Lesson:
    """Draw `rows` of the train split, and label them as the setting says. Raises Fatal."""
    dice = Dice("lesson", seed, "rows")
    places = dice.permutation("drawn", len(corpus.train))[:rows].tolist()
    drawn = tuple(corpus.train[place] for place in places)
    if setting != "weak":
        given = _flipped(drawn, corpus.classes, dice) if setting == "flips-10" else drawn
        return Lesson(corpus, setting, seed, epochs, layers, given, drawn, ())
    tenth = len(drawn) // 10
    taught, gold, pool = drawn[:tenth], drawn[tenth : 2 * tenth], drawn[2 * tenth :]
    teacher = School(
        taught, corpus.classes, Schedule(), epochs=LONGER * epochs, seed=TEACHER + seed,
        layers=layers,
    )  # fmt: skip
    _, kept = teacher.run(clock, keep=1)
    labelled, sure = _answers(kept, pool)
    stays = np.flatnonzero(sure).tolist()
    given = tuple(labelled[place] for place in stays)
    if not stays:
        hint = "Give --rows or --epochs more, or leave the scenario weak out"
        raise Fatal("the teacher is sure of nothing", code=EXIT_CONFIG, hint=hint)
    truth = tuple(pool[place] for place in stays)
    return Lesson(corpus, setting, seed, epochs, layers, given, truth, gold)


def judged(lesson: Lesson, scores: Sequence[str], clock: Clock) -> Scored:
    """Scores of the given rows, from a training whose time no arm is charged.

    Without weak labels of a short training on the rows themselves, as the papers' static scores
    are; else of a training on the annotated rows, so that nobody scores what it has said itself.
    """
    rows, epochs = lesson.given, SCOUTED
    if lesson.gold:
        rows, epochs = lesson.gold, LONGER * lesson.epochs
    scout = School(
        rows,
        lesson.corpus.classes,
        Schedule(),
        epochs=epochs,
        seed=SCOUT + lesson.seed,
        layers=lesson.layers,
    )
    _, kept = scout.run(clock, keep=HISTORY)
    return schools.graded(kept, lesson.given, scores)


def _flipped(rows: Sequence[Row], classes: tuple[str, ...], dice: Dice) -> tuple[Row, ...]:
    flips = dice.uniforms("flips", len(rows)) < FLIPS
    steps: Ints64 = 1 + dice.below("to", len(rows), len(classes) - 1)
    at = {name: place for place, name in enumerate(classes)}
    return tuple(
        row._replace(intent=classes[(at[row.intent] + step) % len(classes)]) if flip else row
        for row, flip, step in zip(rows, flips.tolist(), steps.tolist(), strict=True)
    )


def _answers(teacher: Sequence[Files], rows: Sequence[Row]) -> tuple[list[Row], list[bool]]:
    """The rows as the teacher labels them, and whether it was sure of the intent."""
    outputs, tags = schools.said(teacher, rows)
    assert outputs.slot_probs is not None  # corpora without tags are refused before
    sure = (outputs.probs.max(axis=1) >= CONFIDENT).tolist()
    named = [teacher[-1].labels[place] for place in outputs.probs.argmax(axis=1).tolist()]
    labelled = []
    for row, intent, probs in zip(rows, named, outputs.slot_probs, strict=True):
        words = [tags[place] for place in probs.argmax(axis=1).tolist()]
        behind = ["O"] * (len(row.text.split()) - len(words))  # the cut: nobody read these
        labelled.append(Row(row.text, intent, (*words, *behind)))
    return labelled, sure

"""Worlds: a scenario with a seed, played on the train split of a corpus. Columns of events.

Equal (corpus, scenario, seed) give equal worlds on every machine; arms of one world are paired.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from daemon.benchmark.features import Texts
from daemon.benchmark.pupils import fit
from daemon.benchmark.scenarios import Scenario
from scoring.training.dice import Dice, Floats64, Ints64, zipf
from scoring.training.heads import STEPS

NEAREST = 3  # intents that one is confused with
CONFIDENT = 0.5  # of a teacher's answer that is taken for a label: 95 % are, 4 % are wrong
FIRST_SHARE = 0.15  # of a world without repeats: as 6 000 of 40 000


@dataclass(frozen=True, slots=True, eq=False)
class World:
    """Events of a stream, in order. Classes are indices into `texts.classes`."""

    texts: Texts
    scenario: Scenario
    seed: int
    first: int  # events that train the checkpoint
    rows: Ints64  # (n,) index of the text in the train split
    given: Ints64  # (n,) class as labelled
    traffic: Floats64  # (k,) share of each class among the events that will come, sums to 1
    early: npt.NDArray[np.bool_]  # (k,) classes that the checkpoint has heard of

    @property
    def truth(self) -> Ints64:
        """(n,) class that is right."""
        return self.texts.train_classes[self.rows]

    @property
    def wrong(self) -> npt.NDArray[np.bool_]:
        """(n,) the label is not the truth."""
        wrong: npt.NDArray[np.bool_] = self.given != self.truth
        return wrong

    def dice(self, purpose: str) -> Dice:
        return Dice("benchmark", self.seed, purpose)


def make(texts: Texts, scenario: Scenario, seed: int) -> World:
    """Draw a world. Traffic and order are those of the seed, whatever the labels are."""
    k = len(texts.classes)
    dice = Dice("benchmark", seed, "world")
    late = np.zeros(k, np.bool_)
    late[dice.permutation("late", k)[: scenario.late_intents]] = True
    if scenario.once:
        rows = dice.permutation("order", len(texts.train_classes))
        first = int(FIRST_SHARE * len(rows))
        traffic = np.full(k, 1 / k)
    else:
        rows, traffic = _traffic(texts, scenario, late, dice)
        first = scenario.first
    world = World(texts, scenario, seed, first, rows, texts.train_classes[rows], traffic, ~late)
    if scenario.weak:
        return _taught(world, dice)
    return replace(world, given=_flipped(world, dice))


def _traffic(
    texts: Texts, scenario: Scenario, late: npt.NDArray[np.bool_], dice: Dice
) -> tuple[Ints64, Floats64]:
    """(n,) texts by Zipf's law twice, and the (k,) traffic of the second half."""
    k, n = len(texts.classes), scenario.events
    weights = np.empty(k)
    weights[dice.permutation("ranks", k)] = zipf(k, scenario.intent_exponent)
    before = np.where(late, 0.0, weights)
    intents = dice.weighted("intent", n, weights)
    starts = np.arange(n) < scenario.first + (n - scenario.first) // 2
    intents = np.where(starts, dice.weighted("intent before", n, before), intents)
    places, rows = dice.uniforms("text", n), np.empty(n, np.int64)
    for intent in range(k):
        own = np.flatnonzero(texts.train_classes == intent)
        own = own[dice.permutation(f"texts {intent}", len(own))]
        edges = np.cumsum(zipf(len(own), scenario.text_exponent))
        mine = np.flatnonzero(intents == intent)
        picked = np.searchsorted(edges, places[mine] * edges[-1], side="right")
        rows[mine] = own[np.minimum(picked, len(own) - 1)]
    return rows, weights / weights.sum()


def _flipped(world: World, dice: Dice) -> Ints64:
    """(n,) labels of which a share is wrong: made for each event, or once for its text."""
    given = _mistaken(world, world.truth, dice, "")
    if not world.scenario.copied:
        return given
    classes = world.texts.train_classes
    copied = dice.uniforms("copied", len(classes)) < world.scenario.copied
    once = _mistaken(world, classes, dice, " copied")
    return np.where(copied[world.rows], once[world.rows], given)


def _mistaken(world: World, truth: Ints64, dice: Dice, name: str) -> Ints64:
    """A share of them any other intent, or one of the nearest."""
    flips = dice.uniforms(f"flips{name}", len(truth)) < world.scenario.flips
    k = len(world.texts.classes)
    if world.scenario.flips_to == "near":
        near = world.texts.nearest(NEAREST)
        other = near[truth, dice.below(f"to near{name}", len(truth), near.shape[1])]
    else:
        other = (truth + 1 + dice.below(f"to any{name}", len(truth), k - 1)) % k
    return np.where(flips, other, truth)


def _taught(world: World, dice: Dice) -> World:
    """Labels of a teacher, a head of another tenth of the texts; unsure answers are dropped.

    The first events keep their true labels: the checkpoint that scores must not be the teacher's
    pupil (a label that comes from the scorer's own family says nothing).
    """
    texts = world.texts
    known = dice.permutation("teacher", len(texts.train_classes))
    known = known[: len(known) // 10]
    teacher = fit(
        texts.train[known], texts.train_classes[known], len(texts.classes), seed=world.seed,
        steps=STEPS,
    )  # fmt: skip
    probs = teacher.probs(texts.train)
    answers, sure = probs.argmax(axis=1), probs.max(axis=1) >= CONFIDENT
    head = np.arange(len(world.rows)) < world.first
    stays = head | sure[world.rows]
    given = np.where(head, world.truth, answers[world.rows])
    return replace(world, rows=world.rows[stays], given=given[stays].astype(np.int64))

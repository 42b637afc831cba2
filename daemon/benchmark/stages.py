"""A stage: a world whose stream was scored by its checkpoint, before anything was selected.

Prequential: no event of the stream has trained the checkpoint that scores it (its text may have
been heard before, as texts are).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np

from daemon.benchmark.pupils import fit, snapshots
from daemon.benchmark.worlds import World
from daemon.monitors import noise
from scoring import kinds
from scoring.grade import grade
from scoring.models.base import softmax
from scoring.training.accuracy import indices
from scoring.training.descent import Head
from scoring.training.dice import Dice, Ints64
from scoring.training.heads import STEPS, tempered
from scoring.types import UNKNOWN_LABEL, Floats, Outputs, Score, Scored

AUDITED = 500  # events of the stream whose labels somebody checks
SNAPSHOTS = 4  # heads over time, for scores that read a history
HELD_OUT = 10  # one in so many of the first events sets the temperature
CHECKPOINT_PENALTY = 1e-5  # of the checkpoint that scores: the best on validation rows


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """Columns of the n events of the stream."""

    world: World
    classes: tuple[str, ...]  # of the checkpoint: without intents that it has not heard of
    head: Head  # of the checkpoint
    outputs: Outputs
    scored: Scored
    audit: Ints64  # (a,) events that were audited
    wrong: int  # of them, the label was wrong
    made: dict[str, Ints64] = field(default_factory=dict)  # orders that budgets share

    def once(self, name: str, order: Callable[[Stage], Ints64]) -> Ints64:
        """An order of events that does not depend on the budget, made at the first call."""
        if name not in self.made:
            self.made[name] = order(self)
        return self.made[name]

    @property
    def rows(self) -> Ints64:
        """(n,) text of each event."""
        return self.world.rows[self.world.first :]

    @property
    def given(self) -> Ints64:
        return self.world.given[self.world.first :]

    @property
    def truth(self) -> Ints64:
        return self.world.truth[self.world.first :]

    @property
    def features(self) -> Floats:
        """(n, d)"""
        return self.world.texts.train[self.rows]

    @property
    def noise(self) -> noise.Interval:
        """The audited share of wrong labels."""
        return noise.wilson(self.wrong, len(self.audit))


def stage(world: World) -> Stage:
    """Train the checkpoint on the first events, score the others."""
    texts = world.texts
    heads = _checkpoint(world)
    places = np.flatnonzero(world.early)
    classes = tuple(texts.classes[place] for place in places.tolist())
    own = np.full(len(texts.classes), UNKNOWN_LABEL, np.int32)
    own[places] = np.arange(len(places), dtype=np.int32)
    rows, given = world.rows[world.first :], world.given[world.first :]
    logits = np.stack([head.logits(texts.train) for head in heads])  # each text once
    probs = np.stack([softmax(each) for each in logits])
    lengths = np.array([len(text.split()) for text in texts.said], np.int32)
    first = world.given[: world.first]
    counts = np.bincount(own[first][own[first] >= 0], minlength=len(places)) + 1
    outputs = Outputs(
        logits=logits[-1][rows],
        probs=probs[-1][rows],
        hidden=texts.train[rows],
        labels=own[given],
        history=probs[:, rows],
        hidden_history=np.broadcast_to(texts.train[rows], (len(heads), *texts.train[rows].shape)),
        lengths=lengths[rows],
        reference=_reference(world, places, classes, rows),
        prior=(counts / counts.sum()).astype(np.float32),
    )
    audit = world.dice("audit").permutation("rows", len(rows))[:AUDITED]
    wrong = int((given[audit] != world.truth[world.first :][audit]).sum())
    return Stage(world, classes, heads[-1], outputs, grade(outputs, scores(outputs)), audit, wrong)


def scores(outputs: Outputs) -> tuple[Score, ...]:
    """Every score of the product that these outputs can feed."""
    names = kinds.names("scoring.scores")
    built = [cast(Score, kinds.load("scoring.scores", name, {})) for name in names]
    fields = {"slots": "slot_probs", "gradient": "gradients"}
    there = [
        score
        for score in built
        if all(
            getattr(outputs, fields.get(need, need), None) is not None
            for need in score.needs - {"label"}
        )
    ]
    return tuple(there)


def _checkpoint(world: World) -> list[Head]:
    """Snapshots of the head, oldest first; the last one is the checkpoint that scores."""
    texts, scenario = world.texts, world.scenario
    classes = tuple(texts.classes[place] for place in np.flatnonzero(world.early).tolist())
    dice = world.dice("checkpoint")
    width = texts.train.shape[1]
    if scenario.checkpoint_steps == 0:
        return [_drawn(len(classes), width, dice.named(each)) for each in range(SNAPSHOTS)]
    events = np.arange(world.first)[: scenario.checkpoint_rows]
    features = texts.train[world.rows[events]]
    names = [texts.classes[place] for place in world.given[events].tolist()]
    held = np.arange(len(events)) % HELD_OUT == 0
    heads = snapshots(
        features[~held],
        indices(names, classes)[~held],
        len(classes),
        seed=world.seed,
        every=max(1, scenario.checkpoint_steps // SNAPSHOTS),
        steps=scenario.checkpoint_steps,
        penalty=CHECKPOINT_PENALTY,
    )[-SNAPSHOTS:]
    kept = [name for name, out in zip(names, held.tolist(), strict=True) if out]
    heads = [tempered(head, features[held], kept, classes) for head in heads]
    return [_worse(head, world, dice) if scenario.worse_by > 0 else head for head in heads]


def _drawn(k: int, width: int, dice: Dice) -> Head:
    """A head as a library initialises one: uniform within 1/sqrt(width) (He et al. 2015)."""
    weight = (2 * dice.uniforms("weight", k * width) - 1) / np.sqrt(width)
    bias = (2 * dice.uniforms("bias", k) - 1) / np.sqrt(width)
    return Head(weight.reshape(k, width).astype(np.float32), bias.astype(np.float32))


def _worse(head: Head, world: World, dice: Dice) -> Head:
    """The head with as much noise on its weights as costs `worse_by` accuracy on golden rows."""
    texts = world.texts
    known = np.flatnonzero(world.early)
    draws = dice.uniforms("noise", head.weight.size).reshape(head.weight.shape)
    noise_of = (draws - 0.5).astype(np.float32) * np.float32(np.abs(head.weight).mean())

    def right(by: float) -> float:
        answers = Head(head.weight + np.float32(by) * noise_of, head.bias).logits(texts.golden)
        return float((known[answers.argmax(axis=1)] == texts.golden_classes).mean())

    goal, low, high = right(0.0) - world.scenario.worse_by, 0.0, 64.0
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if right(middle) > goal else (low, middle)
    return Head(head.weight + np.float32(low) * noise_of, head.bias)


def _reference(
    world: World, places: Ints64, classes: tuple[str, ...], rows: Ints64
) -> Floats | None:
    """(n, k) probs of a head that was trained on the golden rows alone; None without any."""
    texts = world.texts
    known = np.flatnonzero(np.isin(texts.golden_classes, places))
    if not len(known):
        return None
    names = [texts.classes[place] for place in texts.golden_classes[known].tolist()]
    head = fit(
        texts.golden[known], indices(names, classes), len(classes), seed=world.seed,
        steps=STEPS, penalty=CHECKPOINT_PENALTY,
    )  # fmt: skip
    return head.probs(texts.train)[rows]

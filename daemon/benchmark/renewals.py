"""A stream in which checkpoints are renewed: each part is scored by a pupil of what was kept before.

As in production, where a new edition is published now and then. Still prequential: a checkpoint
has seen events of earlier parts alone. All of it goes on the bill of the arm: its selection time.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from daemon.benchmark import ours
from daemon.benchmark.pupils import fit
from daemon.benchmark.stages import CHECKPOINT_PENALTY, Stage, scores
from daemon.policy import Policy
from scoring.grade import grade
from scoring.models.base import softmax
from scoring.training.descent import Head
from scoring.training.dice import Ints64
from scoring.types import Scored

PARTS = 4
STEPS = 800
SHARE = 0.5  # of what went by, that a checkpoint is trained on at most


def renewed(stage: Stage, policy: Policy) -> Stage:
    """The stage, its later parts scored by later checkpoints."""
    edges = np.linspace(0, len(stage.rows), PARTS + 1).astype(np.int64).tolist()
    parts = [_rows(stage.scored, slice(0, edges[1]))]
    for begin, end in zip(edges[1:], edges[2:], strict=False):
        so_far = _until(stage, _joined(parts), begin)
        kept = ours.choose(so_far, policy, max(1, int(SHARE * begin))).rows
        parts.append(_rescored(stage, _trained(so_far, kept), slice(begin, end)))
    return replace(stage, scored=_joined(parts), made={})


def _trained(stage: Stage, rows: Ints64) -> Head:
    labels = stage.scored.labels[rows]
    known = labels >= 0
    return fit(
        stage.features[rows[known]],
        labels[known].astype(np.int64),
        len(stage.classes),
        seed=stage.world.seed,
        steps=STEPS,
        penalty=CHECKPOINT_PENALTY,
    )


def _rescored(stage: Stage, head: Head, part: slice) -> Scored:
    """One part under another head; histories and references are of the first one."""
    logits = head.logits(stage.features[part])
    seen = stage.outputs
    outputs = replace(
        seen,
        logits=logits,
        probs=softmax(logits),
        hidden=stage.features[part],
        labels=stage.scored.labels[part],
        lengths=None if seen.lengths is None else seen.lengths[part],
        history=None,
        hidden_history=None,
        reference=None,
    )
    return grade(outputs, scores(outputs))


def _until(stage: Stage, scored: Scored, end: int) -> Stage:
    """The stage as it stood when `end` events had gone by."""
    world = replace(
        stage.world,
        rows=stage.world.rows[: stage.world.first + end],
        given=stage.world.given[: stage.world.first + end],
    )
    return replace(stage, world=world, scored=scored, made={})


def _rows(scored: Scored, part: slice) -> Scored:
    return Scored(
        scored.argmax[part],
        scored.labels[part],
        {name: column[part] for name, column in scored.scores.items()},
        scored.plausibility[part],
        scored.probs[part],
    )


def _joined(parts: Iterable[Scored]) -> Scored:
    """One after the other, with the scores that all of them have."""
    every = list(parts)
    names = set.intersection(*(set(part.scores) for part in every))
    return Scored(
        np.concatenate([part.argmax for part in every]),
        np.concatenate([part.labels for part in every]),
        {name: np.concatenate([part.scores[name] for part in every]) for name in sorted(names)},
        np.concatenate([part.plausibility for part in every]),
        np.concatenate([part.probs for part in every]),
    )

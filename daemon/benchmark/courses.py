"""The arms of joint training: schedules over all rows, and choices of rows before the training.

Both keep a share of the rows for as many epochs; what they cost is measured. A choice is made by
the product's own policies, from scores of checkpoints of another training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
import numpy as np

from daemon.benchmark import ours
from daemon.benchmark.lessons import Lesson
from daemon.learning.kind import Kind
from daemon.offline import selection, terms
from daemon.policy import Policy
from scoring.training.dice import Ints64
from scoring.training.dynamics import Reduce
from scoring.training.schedules import By, Schedule
from scoring.types import GRID, Scored

WARM, EVERY = 1, 3  # epochs; other numbers are arms of their own
SCORES = (
    "joint_el2n", "el2n", "entropy", "el2n_mean", "aum", "forgetting", "tracin", "grand", "vog",
)  # fmt: skip
BUDGETS = (0.5, 0.2)
EASIER = 0.75  # the band: without the quarter of the largest scores
PLANNED: Mapping[str, Sequence[str]] = {  # by setting, where nobody names arms
    "clean": ("full", "dynamic-norm", "dynamic-sum", "dynamic-mean", "dynamic-tokens",
              "weighted-tokens", "dynamic-random", "dynamic-random-1", "random", "joint_el2n.top"),
    "flips-10": ("full", "oracle", "random", "joint_el2n.top", "aum.top", "forgetting.weighted",
                 "tracin.top", "grand.top", "vog.weighted", "default"),
    "weak": ("full", "oracle", "random", "entropy.weighted", "joint_el2n.weighted",
             "joint_el2n.band", "joint_el2n.easy", "default"),
}  # fmt: skip

Choose = Callable[[Lesson, Scored | None, int], Ints64]


class Arm(NamedTuple):
    """`kind` and `reduce` of a schedule over the rows that `choose` takes; None: all of them."""

    group: str  # "bound", "schedule", "baseline", "score", "ours"
    kind: str = "full"
    every: int = EVERY
    by: By = "rows"
    reduce: Reduce = "mean"
    choose: Choose | None = None
    reads: tuple[str, ...] = ()  # scores
    budgets: bool = True

    def schedule(self, keep: float) -> Schedule:
        if self.kind == "full":
            return Schedule()
        return msgspec.convert(
            {"kind": self.kind, "keep": keep, "by": self.by, "warm": WARM, "every": self.every},
            Schedule,
        )


def arms() -> Mapping[str, Arm]:
    """All of them, in the order of the tables."""
    made = {
        "full": Arm("bound", budgets=False),
        "oracle": Arm("bound", choose=_oracle, budgets=False),
        "dynamic-random": Arm("schedule", "random"),
        "dynamic-norm": Arm("schedule", "dynamic", reduce="norm"),
        "dynamic-sum": Arm("schedule", "dynamic", reduce="sum"),
        "dynamic-mean": Arm("schedule", "dynamic"),
    }
    made |= {
        f"dynamic-mean-{every}": Arm("schedule", "dynamic", every=every) for every in (2, 5, 9)
    }
    made["dynamic-random-1"] = Arm("schedule", "random", every=1)
    for kind in ("dynamic", "weighted"):
        made[f"{kind}-tokens"] = Arm("schedule", kind, every=5, by="tokens")
        made[f"{kind}-tokens-10"] = Arm("schedule", kind, every=10, by="tokens")
    made["random"] = Arm("baseline", choose=_random)
    for score in SCORES:
        for kind, choose in (("top", _top), ("weighted", _weighted)):
            made[f"{score}.{kind}"] = Arm("score", choose=choose(score), reads=(score,))
    for score in ("joint_el2n", "el2n", "entropy"):
        made[f"{score}.easy"] = Arm("score", choose=_below(score, None), reads=(score,))
        made[f"{score}.band"] = Arm("score", choose=_below(score, EASIER), reads=(score,))
    made["default"] = Arm("ours", choose=_default, reads=("entropy",))
    return made


def reads(names: Sequence[str]) -> tuple[str, ...]:
    """Every score that these arms read, once."""
    return tuple(dict.fromkeys(score for name in names for score in arms()[name].reads))


def _oracle(lesson: Lesson, _scored: Scored | None, _capacity: int) -> Ints64:
    """All rows that are labelled rightly: nobody can know them."""
    return np.flatnonzero(np.array(lesson.right)).astype(np.int64)


def _random(lesson: Lesson, _scored: Scored | None, capacity: int) -> Ints64:
    return np.sort(lesson.dice("random").permutation("rows", len(lesson.given))[:capacity])


def _top(score: str) -> Choose:
    def choose(lesson: Lesson, scored: Scored | None, capacity: int) -> Ints64:
        keep = min(1.0, capacity / len(lesson.given))
        policy = ours.by_score("top", score, keep=keep, quarantine=False)
        return _by(policy, lesson, scored, capacity)

    return choose


def _weighted(score: str) -> Choose:
    def choose(lesson: Lesson, scored: Scored | None, capacity: int) -> Ints64:
        return _by(ours.by_score("weighted", score), lesson, scored, capacity)

    return choose


def _below(score: str, share: float | None) -> Choose:
    """Rows of this share of the smallest scores first; None: as many as are kept."""

    def choose(lesson: Lesson, scored: Scored | None, capacity: int) -> Ints64:
        high = share or min(1.0, capacity / len(lesson.given))
        policy = ours.by_score("band", score, quarantine=False, eps=1 / GRID)
        return _by(ours.between(policy, 0.0, high), lesson, scored, capacity)

    return choose


def _default(lesson: Lesson, scored: Scored | None, capacity: int) -> Ints64:
    """The policy as it is shipped, told the audit's answers."""
    shipped = msgspec.structs.replace(ours.BASE, select=Kind("default"))
    return _by(shipped, lesson, scored, capacity)


def _by(policy: Policy, lesson: Lesson, scored: Scored | None, capacity: int) -> Ints64:
    """What the product keeps of the rows under this policy."""
    assert scored is not None  # the arm says what it reads
    key = f"lesson {lesson.seed}".encode()
    by_id = policy.identity == "id"
    texts = [row.text for row in lesson.given]
    named = [str(place) for place in range(len(texts))]
    keys = terms.id_keys(named, key) if by_id else terms.text_keys(texts, policy, key)
    offered = terms.Candidates(scored, keys, [row.intent for row in lesson.given])
    rules = terms.rules_for(offered, policy, lesson.corpus.classes, key, lesson.audit())
    return selection.select(offered, rules, capacity).rows

"""How an edition's scores become verdicts: what a late label needs again at assembly. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from msgspec import UnsetType

from daemon import policy as policies
from daemon.learning.kind import Kind
from scoring import kinds
from scoring.supplies import OF_CLASSES
from scoring.types import Policy, Score, Scored


@dataclass(frozen=True, slots=True, eq=False)
class Grading:
    """The scores of an edition and the policy that weighs them."""

    policy: Policy
    scores: tuple[Score, ...]
    second: Grading | None = None  # of the candidates alone, where the policy has a cascade

    @property
    def names(self) -> tuple[str, ...]:
        """Of the scores that every record gets, in their order."""
        return tuple(score.name for score in self.scores)

    @property
    def everything(self) -> tuple[Score, ...]:
        """Scores of both stages."""
        return (*self.scores, *(self.second.scores if self.second else ()))

    @property
    def shown(self) -> tuple[str, ...]:
        """Of the scores that a shard has columns of."""
        return tuple(score.name for score in self.everything)

    @property
    def recallable(self) -> tuple[Score, ...]:
        """Scores that a label changes, where stored probabilities and pinned tables suffice.

        The others stay as they were scored: recalled from 16 probabilities they would differ by
        a step, and with them the rank of a text whose label came in time from one whose came late.
        """
        return tuple(s for s in self.scores if {"label"} <= s.needs <= {"label", *OF_CLASSES})

    @staticmethod
    def regraded(scored: Scored, columns: dict[str, list[int]]) -> Scored:
        """`scored` with the scores of `columns`, so that those which cannot be recalled stay."""
        scores = {n[len("score_") :]: np.array(c, np.int16) for n, c in columns.items()}
        return replace(scored, scores=scores)


def build(policy: policies.Policy) -> Grading:
    """What the policy asks for, from the folders of kinds. Raises UnknownKind, BadOptions."""
    cascade = policy.cascade
    second = None
    if not isinstance(cascade, UnsetType):
        second = _stage(cascade.select, cascade.scores)
    return replace(_stage(policy.select, policy.scores), second=second)


def _stage(select: Kind, scores: Sequence[Kind]) -> Grading:
    weigher = kinds.load("scoring.policies", select.kind, select.options)
    built = [kinds.load("scoring.scores", kind.kind, kind.options) for kind in scores]
    return Grading(cast(Policy, weigher), tuple(cast(Score, score) for score in built))

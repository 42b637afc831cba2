"""A second stage in a configuration: what it cannot go together with, and what it lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import UnsetType

from daemon.policy import Policy
from scoring import types
from scoring.policies.reading import NEITHER_TEXT_NOR_LABEL


def faults(policy: Policy) -> Iterator[str]:
    """Lines for what cannot go together."""
    cascade, scores = policy.cascade, {score.kind for score in policy.scores}
    if isinstance(cascade, UnsetType):
        return
    if cascade.candidates <= policy.capacity_rows:
        yield (
            f"policy.cascade.candidates: {cascade.candidates} is not above capacity_rows "
            f"{policy.capacity_rows}, so the second stage would have nothing to choose from"
        )
    if not cascade.scores:
        yield (
            "policy.cascade.scores: is empty, so candidates would be weighed by what is known of "
            "every utterance; let policy.select do that"
        )
    kinds = [score.kind for score in cascade.scores]
    for kind in sorted({kind for kind in kinds if kind in scores or kinds.count(kind) > 1}):
        yield (
            f"policy.cascade.scores: computes {kind} twice, or policy.scores does already; "
            "name it once"
        )
    if policy.rolling is not None:
        yield (
            "policy.cascade: weighs the candidates of one window, and a rolling reservoir would "
            "need those of many; set policy.rolling to null, or leave the cascade out"
        )
    if policy.arms.audit_rows == 0:
        yield (
            "policy.arms.audit_rows: is 0, but from the audit arm it is learnt how the scores of "
            "policy.cascade are spread"
        )
    if policy.reservoir.kind == "newest":
        yield (
            "policy.reservoir: newest knows no ranks, so no candidate of policy.cascade would be "
            "better than another; take balanced or uniform"
        )


def scores_faults(scores: Sequence[types.Score]) -> Iterator[str]:
    """Lines for scores that need what candidates do not carry."""
    for score in scores:
        for need in sorted(score.needs & NEITHER_TEXT_NOR_LABEL):
            yield (
                f"policy.cascade.scores: {score.name} needs {need}, which candidates do not carry; "
                "compute it in policy.scores"
            )


def advice(first: types.Policy, second: types.Policy) -> Iterator[str]:
    """Lines for what works, but perhaps not as its author thinks."""
    if second.needs_label and not first.needs_label:
        yield (
            "policy.cascade.select: weighs labels, and policy.select does not ask for one, so "
            "candidates without a label take places and are refused then; weigh a score first that "
            "needs a label, such as el2n"
        )

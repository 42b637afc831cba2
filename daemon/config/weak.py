"""Weak labels in a configuration: whether they can come, and whether scores can judge them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

from daemon.config.faults import nearest
from daemon.policy import Policy
from scoring import types
from scoring.kinds import load
from scoring.policies.reading import needs_of

OTHER_EYES = frozenset({"reference", "trails"})  # what is not the checkpoint's own opinion


def faults(policy: Policy) -> Iterator[str]:
    """Lines for weak labels that could never be, or that nothing would stop."""
    weak, record = policy.weak, policy.record
    if weak.confidence is None:
        if weak.vetoes or weak.model_family:
            yield "policy.weak: has no confidence, so no label is made and the rest says nothing"
        return
    for field in ("intent", "confidence"):
        if getattr(record, field) is None:
            yield (
                f"policy.weak.confidence: needs policy.record.{field}, without it no hypothesis "
                "would ever become a label"
            )
    for name in weak.vetoes:
        if name not in record.signals:
            near = nearest(name, list(record.signals))
            yield f"policy.weak.vetoes: names what policy.record.signals does not map{near}"


def advice(policy: Policy) -> Iterator[str]:
    """Lines for weak labels that work, but teach less than they seem to."""
    if policy.weak.confidence is None:
        return
    if not policy.weak.vetoes:
        yield (
            "policy.weak.vetoes: is empty, so every confident answer becomes a label, also those "
            "that the user corrected"
        )
    if policy.weak.model_family is None:
        yield from _blind(policy, "nobody says which model made the labels")


def published(policy: Policy, checkpoint: str) -> Iterator[str]:
    """The line to say when a checkpoint of this name is published with the policy."""
    family = policy.weak.model_family
    if policy.weak.confidence is None:
        return
    if family is None:
        yield from _blind(policy, "nobody says which model made the labels")
    elif checkpoint.casefold().startswith(family.casefold()):
        yield from _blind(policy, "this checkpoint is of the family that made the labels")


def _blind(policy: Policy, why: str) -> Iterator[str]:
    """One line, if a score is weighed that compares the label with the checkpoint."""
    select = load("scoring.policies", policy.select.kind, policy.select.options)
    needs = needs_of(cast(types.Policy, select).reads)
    blind = [name for name, need in needs.items() if "label" in need and not need & OTHER_EYES]
    if blind:
        yield (
            f"policy.weak.model_family: {why}, and {', '.join(blind)} of a label that the same "
            "family made says no more than its confidence; weigh entropy, or score with another "
            "model and name the family here"
        )

"""The reservoirs of a window: the pool that is selected from, and the arms beside it."""

from __future__ import annotations

from buffers import uniform
from buffers.base import Reservoir
from daemon.learning.rules import Rules
from scoring import kinds

ARMS = ("audit", "random", "review")


def arm_rows(rules: Rules) -> dict[str, int]:
    """Capacity of each arm beside the selection."""
    arms = rules.policy.arms
    return {
        "audit": arms.audit_rows,
        "random": arms.random_rows or rules.policy.capacity_rows,
        "review": arms.review_rows,
    }


def build_arm(rules: Rules, arm: str) -> Reservoir:
    """Smallest ranks of the arm; audit and random know no groups."""
    return uniform.build(arm_rows(rules)[arm], rules.quotas)


def build_pool(rules: Rules, capacity: int) -> Reservoir:
    """The policy's kind of reservoir, of `capacity` rows."""
    module = kinds.module("buffers", rules.policy.reservoir.kind)
    built: Reservoir = module.build(capacity, rules.quotas)
    return built

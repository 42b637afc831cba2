"""How full a group's share of the selection is."""

from __future__ import annotations

from buffers.base import TARGET_SUM
from daemon.learning.rules import Rules


def entitled(rules: Rules) -> dict[str, float]:
    """Group -> rows that its target is worth of the capacity, between its floor and its cap.

    Rows that a group cannot fill go to the others, so a kept group may hold more. Empty in a cold
    window: nothing is balanced there.
    """
    if rules.cold:
        return {}
    quotas, capacity = rules.quotas, rules.policy.capacity_rows
    columns = (quotas.targets.tolist(), quotas.floors.tolist(), quotas.caps.tolist())
    return {
        name: min(max(capacity * target / TARGET_SUM, floor), cap, capacity)
        for name, target, floor, cap in zip(rules.groups, *columns, strict=True)
    }

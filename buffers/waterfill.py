"""How many rows each group owns: slots compete by keys that no arrival order can change.

Slot j (from 1) of group g has the key
    beyond the cap, or beyond the rows there are: never
    j <= floor:  (0, j, tie of g, g)
    otherwise:   (1, j / target of g, tie of g, g)
and the `capacity` smallest keys are owned (law 2). Like water in vessels whose widths are the
targets; all integers, no division is ever rounded.
"""

from __future__ import annotations

import numpy as np

from buffers.base import TARGET_SUM, Int64s, Quotas


def allocate(counts: Int64s, quotas: Quotas, capacity: int) -> Int64s:
    """(g,) rows owned by each group that has `counts` distinct keys; sums to at most `capacity`.

    Depends on counts alone, never on ranks. Exact for counts below 2**42.
    """
    slots = np.minimum(np.minimum(counts, quotas.caps), capacity)
    if int(slots.sum()) <= capacity:
        return slots
    floors = np.minimum(quotas.floors, slots)
    none = np.zeros_like(floors)
    if int(floors.sum()) > capacity:  # floors rise evenly: as if all targets were equal
        return _fill(none, floors, np.ones_like(floors), quotas, capacity)
    return _fill(floors, slots, quotas.targets, quotas, capacity)


def check(quotas: Quotas, capacity: int) -> None:
    """ValueError unless these can be filled exactly."""
    lengths = {len(quotas.targets), len(quotas.floors), len(quotas.caps), len(quotas.ties)}
    if len(lengths) != 1:
        raise ValueError("targets, floors, caps and ties differ in length")
    if bool(np.any((quotas.targets < 1) | (quotas.targets > TARGET_SUM))):
        raise ValueError(f"targets are integers in 1..{TARGET_SUM}")
    if capacity < 0 or bool(np.any((quotas.floors < 0) | (quotas.caps < 0))):
        raise ValueError("capacity, floors and caps are not negative")


def equal(one: Quotas, other: Quotas) -> bool:
    """Whether both give every group the same."""
    return (
        np.array_equal(one.targets, other.targets)
        and np.array_equal(one.floors, other.floors)
        and np.array_equal(one.caps, other.caps)
        and np.array_equal(one.ties, other.ties)
    )


def _fill(low: Int64s, high: Int64s, targets: Int64s, quotas: Quotas, capacity: int) -> Int64s:
    """Raise groups from `low` to at most `high` rows: low.sum() <= capacity < high.sum()."""
    tops = -(-high * TARGET_SUM // targets)  # the level at which a group owns all its slots

    def owned(level: int) -> Int64s:
        """Slots with j / target <= level / TARGET_SUM; no product exceeds high * TARGET_SUM."""
        reached = np.minimum(level, tops) * targets // TARGET_SUM
        rows: Int64s = np.minimum(np.maximum(reached, low), high)
        return rows

    below, above = 0, int(tops.max())
    while above - below > 1:  # owned(below) fits, owned(above) does not
        middle = (below + above) // 2
        if int(owned(middle).sum()) <= capacity:
            below = middle
        else:
            above = middle
    rows = owned(below)
    left = capacity - int(rows.sum())
    # One level is at most one slot of a group, as no target exceeds TARGET_SUM. Such slots stand
    # distance/target of a level above `below`, in (0, 1]. Of two groups these differ by at least
    # TARGET_SUM/(t*s) >= 1/TARGET_SUM or not at all, so whole steps of that size order them.
    rising = np.flatnonzero(owned(above) > rows)
    distance = (rows[rising] + 1) * TARGET_SUM - below * targets[rising]
    fraction = distance * TARGET_SUM // targets[rising]
    first = np.lexsort((rising, quotas.ties[rising], fraction))[:left]
    rows[rising[first]] += 1
    return rows

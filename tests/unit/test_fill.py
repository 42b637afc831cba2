"""What a group's target is worth, and how full it is."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from daemon.learning.rules import OTHER, Rules
from daemon.monitors import fill
from daemon.policy import Groups, Quarantine
from tests.monitoring.attached import Attached, by
from tests.streams import World, small_policy, stream_of


def rules_of(attached: Attached) -> Rules:
    """Of the newest shard's window."""
    assert attached._loop is not None
    opened = attached._loop.pinning.open(attached.shards[-1].window)
    assert opened is not None
    return opened[1]


def test_worth_is_the_target_share_of_the_capacity() -> None:
    world = World(policy=small_policy(groups=Groups(support=3, limit=5, floor_rows=0)))
    attached = Attached(world).run(*stream_of(3, windows=8, per_window=150))
    rules, newest = rules_of(attached), attached.shards[-1]
    worth = fill.entitled(rules)
    assert set(worth) == set(rules.groups)
    assert sum(worth.values()) == pytest.approx(rules.policy.capacity_rows)
    told = by(attached.scrape(), "sluice_group_fill_ratio", "group")
    named = set(told) - {OTHER}
    assert len(named) >= 3, "or this looks at nothing"
    for name in named:
        assert told[name] == newest.kept.get(name, 0) / worth[name]
    others = sum(share for name, share in worth.items() if name not in named)
    kept = sum(count for name, count in newest.kept.items() if name not in named)
    assert told[OTHER] == pytest.approx(kept / others)


def test_floors_and_caps_bound_the_worth() -> None:
    groups = Groups(support=3, limit=5, floor_rows=2, cap_rows=3)
    attached = Attached(World(policy=small_policy(groups=groups, capacity_rows=30)))
    attached.run(*stream_of(3, windows=8, per_window=150))
    rules = rules_of(attached)
    assert set(fill.entitled(rules).values()) == {2, 3}, "rare ones have the floor, others the cap"
    tight = msgspec.structs.replace(rules.policy, capacity_rows=1)
    small = replace(rules, edition=msgspec.structs.replace(rules.edition, policy=tight))
    assert set(fill.entitled(small).values()) == {1}


def test_a_cold_window_owes_nothing_to_anybody() -> None:
    world = World(policy=small_policy(quarantine=Quarantine()))
    attached = Attached(world).run(*stream_of(2, windows=4, per_window=100))
    assert fill.entitled(rules_of(attached)) == {}

"""Windows that everybody else has passed: nothing of a partition that is seen late is lost."""

from __future__ import annotations

from daemon.ports import LaneId
from tests.simulation.waiting import (
    Waiting,
    light_parts,
    one_lane,
    random_waiting,
    replicas_of,
    result,
    run,
)

OLD, NEW = LaneId("u", 0), LaneId("u", 9)


def test_a_new_partition_opens_no_window_that_everybody_else_has_passed() -> None:
    """Its owner saw pin 3 only when it began; meanwhile others jumped to window 49 and made its
    shard. Pins 5 and 6, made then, would be void: no shard would hold the records of their parts.
    """
    lanes = {OLD: (3, 49, 49, 52, 60, 61, 62), NEW: (5, 5, 6, 6, 70)}
    world = Waiting(one_lane(3), lanes, 2, (NEW,))
    with light_parts():
        store, (old, new) = replicas_of(world, [{OLD}, {NEW}], appear=1)
        while NEW not in new.lanes:
            new.step()
        for replica in (old, new, old, new):
            while replica.turn():
                pass
        ended = result(store, [old, new])
    assert (ended.unread, ended.lost) == (0, ())


def test_no_record_of_a_new_partition_is_lost() -> None:
    """The same in random worlds: a window with records, passed by a shard, has none itself."""
    with light_parts():
        for seed in range(60):
            for schedule in range(3):
                assert run(random_waiting(seed), schedule).lost == (), f"world {seed}"

"""Known faults, each as the smallest world that shows it. A mended one moves to its law's file."""

from __future__ import annotations

from daemon.policy import Quarantine
from daemon.ports import LaneId
from tests import selection
from tests.simulation.waiting import (
    Waiting,
    light_parts,
    one_lane,
    random_waiting,
    replicas_of,
    result,
    run,
)
from tests.streams import say, small_policy

OLD, NEW = LaneId("u", 0), LaneId("u", 9)


def test_a_new_partition_opens_no_window_that_everybody_else_has_passed() -> None:
    """Its owner saw pin 3 only when it began; meanwhile others jumped to window 49 and made its
    shard. Pins 5 and 6, made then, are void: no shard will ever hold the records of their parts.

    Seen: `Pinning.pin` makes a pin older than the newest one. Enough: refresh first; where a
    newer pin exists the window is passed over, as one whose pin does not name the lane.
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


def test_a_row_moved_to_review_says_how_often_its_text_was_said() -> None:
    """`merge._arms` gives rows of contradictions a multiplicity of 1, whatever was counted."""
    values = [say(n, "the same", f"unknown {n % 2}") for n in range(10)]
    policy = small_policy(quarantine=Quarantine(assumed_rate=0.0))
    store = selection.run(selection.lane_split(values, 2), policy)
    rows = selection.shard_rows(store)
    moved = [row for row in rows if "review" in row["arms"] and "selected" not in row["arms"]]
    assert [row["multiplicity"] for row in moved] == [5]

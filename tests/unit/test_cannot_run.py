"""An edition that an image cannot run pauses its lanes there, and says so (law 4)."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from daemon.clock import ManualClock
from daemon.policy import Kind
from daemon.ports import EXIT_DEPENDENCY, CannotRun, LaneId, Store
from daemon.registry.registry import Registry
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS
from tests.streams import PERIOD_MS, ListSource, say, small_policy
from tests.worlds import Stepper, publish_all, shards, world_of


class Live(ListSource):
    """It never says that a lane is complete."""

    def finished(self, lane: LaneId) -> bool:
        return False


def case() -> Case:
    rows = [
        (window * PERIOD_MS + at, say(window * 10 + at, f"say {window} {at}", "music"))
        for window in range(5, 12)
        for at in range(5)
    ]
    return Case({LaneId("u", 0): rows}, {}, WAITS, (Edition(small_policy()),))


def with_another_image_s_edition(world: Case) -> Store:
    """From window 8 on decides a policy whose kind this image does not have."""
    store = MemoryStore()
    publish_all(world, store)
    registry = Registry(store)
    registry.read_editions()
    policy = small_policy(select=Kind("of_the_next_image"))
    registry.publish(
        msgspec.structs.replace(registry.editions[0], number=1, policy=policy, first_window=8)
    )
    return store


def test_a_live_lane_waits_for_an_image_that_can() -> None:
    world = case()
    store = with_another_image_s_edition(world)
    process = Stepper(world_of(world, store), world, Schedule(), Live)
    for _ in range(200):
        if not process.turn():
            process.loop.brakes.check()
    assert process.events.count("cannot_run") == 1, "said once"
    assert list(shards(store)) == [5, 6, 7], "what it can run, it ran"
    assert process.loop.pinning.refused is not None
    assert "of_the_next_image" in str(process.loop.pinning.refused)
    process.close()


def test_a_lane_whose_times_jump_ahead_of_our_clock_waits_for_it() -> None:
    """Its time never goes back: windows that have not come would be closed for good."""
    world = case()
    lane, now_ms = LaneId("u", 0), 13 * PERIOD_MS
    rows = [*world.records[lane], (40 * PERIOD_MS, say(9_999, "say ahead", "music"))]
    store = MemoryStore()
    publish_all(world, store)
    longer = replace(world, records={lane: rows})
    process = Stepper(world_of(world, store), longer, Schedule(), Live)
    clock = process.loop.clock
    assert isinstance(clock, ManualClock)
    clock.jump(now_ms / 1000 - clock.now())
    for _ in range(200):
        process.turn()
    assert process.events.count("ahead") == 1, "said once"
    assert process.loop.lanes[lane].window == 11, "the last window that has come is open"
    clock.jump(26)
    for _ in range(50):
        process.turn()
    assert process.loop.lanes[lane].window == 40, "one window of grace ahead is no jump"
    process.close()


def test_a_replay_ends_with_the_reason() -> None:
    world = case()
    store = with_another_image_s_edition(world)
    loop = world_of(world, store).loop(ListSource(world.records))
    with pytest.raises(CannotRun, match=r"of_the_next_image.*the image that published it") as no:
        loop.run()
    assert no.value.code == EXIT_DEPENDENCY

"""Several live processes of one group make what a replay of their log makes (laws 1, 3 to 6)."""

from __future__ import annotations

import random
import time
from itertools import islice
from pathlib import Path

import pytest

from daemon.loop import Loop
from daemon.ports import LaneId, Store
from daemon.registry import bundle
from daemon.registry.registry import Registry
from daemon.stores import local
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Schedule, random_case
from tests.kafka.broker import Broker, unique
from tests.kafka.follower import Follower, options
from tests.kafka.live import fill, renamed
from tests.worlds import Stepper, outcome, publish_all, shards, turned, world_of

SECONDS = 60  # only a failing test waits so long


class Group:
    """Replicas over one store, turned one after the other in one thread."""

    def __init__(self, broker: Broker, case: Case, store: Store) -> None:
        self.case, self.store = case, store
        self.loops: list[Loop] = []
        kinds = {kind: sorted({n.topic for n, k in case.kinds.items() if k == kind})
                 for kind in ("utterances", "labels")}  # fmt: skip
        self._given = options(
            broker, *kinds["utterances"], labels=tuple(kinds["labels"]),
            allow_create_time=True, group=unique("group"),
        )  # fmt: skip
        self.events: list[str] = []

    def join(self) -> Loop:
        """One more replica."""
        source = Follower(self._given).source
        loop = world_of(self.case, self.store).loop(
            source,  # type: ignore[arg-type]
            batch_records=5, read_ahead=1, listener=lambda event, _: self.events.append(event),
        )  # fmt: skip
        self.loops.append(loop)
        return loop

    def leave(self, loop: Loop) -> None:
        """It goes with all that it had not made durable."""
        self.loops.remove(loop)
        loop._pipeline.close()
        loop.engines.close()
        loop.source.close()

    def turn(self) -> bool:
        moved = [turned(loop) for loop in self.loops]  # each of them
        return any(moved)

    def until_quiet(self, idle: int = 0) -> None:
        """Until all but `idle` loops have lanes, every lane is read, and nobody moves."""
        deadline, quiet = time.monotonic() + SECONDS, 0
        while quiet < 8:
            owned = {lane: x for loop in self.loops for lane, x in loop.lanes.items()}
            assert time.monotonic() < deadline, {str(k): x.position for k, x in owned.items()}
            moved = self.turn()
            read = all(
                lane in owned and owned[lane].position == len(rows)
                for lane, rows in self.case.records.items()
            )
            joined = sum(not loop.lanes for loop in self.loops) == idle  # may be later than read
            quiet = quiet + 1 if joined and read and not moved else 0

    def close(self) -> None:
        for loop in list(self.loops):
            self.leave(loop)


def replayed(case: Case, origin: Store) -> MemoryStore:
    """The log again, by one process, under what the group decided."""
    store = MemoryStore()
    bundle.copy_decisions(origin, store)
    cuts = bundle.closings(origin, tuple(case.records))
    genesis = Registry(origin).genesis
    assert genesis is not None
    ids = {entry.topic: entry.topic_id for entry in genesis.lanes}
    process = Stepper(
        world_of(case, store), case, Schedule(5, 64, 200, 2, 2), recorded=cuts, topic_ids=ids
    )
    assert any(process.ended() for _ in range(2_000)), "it ends where the parts end"
    process.close()
    return store


def wide(number: int) -> Case:
    """The `number`-th random case with three utterance lanes or more, and labels."""
    found = (
        case
        for case in map(random_case, range(1000))
        if sum(kind == "utterances" for kind in case.kinds.values()) >= 3
        and "labels" in case.kinds.values()
    )
    return next(islice(found, number, None))


@pytest.mark.parametrize("seed", [0, 1])
def test_a_group_that_changes_makes_what_a_replay_makes(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    """Two replicas, one leaves in the middle of its windows, another one comes."""
    plain = wide(seed)
    case = renamed(plain, fill(broker, plain.records))
    store = local.build(local.Options(str(tmp_path / "store")))
    publish_all(case, store)
    group, rng = Group(broker, case, store), random.Random(seed)
    first = group.join()
    for _ in range(rng.randint(2, 12)):
        group.turn()
    group.join()
    for _ in range(rng.randint(10, 40)):
        group.turn()
    group.leave(first)
    group.join()
    group.until_quiet()
    spread = [set(loop.lanes) for loop in group.loops]
    group.close()
    assert all(spread) and not set.intersection(*spread), "both have lanes, none has two owners"
    made = shards(store)
    assert len(made) > 2 and sum(m.counts["records"] for m in made.values()) > 20
    assert outcome(replayed(case, store)) == outcome(store)


def test_a_replica_without_lanes_waits_and_makes_shards_all_the_same(
    broker: Broker, tmp_path: Path
) -> None:
    """More replicas than partitions: the idle one is no end of anything."""
    plain = random_case(7)
    lane = next(lane for lane in sorted(plain.records) if plain.records[lane])
    alone = Case({lane: plain.records[lane]}, {lane: "utterances"}, plain.stream, plain.editions)
    case = renamed(alone, fill(broker, alone.records))
    store = local.build(local.Options(str(tmp_path / "store")))
    publish_all(case, store)
    group = Group(broker, case, store)
    group.join()
    group.join()
    group.until_quiet(idle=1)
    assert sorted(len(loop.lanes) for loop in group.loops) == [0, 1]
    assert not any(loop.ending.complete() for loop in group.loops), "a live run has no end"
    assert "shard_seen" in group.events
    group.close()
    (only,) = case.records
    assert isinstance(only, LaneId)
    assert outcome(replayed(case, store)) == outcome(store)

"""A live run beside marks of transactions, damage at a log's end, and a group that changes."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from kafka import KafkaProducer

from daemon.lanes import part as parts
from daemon.loop import Loop
from daemon.ports import EXIT_OK, LaneId, Store
from daemon.stores import local
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition
from tests.kafka import segment
from tests.kafka.broker import CLIENT, Broker, unique
from tests.kafka.follower import DEADLINE_SECONDS, Follower, options
from tests.kafka.live import configure, fill, kafka, renamed
from tests.kafka.test_record import call, digests, replay
from tests.kafka.test_replicas import Group
from tests.selection import WAITS
from tests.streams import PERIOD_MS, Record, say, small_policy
from tests.worlds import publish_all, shards, world_of

QUIET, BUSY = LaneId("u", 0), LaneId("u", 1)
CLOSED = list(range(5, 23))  # BUSY speaks until window 24, and grace is 1


def spoken(lane: LaneId, windows: range | list[int], each: int = 4) -> list[Record]:
    first = lane.partition * 10_000
    return [
        (window * PERIOD_MS + at, say(first + window * 20 + at, f"say {window} {at}", "music"))
        for window in windows
        for at in range(each)
    ]


def case_of(quiet: list[Record], busy: list[Record]) -> Case:
    records = {QUIET: quiet, BUSY: busy}
    return Case(records, dict.fromkeys(records, "utterances"), WAITS, (Edition(small_policy()),))


def until(
    condition: Callable[[], bool], *loops: Loop, step: Callable[[Loop], object] = Loop.turn
) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        stand = [{str(n): lane.position for n, lane in loop.lanes.items()} for loop in loops]
        assert time.monotonic() < deadline, stand
        for loop in loops:
            step(loop)


@contextmanager
def follower_loop(broker: Broker, case: Case, store: Store) -> Iterator[Loop]:
    """The only process of its group."""
    publish_all(case, store)
    (topic,) = {lane.topic for lane in case.records}
    source = Follower(options(broker, topic, allow_create_time=True)).source
    with ExitStack() as stack:
        stack.callback(source.close)
        loop = world_of(case, store).loop(source)  # type: ignore[arg-type]
        stack.callback(loop._pipeline.close)
        yield loop


def lost(store: Store, lane: LaneId) -> list[tuple[int, int]]:
    """What the lane's parts say that nobody can read any more."""
    manifests = (parts.read_manifest(store.get(name)) for name in store.list(parts.prefix(lane)))
    return [hole for manifest in manifests for hole in manifest.lost]


def test_the_group_is_heard_while_every_lane_of_ours_waits(broker: Broker) -> None:
    """A lane that waits for one of another replica hears that the group gives it that one."""
    plain = case_of(*(spoken(lane, range(5, 45), 10) for lane in (QUIET, BUSY)))
    case, store = renamed(plain, fill(broker, plain.records)), MemoryStore()
    publish_all(case, store)
    with ExitStack() as stack:
        group = Group(broker, case, store)
        stack.callback(group.close)
        one = group.join()
        until(lambda: len(one.lanes) == 2, one, step=Loop._poll)
        two = group.join()
        until(lambda: len(one.lanes) == len(two.lanes) == 1, one, two, step=Loop._poll)
        (mine,), enough = one.lanes, one.process.poll_records
        until(lambda: one.intake.waiting() >= enough and not one.turn(), one)
        assert one.intake.head(mine) is not None and shards(store) == {}
        group.leave(two)  # it has given nothing
        until(lambda: len(one.lanes) == 2, one)
        until(lambda: sorted(shards(store)) == list(range(5, 44)), one)


def transaction(broker: Broker, lane: LaneId, rows: list[Record]) -> None:
    """Records of one transaction: its mark stands behind them."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, transactional_id=unique("writer"), **CLIENT
    )
    producer.init_transactions()
    producer.begin_transaction()
    for time_ms, value in rows:
        producer.send(lane.topic, value, partition=lane.partition, timestamp_ms=time_ms)
    producer.commit_transaction()
    producer.close()


@pytest.mark.parametrize("windows", [[5, 6], [5, 6, 11]], ids=["read", "waiting"])
def test_a_lane_that_ends_with_a_mark_holds_nobody_up_live_and_replayed(
    broker: Broker, tmp_path: Path, windows: list[int]
) -> None:
    """Its last records may wait for what another lane teaches while the mark is told."""
    quiet, busy = spoken(QUIET, windows), spoken(BUSY, range(5, 25))
    plain = case_of([], busy)
    names = fill(broker, plain.records)
    transaction(broker, LaneId(names["u"], 0), quiet)
    case = renamed(case_of(quiet, busy), names)
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")
    store = local.build(local.Options(str(tmp_path / "live")))
    lane = LaneId(names["u"], 0)
    with follower_loop(broker, case, store) as loop:
        until(lambda: sorted(shards(store)) == CLOSED, loop)
        assert loop.lanes[lane].position == loop.source.end(lane) == len(quiet) + 1
    assert lost(store, lane) == []
    assert call("record", tmp_path / "whole", "-c", config) == EXIT_OK
    assert replay(tmp_path, case, "whole", "again") == digests(tmp_path / "live")


def test_damage_at_the_end_of_a_log_is_stated_once_and_holds_nobody_up(broker: Broker) -> None:
    """The records before it wait in hand while it is told, one position after the other."""
    quiet, busy = spoken(QUIET, [5, 6, 11]), spoken(BUSY, range(5, 25))
    names = fill(broker, case_of([], busy).records)
    lane = LaneId(names["u"], 0)
    for rows in (quiet, spoken(QUIET, [12])):
        broker.batch(lane.topic, [(value, time_ms) for time_ms, value in rows])
    segment.damage(broker, lane.topic, len(quiet))
    case, store = renamed(case_of(quiet, busy), names), MemoryStore()
    with follower_loop(broker, case, store) as loop:
        until(lambda: sorted(shards(store)) == CLOSED, loop)
        assert loop.lanes[lane].position == loop.source.end(lane) == 16
    assert lost(store, lane) == [(position, position + 1) for position in range(12, 16)]

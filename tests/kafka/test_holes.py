"""Records that nobody can read any more: deleted by retention, or damaged on the disk."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from kafka import TopicPartition

from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, Fatal, Hole, LaneId
from tests.kafka import segment
from tests.kafka.broker import Broker
from tests.kafka.follower import Follower, values, whole

Follow = Callable[..., Follower]


def test_what_retention_took_is_a_hole(broker: Broker, follow: Follow) -> None:
    said = broker.topic("said", 2)
    lane, other = LaneId(said, 0), LaneId(said, 1)
    for partition in (0, 1):
        broker.produce(said, values(20), partition)
    broker.admin.delete_records({TopicPartition(said, 0): 8})
    follower = follow(said, durable={lane: 3})
    assert follower.read(lane, 12) == whole(12, 8)
    assert follower.holes == [Hole(lane, 3, 8, "retention")]
    assert follower.read(other, 20) == whole(20)


def test_retention_that_overtakes_a_lane_that_waits(broker: Broker, follow: Follow) -> None:
    said = broker.topic()
    lane = LaneId(said, 0)
    broker.produce(said, values(5))
    follower = follow(said)
    follower.read(lane, 5)
    follower.source.pause(lane)
    broker.produce(said, values(15, 5))
    broker.admin.delete_records({TopicPartition(said, 0): 12})
    follower.source.resume(lane)
    follower.until(lambda: follower.positions[lane] == 20)
    got = [position for position, _ in follower.rows[lane]]
    hole = [p for h in follower.holes for p in range(h.first, h.end)]
    assert sorted(got + hole) == list(range(20))


def test_a_log_that_ends_before_our_position_is_not_ours(broker: Broker, follow: Follow) -> None:
    said = broker.topic()
    broker.produce(said, values(5))
    follower = follow(said, durable={LaneId(said, 0): 9})
    with pytest.raises(Fatal, match="ends before what was read") as caught:
        follower.until(lambda: False)
    assert caught.value.code == EXIT_STATE


@pytest.mark.parametrize("codec", [None, "zstd"])
def test_a_damaged_batch_is_stepped_over_and_its_neighbours_are_whole(
    broker: Broker, follow: Follow, codec: str | None
) -> None:
    said = broker.topic("said", 2)
    lane, other = LaneId(said, 0), LaneId(said, 1)
    for first in (0, 100, 200):
        broker.batch(said, values(100, first), codec)
    broker.produce(said, values(20), 1)
    segment.damage(broker, said, 100)
    follower = follow(said)
    assert follower.read(lane, 200) == [*whole(100), *whole(100, 200)]
    assert [(h.lane, h.cause) for h in follower.holes] == [(lane, "corrupt")] * 100
    assert (follower.holes[0].first, follower.holes[-1].end) == (100, 200)
    assert follower.read(other, 20) == whole(20)


def test_a_damaged_batch_at_the_end_and_one_at_the_beginning(
    broker: Broker, follow: Follow
) -> None:
    said = broker.topic()
    lane = LaneId(said, 0)
    for first in (0, 10, 20):
        broker.batch(said, values(10, first))
    for first in (0, 20):
        segment.damage(broker, said, first)
    follower = follow(said)
    follower.until(lambda: follower.positions.get(lane) == 30)
    assert follower.rows[lane] == whole(10, 10)
    assert follower.source.end(lane) == 30
    broker.produce(said, values(5, 30))
    assert follower.read(lane, 15)[10:] == whole(5, 30)


def test_a_pause_beside_a_damaged_batch_loses_nothing(broker: Broker, follow: Follow) -> None:
    """The client keeps an error of a half-read lane; paused then, its poll would never return."""
    said = broker.topic("said", 2)
    lane, other = LaneId(said, 0), LaneId(said, 1)
    for first in (0, 10, 20):
        broker.batch(said, values(10, first))
    segment.damage(broker, said, 10)
    follower = follow(said)
    follower.stand(lane, other)
    follower.until(lambda: len(follower.rows[lane]) > 0)
    follower.source.pause(lane)
    broker.produce(said, values(3), 1)
    assert follower.read(other, 3) == whole(3)
    follower.source.resume(lane)
    assert follower.read(lane, 20) == [*whole(10), *whole(10, 20)]


def test_too_much_damage_ends_the_process(broker: Broker, follow: Follow) -> None:
    said = broker.topic()
    for first in (0, 10, 20):
        broker.batch(said, values(10, first))
        segment.damage(broker, said, first)
    with pytest.raises(Fatal, match="corrupt from position 0 on, and 25 records") as caught:
        follow(said, corrupt_limit=25).until(lambda: False)
    assert caught.value.code == EXIT_STATE


def test_a_batch_that_cannot_be_unpacked_breaks_clients_and_then_the_process(
    broker: Broker, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its checksum is right and its content is not: every new client fails at the same place."""
    said = broker.topic("said", 2)
    broker.batch(said, values(500), "zstd")
    broker.produce(said, values(3), 1)
    follower = follow(said)

    def fail(payload: bytes) -> bytes:
        raise ZeroDivisionError

    follower.stand(LaneId(said, 0), LaneId(said, 1))
    monkeypatch.setattr("kafka.record.default_records.zstd_decode", fail)
    with pytest.raises(Fatal, match="broke 6 times, at last by ZeroDivisionError") as caught:
        follower.until(lambda: False)
    assert caught.value.code == EXIT_DEPENDENCY
    assert [word for word, _ in follower.told[:3]] == ["gained", "lost", "gained"]


def test_a_client_that_broke_once_is_made_anew(
    broker: Broker, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = broker.topic()
    lane = LaneId(said, 0)
    broker.batch(said, values(500), "zstd")
    follower = follow(said)
    follower.stand(lane)

    def fail(payload: bytes) -> bytes:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr("kafka.record.default_records.zstd_decode", fail)
    assert follower.read(lane, 500) == whole(500)
    assert [word for word, _ in follower.told] == ["gained", "lost", "gained"]

"""Brokers that end, are killed, freeze, or have a clock that jumps."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from daemon.ports import LaneId
from tests.kafka.broker import Broker
from tests.kafka.follower import Follower, values, whole

Follow = Callable[..., Follower]


@pytest.fixture
def reading(private: Callable[..., Broker], follow: Follow) -> tuple[Broker, Follower, LaneId]:
    """A private broker, and a follower that has read five records of it."""
    broker = private()
    said = broker.topic()
    broker.produce(said, values(5))
    follower = follow(said, on=broker)
    follower.read(LaneId(said, 0), 5)
    return broker, follower, LaneId(said, 0)


@pytest.mark.parametrize("end", ["stop", pytest.param("kill", marks=pytest.mark.slow)])
def test_a_broker_that_comes_back_is_read_on(
    reading: tuple[Broker, Follower, LaneId], end: str
) -> None:
    broker, follower, lane = reading
    getattr(broker, end)()
    follower.until(lambda: follower.source.trouble != "")
    assert follower.source.end(lane) is None  # nobody tells, and nobody is waited for for long
    healthy = follower.source.healthy_at
    for _ in range(20):
        assert follower.poll().batches == ()
    assert follower.source.healthy_at == healthy
    broker.start()
    broker.produce(lane.topic, values(5, 5))
    assert follower.read(lane, 10) == whole(10)
    follower.until(lambda: follower.source.trouble == "")
    assert follower.source.healthy_at > healthy
    follower.until(lambda: follower.source.end(lane) == 10)


def test_a_broker_that_freezes_holds_up_no_call(reading: tuple[Broker, Follower, LaneId]) -> None:
    broker, follower, lane = reading
    broker.freeze()
    try:
        # more than one request times out in this; a call that waits for it would wait in vain
        follower.until(lambda: follower.source.trouble != "")
        assert follower.source.end(lane) is None
        follower.source.commit({lane: 5})
        follower.source.pause(lane)
        follower.source.resume(lane)
        follower.source.seek(lane, 5)
    finally:
        broker.thaw()
    broker.produce(lane.topic, values(5, 5))
    follower.read(lane, 10)
    assert follower.rows[lane] == whole(10)


def test_leaving_a_dead_broker_is_bounded(reading: tuple[Broker, Follower, LaneId]) -> None:
    broker, follower, _ = reading
    broker.freeze()
    try:
        follower.source.close()
    finally:
        broker.thaw()


def test_append_times_go_back_with_the_broker_s_clock(
    private: Callable[..., Broker], follow: Follow
) -> None:
    """So a lane's time is the running maximum, and its records come as the log has them."""
    broker = private(stepped=True)
    said = broker.topic()
    lane = LaneId(said, 0)
    follower = follow(said, on=broker)
    for step in (0, -600_000, 600_000, 0):
        broker.clock(step)
        for _ in range(100):  # until the broker has seen it
            (position,) = broker.produce(said, [b"%d" % step])
            follower.read(lane, position + 1)
            if abs(follower.times[lane][-1] - time.time() * 1000 - step) < 60_000:
                break
    times = follower.times[lane]
    assert max(times) - min(times) > 1_000_000
    assert times != sorted(times)
    assert [position for position, _ in follower.rows[lane]] == list(range(len(times)))

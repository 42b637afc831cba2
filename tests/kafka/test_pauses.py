"""Lanes that are paused and resumed at any moment, some of their batches damaged on the disk."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from daemon.ports import LaneId
from tests.kafka import segment
from tests.kafka.broker import Broker
from tests.kafka.follower import Follower, values, whole

Follow = Callable[..., Follower]
STEPS = 3_000  # only a failing test takes so many
Rows = dict[LaneId, list[tuple[int, bytes | None]]]


def write(broker: Broker, said: str, chance: random.Random) -> Rows:
    """Two lanes that are whole, and one of which about every second batch is damaged."""
    rows: Rows = {LaneId(said, 0): []}
    first = 0
    for _ in range(4):
        count = chance.randint(1, 40)
        broker.batch(said, values(count, first))
        if chance.random() < 0.5:
            segment.damage(broker, said, first)
        else:
            rows[LaneId(said, 0)] += whole(count, first)
        first += count
    for partition in (1, 2):
        broker.produce(said, values(60), partition)
        rows[LaneId(said, partition)] = whole(60)
    return rows


@pytest.mark.parametrize(
    "seed", [1, 2, 3, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(4, 40))]
)
def test_nothing_is_lost_and_no_paused_lane_speaks(
    broker: Broker, follow: Follow, seed: int
) -> None:
    chance = random.Random(seed)
    said = broker.topic("said", 3)
    want = write(broker, said, chance)
    follower = follow(said)
    follower.stand(*want)
    paused: set[LaneId] = set()
    for _ in range(STEPS):
        if all(len(follower.rows[lane]) >= len(rows) for lane, rows in want.items()):
            break
        lane = chance.choice(list(want))
        if lane in paused:
            follower.source.resume(lane)
            paused.discard(lane)
        elif chance.random() < 0.6:
            follower.source.pause(lane)
            paused.add(lane)
        for _ in range(chance.randint(0, 2)):
            polled = follower.poll(chance.randint(1, 9))
            assert not paused & {batch.lane for batch in polled.batches}
    assert follower.rows == want
    for lane in want:
        follower.source.resume(lane)
    ends = {lane: follower.source.end(lane) for lane in want}
    follower.until(lambda: follower.positions == ends)
    for _ in range(30):  # nothing beyond the end is asked for, or nobody minds the answer
        lane = chance.choice(list(want))
        follower.source.pause(lane)
        follower.poll()
        follower.source.resume(lane)
    assert follower.positions == ends

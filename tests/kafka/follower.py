"""Reads a source as the loop does: seeks what it gains, forgets what it loses, keeps the rest."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from daemon.clock import SystemClock
from daemon.kafka.security import Security
from daemon.kafka.settings import Client, Options
from daemon.ports import Hole, LaneId, Polled
from daemon.sources.kafka import KafkaSource
from tests.kafka.broker import Broker, unique

DEADLINE_SECONDS = 60  # only a failing test waits so long
QUICK: dict[str, Any] = {
    "request_timeout_ms": 3_000,
    "bootstrap_timeout_ms": 1_500,
    "metadata_max_age_ms": 1_000,
    "commit_interval_ms": 500,
    "fetch_max_wait_ms": 20,
}


def options(broker: Broker, *topics: str, labels: tuple[str, ...] = (), **changes: Any) -> Options:
    """Of a source with little patience. `client`: what differs from QUICK."""
    client = Client(**(QUICK | changes.pop("client", {})))
    given = {"bootstrap": (broker.bootstrap,), "group": unique("group"), "security": Security()}
    return Options(topics=topics, label_topics=labels, client=client, **(given | changes))


class Follower:
    """`durable`: where lanes are sought; `rows`: (position, value) of each lane since then."""

    def __init__(self, given: Options, durable: dict[LaneId, int] | None = None) -> None:
        self.source = KafkaSource(given, SystemClock())
        self.durable = {} if durable is None else durable
        self.rows: dict[LaneId, list[tuple[int, bytes | None]]] = {}
        self.times: dict[LaneId, list[int]] = {}
        self.positions: dict[LaneId, int] = {}
        self.holes: list[Hole] = []
        self.told: list[tuple[str, tuple[LaneId, ...]]] = []

    def poll(self, limit: int = 500) -> Polled:
        polled = self.source.poll(limit)
        for lane in polled.lost:
            del self.rows[lane]
        for lane in polled.gained:
            self.rows[lane], self.times[lane] = [], []
            self.positions[lane] = self.durable.get(lane, 0)
            self.source.seek(lane, self.positions[lane])
        for word, lanes in (("lost", polled.lost), ("gained", polled.gained)):
            if lanes:
                self.told.append((word, lanes))
        for hole in polled.holes:
            assert hole.first == self.positions[hole.lane]
            self.positions[hole.lane] = hole.end
        self.holes += polled.holes
        for batch in polled.batches:
            assert int(batch.positions[0]) >= self.positions[batch.lane]
            self.rows[batch.lane] += zip(batch.positions.tolist(), batch.values, strict=True)
            self.times[batch.lane] += batch.times_ms.tolist()
            self.positions[batch.lane] = int(batch.positions[-1]) + 1
        for lane, position in polled.positions.items():
            assert position > self.positions[lane]
            self.positions[lane] = position
        return polled

    def read(self, lane: LaneId, count: int) -> list[tuple[int, bytes | None]]:
        """The lane's rows once there are so many."""
        self.until(lambda: len(self.rows.get(lane, ())) >= count)
        return self.rows[lane]

    def until(self, condition: Callable[[], bool], *others: Follower) -> None:
        """Poll, each in turn, until something is so."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while not condition():
            assert time.monotonic() < deadline, (self.told, self.positions, self.source.trouble)
            for follower in (self, *others):
                follower.poll()

    def stand(self, *lanes: LaneId) -> None:
        """Until all these lanes are ours and no others."""
        self.until(lambda: set(self.rows) == set(lanes))


def values(count: int, first: int = 0) -> list[bytes]:
    return [b"%d" % number for number in range(first, first + count)]


def whole(count: int, first: int = 0) -> list[tuple[int, bytes | None]]:
    """The rows of a lane that holds `values(count)` at positions from 0."""
    return [(number, b"%d" % number) for number in range(first, first + count)]

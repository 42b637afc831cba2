"""A live log for the contract of sources: written to a broker, and read as a group's member."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import MemberToRemove, OffsetSpec

from daemon.clock import SystemClock
from daemon.ports import Batch, LaneId, LaneInfo, Polled, Source
from daemon.sources.kafka import KafkaSource
from tests.kafka.broker import CLIENT, Broker, unique
from tests.kafka.follower import DEADLINE_SECONDS, options

Record = tuple[int, int, bytes | None]  # position, time, value
Log = dict[LaneId, list[Record]]
GAP = 2  # offsets that an aborted transaction with one record takes


class Rival:
    """Another member of the group, in a thread of its own."""

    def __init__(self, broker: Broker, group: str, topics: list[str]) -> None:
        self._stop = threading.Event()
        self._given = {
            "bootstrap_servers": broker.bootstrap, "group_id": group, "client_id": "z",
            "heartbeat_interval_ms": 100, "enable_auto_commit": False,
        }  # fmt: skip
        self._topics = topics
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        consumer = KafkaConsumer(*self._topics, **self._given, **CLIENT)
        while not self._stop.is_set():
            consumer.poll(50)
        consumer.close(autocommit=False)

    def leave(self, admin: Any) -> None:
        """Removed by an administrator: while it joins, the broker hears nothing else of it."""
        self._stop.set()
        group = self._given["group_id"]
        while self._thread.is_alive():  # it may join once more before it sees that it is to stop
            found = admin.describe_groups([group])[group]["members"]
            mine = [m["member_id"] for m in found if m["client_id"] == self._given["client_id"]]
            admin.remove_group_members(group, [MemberToRemove(member_id=name) for name in mine])
            self._thread.join(0.05)


class LiveSource:
    """A source whose empty answers are certain, under the lane names of the contract.

    A live source cannot know that nothing comes; here an empty answer is given once the group is as
    it was arranged, and every lane that flows stands at its end.
    """

    def __init__(self, source: KafkaSource, names: dict[str, str]) -> None:
        self.source, self._names = source, names
        self._real = {plain: real for real, plain in names.items()}
        self.expected: set[LaneId] | None = None
        self._at: dict[LaneId, int] = {}
        self._ours: set[LaneId] = set()
        self._paused: set[LaneId] = set()
        self.close: Callable[[], None] = source.close

    def _plain(self, lane: LaneId) -> LaneId:
        return LaneId(self._names[lane.topic], lane.partition)

    def _there(self, lane: LaneId) -> LaneId:
        return LaneId(self._real[lane.topic], lane.partition)

    def lanes(self) -> tuple[LaneInfo, ...]:
        return tuple(
            info._replace(
                lane=self._plain(info.lane), topic_id=f"{self._plain(info.lane).topic}"[0] + "-id"
            )
            for info in self.source.lanes()
        )

    def poll(self, limit: int) -> Polled:
        deadline, early = time.monotonic() + DEADLINE_SECONDS, []
        while True:
            polled = self._poll(limit)
            if polled.gained or polled.lost:
                batches = [b for b in early if b.lane not in polled.lost]
                return Polled(tuple(batches), polled.gained, polled.lost)
            waits = self.expected is not None and self.expected != self._ours
            if waits:
                early += polled.batches
            elif polled.batches or self._ended():
                return polled
            assert time.monotonic() < deadline, (self.expected, self._ours, self._at)

    def _poll(self, limit: int) -> Polled:
        polled = self.source.poll(limit)
        assert polled.holes == ()
        gained, lost = (tuple(map(self._plain, lanes)) for lanes in (polled.gained, polled.lost))
        self._ours = (self._ours - set(lost)) | set(gained)
        self._paused -= {*lost, *gained}
        for lane in (*lost, *gained):
            self._at.pop(lane, None)
        batches = [
            Batch(self._plain(b.lane), b.positions, b.times_ms, b.values) for b in polled.batches
        ]
        self._at |= {b.lane: int(b.positions[-1]) + 1 for b in batches}
        self._at |= {self._plain(lane): at for lane, at in polled.positions.items()}
        return Polled(tuple(batches), gained, lost)

    def _ended(self) -> bool:
        flowing = self._at.keys() - self._paused
        return all(self.end(lane) == self._at[lane] for lane in flowing)

    def seek(self, lane: LaneId, position: int) -> None:
        if lane in self._ours:
            self._at[lane] = position
        self.source.seek(self._there(lane), position)

    def pause(self, lane: LaneId) -> None:
        self._paused.add(lane)
        self.source.pause(self._there(lane))

    def resume(self, lane: LaneId) -> None:
        self._paused.discard(lane)
        self.source.resume(self._there(lane))

    def end(self, lane: LaneId) -> int | None:
        return self.source.end(self._there(lane))

    def finished(self, lane: LaneId) -> bool:
        return self.source.finished(self._there(lane))

    def closings(self, lane: LaneId) -> None:
        assert self.source.closings(self._there(lane)) is None

    def commit(self, positions: dict[LaneId, int]) -> None:
        self.source.commit({self._there(lane): at for lane, at in positions.items()})


class Live:
    """Puts logs into topics of their own. Gaps in positions are aborted transactions."""

    layouts = ("live",)
    finishes = False
    slow = True

    def __init__(self, layout: str, base: Path) -> None:
        self.broker = Broker(base / "broker").start()
        given = {"bootstrap_servers": self.broker.bootstrap, **CLIENT}
        self._writer = KafkaProducer(**given)
        self._aborter = KafkaProducer(transactional_id="gaps", **given)
        self._aborter.init_transactions()
        self._rivals: dict[int, Rival] = {}
        self._opened: list[KafkaSource] = []

    def fit(self, log: Log) -> Log:
        """The log with gaps as long as they can be here."""
        fitted: Log = {}
        for lane, records in log.items():
            before, next_, fitted[lane] = -1, 0, []
            for position, time_ms, value in records:
                next_ += GAP if position > before + 1 else 0
                fitted[lane].append((next_, time_ms, value))
                before, next_ = position, next_ + 1
        return fitted

    def reach(self, log: Log, lane: LaneId, position: int) -> int:
        """No part of a live lane ends beyond the log."""
        return min(position, log[lane][-1][0] + 1 if log[lane] else 0)

    def open(self, log: Log, **_: Any) -> Source:
        partitions: dict[str, int] = {}
        for lane in log:
            partitions[lane.topic] = max(partitions.get(lane.topic, 0), lane.partition + 1)
        names = {
            self.broker.topic(topic, count, message_timestamp_type="CreateTime"): topic
            for topic, count in partitions.items()
        }
        real = {plain: name for name, plain in names.items()}
        for lane, records in log.items():
            self._write(real[lane.topic], lane.partition, records)
        given = options(
            self.broker, real["said"], labels=(real["labels"],), group=unique("group"),
            allow_create_time=True, client={"heartbeat_interval_ms": 100},
        )  # fmt: skip
        self._opened.append(KafkaSource(given, SystemClock()))
        return LiveSource(self._opened[-1], names)

    def _write(self, topic: str, partition: int, records: list[Record]) -> None:
        next_ = 0
        for position, time_ms, value in records:
            if position > next_:
                self._writer.flush()
                self._aborter.begin_transaction()
                self._aborter.send(topic, b"aborted", partition=partition)
                self._aborter.flush()
                self._aborter.abort_transaction()
                self._await(topic, partition, position)
            key = b"key" if value is None else None
            self._writer.send(topic, value, key, None, partition, time_ms)
            next_ = position + 1
        self._writer.flush()

    def _await(self, topic: str, partition: int, end: int) -> None:
        """Until the marker is written, which the answer to an abort does not wait for."""
        place = TopicPartition(topic, partition)
        asked = {place: OffsetSpec.LATEST}
        while self.broker.admin.list_partition_offsets(asked)[place].offset < end:
            pass

    def assign(self, source: Any, lanes: set[LaneId]) -> None:
        """Another member comes and takes the second partition, or leaves again."""
        rival = self._rivals.pop(id(source), None)
        if rival is not None:
            rival.leave(self.broker.admin)
        every = {info.lane for info in source.lanes()}
        source.expected = lanes
        if lanes != every:
            real = source.source
            group = real._options.group
            self._rivals[id(source)] = Rival(self.broker, group, list(real._options.kinds))
            while self._members(group) < 2:
                pass  # asks the broker each time

    def _members(self, group: str) -> int:
        return len(self.broker.admin.describe_groups([group])[group]["members"])

    def close(self) -> None:
        for source in self._opened:  # also of tests that failed
            source.close()
        for rival in self._rivals.values():
            rival.leave(self.broker.admin)
        for client in (self._writer, self._aborter, self.broker):
            client.close()

"""A recording spoken again: at once with its own times, or at a pace that a broker stamps."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from daemon.clock import SystemClock
from daemon.demo.annotator import Timing, annotate, read_truth
from daemon.demo.traffic import Shape
from daemon.lanes.genesis import Genesis
from daemon.ports import LaneId, Store
from daemon.recording.playback import LaneReader, Recording
from tests.kafka.broker import Broker, Message

FLUSH = b"{}"  # no utterance and no answer: it only moves the time of its lane
Row = tuple[int, LaneId, bytes | None]  # time in ms


@dataclass(frozen=True)
class Pace:
    """Windows of `period_ms` on the wall clock, for as many windows as the demo has."""

    period_ms: int = 3_000
    windows: int = Shape().windows
    start: int = 0  # window

    def beginning(self) -> Pace:
        """At the next edge of a window."""
        return replace(self, start=self.now_window() + 1)

    @property
    def seconds(self) -> float:
        return self.windows * self.period_ms / 1000

    def passed(self) -> float:
        """Seconds since the start."""
        return time.time() - self.start * self.period_ms / 1000

    def window(self, time_ms: int) -> int:
        return time_ms // self.period_ms

    def now_window(self) -> int:
        return self.window(int(time.time() * 1000))


def of_lane(recording: Recording, lane: LaneId) -> list[Message]:
    """Values with their times, in the order of positions."""
    reader = LaneReader(recording, lane, 1 << 18)
    rows: list[Message] = []
    while (columns := reader.read()) is not None:
        rows += [(v, t) for t, v in zip(columns.times_ms.tolist(), columns.values, strict=True)]
    reader.close()
    return rows


def values(recording: Recording) -> list[Row]:
    """What is said, in the order of time; of one lane never against its positions."""
    rows: list[Row] = []
    for lane, info in recording.lanes.items():
        latest = 0
        for message in of_lane(recording, lane) if info.kind == "utterances" else ():
            assert isinstance(message, tuple)
            latest = max(latest, message[1])
            rows.append((latest, lane, message[0]))
    return sorted(rows, key=lambda row: row[0])


def speak(broker: Broker, rows: list[Row], pace: Pace) -> int:
    """Each record when its time has come; the append time of the last one."""
    shape, last = Shape(), None
    for time_ms, lane, value in rows:
        due = (time_ms - shape.start_ms) / shape.period_ms * pace.period_ms / 1000
        if (early := due - pace.passed()) > 0:
            time.sleep(early)
        last = broker.producer.send(lane.topic, value, partition=lane.partition)
    assert last is not None, "a recording without a record"
    broker.producer.flush()
    return int(last.get(timeout=60).timestamp)


def fill(broker: Broker, recording: Recording, flush_ms: int) -> None:
    """Topics of the same names with the same times, and a flush record behind each lane."""
    counts: dict[str, int] = {}
    for lane in recording.lanes:
        counts[lane.topic] = max(counts.get(lane.topic, 0), lane.partition + 1)
    for topic, count in counts.items():
        broker.create(topic, count, message_timestamp_type="CreateTime")
    for lane in recording.lanes:
        broker.produce(lane.topic, [*of_lane(recording, lane), (FLUSH, flush_ms)], lane.partition)


def flush(broker: Broker, recording: Recording) -> None:
    """A record behind each lane, that closes what is open there."""
    for lane in recording.lanes:
        broker.produce(lane.topic, [FLUSH], lane.partition)


class LaneTopic:
    """Where the annotator's answers go: a topic, not a file. `answers`: how many there were."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self._broker, self._topic = broker, topic
        self.answers = 0

    def append(self, records: Sequence[tuple[int, Mapping[str, Any]]]) -> None:
        """The broker says the time; that of the records is the annotator's plan."""
        self._broker.produce(self._topic, [json.dumps(value).encode() for _, value in records])
        self.answers += sum("id" in value for _, value in records)

    def end(self) -> None:
        """Nobody is told: a topic has no end."""


def annotator(store: Store, truth: Path, lane: LaneTopic, pace: Pace, genesis: Genesis) -> None:
    """The demo's, on the shards as they come; the last ones would teach nobody."""
    first, last = genesis.first_window, pace.start + pace.windows - 1
    timing = Timing(first, last, genesis.period_ms, genesis.lag)
    annotate(store, read_truth(truth), lane, timing, SystemClock())

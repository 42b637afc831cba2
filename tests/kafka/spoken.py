"""A recording spoken again: at once with its own times, or at a pace that a broker stamps."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from daemon.clock import SystemClock
from daemon.demo.annotator import Timing, annotate, read_truth
from daemon.demo.traffic import Shape
from daemon.lanes.genesis import Genesis
from daemon.ports import LaneId, Store
from daemon.recording.playback import LaneReader, Recording
from tests.kafka.broker import Broker, Message

BEHIND = 6  # of windows that are spoken, the last two or three stay open until later ones
FOREVER = 10**12
FLUSH = b"{}"  # no utterance and no answer: it only moves the time of its lane
Row = tuple[int, LaneId, bytes | None]  # time in ms


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


class Ended(Exception):
    """Nobody waits for answers any more."""


class Patience(SystemClock):
    """A clock for who waits until `ended`."""

    def __init__(self) -> None:
        self.ended = threading.Event()

    def sleep(self, seconds: float) -> None:
        if self.ended.wait(seconds):
            raise Ended


class Speaker:
    """Says each record when its time has come, in windows of `period_ms` on the wall clock.

    It waits for a run that falls behind by more than BEHIND windows, as long as it takes: silence
    is no trouble, and answers to what was said long ago would teach nothing. `share`: of all that
    there is to say.
    """

    def __init__(self, broker: Broker, rows: list[Row], period_ms: int) -> None:
        self._broker, self._rows, self._period_ms = broker, rows, period_ms
        self.share = 0.0

    def window(self, time_ms: float) -> int:
        return int(time_ms) // self._period_ms

    def now_window(self) -> int:
        return self.window(time.time() * 1000)

    def speak(self, made: Callable[[], int], patience: Patience) -> int:
        """The append time of the last record. `made`: how many shards there are."""
        shape, producer, said, last = Shape(), self._broker.producer, 0, None
        began = (self.now_window() + 1) * self._period_ms / 1000
        for number, (time_ms, lane, value) in enumerate(self._rows):
            at = (time_ms - shape.start_ms) / shape.period_ms  # windows of the recording
            if int(at) > said:
                said, before = int(at), time.time()
                while made() + BEHIND < said:
                    patience.sleep(0.2)
                began += max(0.0, time.time() - before - 0.1)
            if (early := began + at * self._period_ms / 1000 - time.time()) > 0:
                patience.sleep(early)
            last = producer.send(lane.topic, value, partition=lane.partition)
            self.share = number / len(self._rows)
        assert last is not None, "a recording without a record"
        producer.flush()
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


def annotator(
    store: Store, truth: Path, lane: LaneTopic, genesis: Genesis, patience: Patience
) -> None:
    """The demo's, on the shards as they come, until it is told to end."""
    timing = Timing(genesis.first_window, FOREVER, genesis.period_ms, genesis.lag)
    with suppress(Ended):
        annotate(store, read_truth(truth), lane, timing, patience)

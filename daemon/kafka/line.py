"""One connection to the cluster, from subscribing to hanging up."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from kafka.errors import KafkaError

from daemon.kafka.batches import by_batches
from daemon.kafka.clients import CLOSE_MS, Clients
from daemon.kafka.member import Member, Notes
from daemon.kafka.offsets import Offsets
from daemon.kafka.reading import Reader
from daemon.kafka.settings import Options
from daemon.kafka.topics import Topics, partition_of
from daemon.ports import LaneId

LOOKS = 3  # an answer that was on its way before we asked knows nothing of our topics


@dataclass(frozen=True, slots=True, eq=False)
class Line:
    """The clients of one connection and what they know."""

    clients: Clients
    topics: Topics
    member: Member
    reader: Reader
    offsets: Offsets
    lookup_ms: int

    def end(self, lane: LaneId) -> int | None:
        """The last stable offset where it is the high watermark, too. Raises KafkaError.

        In this order: what is equal then was the end of everything when the second was asked.
        """
        partition = partition_of(lane)
        stable = self.clients.consumer.end_offsets([partition], self.lookup_ms)[partition]
        return int(stable) if stable == self.topics.high_watermark(lane) else None

    def first_times(self) -> dict[LaneId, int]:
        """Time in ms of the first record of each lane that has one. Raises KafkaError."""
        asked = {partition_of(info.lane): 0 for info in self.topics.lanes()}
        found = self.clients.consumer.offsets_for_times(asked)
        return {
            LaneId(tp.topic, tp.partition): int(at.timestamp)
            for tp, at in found.items()
            if at is not None
        }

    def hang_up(self) -> None:
        """Say what was processed, and leave; bounded."""
        self.offsets.finish(self.member.all(), CLOSE_MS)
        with suppress(KafkaError):
            self.clients.close()


def _learn(consumer: Any, options: Options) -> None:
    """The partitions, before the group asks for them; bounded.

    Whoever leads the group and knows of none yet gives lanes to nobody (kafka-python 3.0), and all
    would join once more.
    """
    cluster, client = consumer._cluster, options.client  # noqa: SLF001 # there is no public way
    for _ in range(LOOKS):
        if all(map(cluster.partitions_for_topic, options.kinds)):
            break
        with suppress(KafkaError):
            come = cluster.request_update()
            consumer._net.run(consumer._manager.wait_for, come, client.lookup_timeout_ms)  # noqa: SLF001


def subscribe(clients: Clients, topics: Topics, options: Options) -> Line:
    """Ask the group for lanes."""
    by_batches(clients.consumer)
    notes = Notes(clients.consumer)
    member = Member(clients.consumer, notes)
    reader = Reader(
        member,
        topics,
        wait_ms=options.client.poll_wait_ms,
        lookup_ms=options.client.lookup_timeout_ms,
        corrupt_limit=options.corrupt_limit,
    )
    clients.consumer.subscribe(list(options.kinds), listener=notes)
    _learn(clients.consumer, options)
    offsets = Offsets(clients.consumer, topics)
    return Line(clients, topics, member, reader, offsets, options.client.lookup_timeout_ms)

"""Committed offsets: advisory, never lower than before, and the way to learn of being fenced."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from kafka import OffsetAndMetadata
from kafka.errors import FencedInstanceIdError, KafkaError

from daemon.kafka.polling import fenced
from daemon.kafka.topics import Topics, partition_of
from daemon.ports import LaneId


class Offsets:
    """What was processed of each lane that is ours, sent when the loop polls, never waited for."""

    def __init__(self, consumer: Any, topics: Topics) -> None:
        self._consumer, self._topics = consumer, topics
        self._processed: dict[LaneId, int] = {}
        self._sent: dict[LaneId, int] = {}  # at least what the group has
        self._answer: Any = None

    def note(self, positions: dict[LaneId, int]) -> None:
        """Everything before these positions is done."""
        for lane, position in positions.items():
            self._processed[lane] = max(position, self._processed.get(lane, 0))

    def lose(self, lanes: Iterable[LaneId]) -> None:
        """Somebody else commits for them now."""
        for lane in lanes:
            self._processed.pop(lane, None)
            self._sent.pop(lane, None)

    def send(self, lanes: Iterable[LaneId]) -> None:
        """Commit for lanes that are ours, also what is unchanged. Raises KafkaError."""
        mine = [lane for lane in lanes if lane in self._processed]
        if new := [lane for lane in mine if lane not in self._sent]:
            self._sent |= self._topics.committed(new)
        if self._answer is None and mine:
            self._answer = self._consumer.commit_async(self._next(mine))

    def _next(self, lanes: Iterable[LaneId]) -> dict[Any, Any]:
        for lane in lanes:
            self._sent[lane] = max(self._processed[lane], self._sent.get(lane, 0))
        return {partition_of(lane): OffsetAndMetadata(self._sent[lane], "", -1) for lane in lanes}

    def heard(self) -> bool:
        """The group has answered a commit well since the last call. Raises Fatal when fenced.

        Of other errors nothing is made: in a rebalance commits fail, after a timeout nobody knows,
        and the next one carries the same or more.
        """
        if self._answer is None or not self._answer.is_done:
            return False
        error, self._answer = self._answer.exception, None
        if isinstance(error, FencedInstanceIdError):
            raise fenced()
        return error is None

    def finish(self, lanes: Iterable[LaneId], timeout_ms: int) -> None:
        """The last word before leaving, waited for so long."""
        mine = [lane for lane in lanes if lane in self._processed and lane in self._sent]
        if mine:
            with suppress(KafkaError):
                self._consumer.commit(self._next(mine), timeout_ms=timeout_ms)

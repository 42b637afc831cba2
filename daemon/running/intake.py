"""What lanes have been given and not yet taken: bounded queues between source and core."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from daemon.ports import Batch, LaneId, Polled, Source


def tail(batch: Batch, first: int) -> Batch | None:
    """What is left of a batch after its first rows; None when nothing is."""
    if first >= len(batch.values):
        return None
    return Batch(batch.lane, batch.positions[first:], batch.times_ms[first:], batch.values[first:])


@dataclass(slots=True, eq=False)
class Intake:
    """Queues by lane. A lane with enough in hand is paused, so memory stays bounded."""

    source: Source
    most_records: int  # per lane, before it is paused
    _queues: dict[LaneId, deque[Batch]] = field(default_factory=dict)
    _waiting: dict[LaneId, int] = field(default_factory=dict)
    _paused: set[LaneId] = field(default_factory=set)
    _reached: dict[LaneId, int] = field(default_factory=dict)

    def fill(self, limit: int) -> Polled:
        """Poll once; new batches wait in their lanes' queues."""
        polled = self.source.poll(limit)
        for lane in polled.lost:
            self._paused.discard(lane)  # the source knows it no more
            self.drop(lane)
        for batch in polled.batches:
            self._queues.setdefault(batch.lane, deque()).append(batch)
            waiting = self._waiting.get(batch.lane, 0) + len(batch.values)
            self._waiting[batch.lane] = waiting
            if waiting >= self.most_records and batch.lane not in self._paused:
                self._paused.add(batch.lane)
                self.source.pause(batch.lane)
        for hole in polled.holes:
            self._reached[hole.lane] = max(hole.end, self._reached.get(hole.lane, 0))
        for lane, position in polled.positions.items():
            self._reached[lane] = max(position, self._reached.get(lane, 0))
        return polled

    def reached(self, lane: LaneId) -> int | None:
        """Where a lane stands that has given out all it had: behind marks and holes of the log."""
        return None if self.head(lane) else self._reached.pop(lane, None)

    def head(self, lane: LaneId) -> Batch | None:
        """The next records of a lane, not taken yet."""
        queue = self._queues.get(lane)
        return queue[0] if queue else None

    def take(self, lane: LaneId, count: int) -> None:
        """The first `count` records of the head are on their way."""
        queue = self._queues[lane]
        rest = tail(queue[0], count)
        if rest is None:
            queue.popleft()
        else:
            queue[0] = rest
        self._waiting[lane] -= count
        if lane in self._paused and self._waiting[lane] < self.most_records:
            self._paused.discard(lane)
            self.source.resume(lane)

    def drop(self, lane: LaneId) -> None:
        """Forget what waits: the lane is lost, or is about to be sought."""
        self._queues.pop(lane, None)
        self._waiting.pop(lane, None)
        self._reached.pop(lane, None)
        if lane in self._paused:
            self._paused.discard(lane)
            self.source.resume(lane)

    def waiting(self) -> int:
        """Records in all queues."""
        return sum(self._waiting.values())

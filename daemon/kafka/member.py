"""Our part in a consumer group: which lanes are ours, and where each of them stands.

The client calls its listener on its own thread, and an eager rebalance takes all lanes away and
gives most of them back. So the listener notes facts and nothing more, and holds what it is given
at a standstill; what was gained and lost is told when the loop asks. A lane that one rebalance
takes and gives back is still ours: nobody else can have had it, and it goes on where it stood.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from kafka import ConsumerRebalanceListener
from kafka.errors import IllegalStateError

from daemon.kafka.queue import Queue
from daemon.kafka.topics import lane_of, partition_of
from daemon.ports import Batch, Hole, LaneId, Polled

GONE = (KeyError, ValueError, IllegalStateError)  # the client does not have the lane any more


class Fact(NamedTuple):
    """What the group did. `kind`: "revoked" | "lost" | "assigned"."""

    kind: str
    lanes: frozenset[LaneId]
    generation: int


class Notes(ConsumerRebalanceListener):  # type: ignore[misc] # the client ships no types
    """Runs on the client's thread, where nothing that waits for the network may be called."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._before: set[Any] = set()
        self.facts: deque[Fact] = deque()

    def _note(self, kind: str, partitions: Iterable[Any]) -> None:
        generation = self._consumer.group_metadata().generation_id
        self.facts.append(Fact(kind, frozenset(map(lane_of, partitions)), generation))

    def on_partitions_revoked(self, revoked: Iterable[Any]) -> None:
        # kafka-python 3.0 forgets that it is joining, and falls silent for ever, where it joins
        # because partitions were added and a poll ends between the answers to Join and Sync
        self._consumer._coordinator.request_rejoin()  # noqa: SLF001 # there is no public way
        self._note("revoked", revoked)

    def on_partitions_lost(self, lost: Iterable[Any]) -> None:
        self._before = set()
        self._note("lost", lost)

    def on_partitions_assigned(self, assigned: Iterable[Any]) -> None:
        """What is new waits at a position of ours, or the client would ask the group for one."""
        for partition in set(assigned) - self._before:
            self._consumer.seek(partition, 0)
            self._consumer.pause(partition)
        self._before = set(assigned)
        self._note("assigned", assigned)


@dataclass(slots=True)
class Held:
    """`position`: of the next record to give out; -1 before the first seek. `fetched`: where the
    client stands, behind what is queued.
    """

    position: int = -1
    fetched: int = -1
    paused: bool = False
    queue: Queue = field(default_factory=Queue)
    served: int = 0


@dataclass(slots=True, eq=False)
class Member:
    """`joined`: the group has given us lanes at least once. `stale`: lanes that the client goes on
    to read and that nobody has sought yet.
    """

    consumer: Any
    notes: Notes
    held: dict[LaneId, Held] = field(default_factory=dict)
    joined: bool = False
    stale: set[LaneId] = field(default_factory=set)
    _generation: int = -1
    _between: bool = True  # a rebalance has begun and not ended
    _turn: int = 0

    def changed(self) -> bool:
        """The group has acted, and `changes` was not asked yet."""
        return bool(self.notes.facts)

    def changes(self) -> tuple[tuple[LaneId, ...], tuple[LaneId, ...]]:
        """(gained, lost) since the last call. A lane may be both: its memory is worth nothing."""
        if not self.notes.facts:
            return (), ()
        before = set(self.held)
        lost: set[LaneId] = set()
        while self.notes.facts:
            fact = self.notes.facts.popleft()
            self._between = fact.kind != "assigned"
            if fact.kind == "lost":
                lost |= set(self.held)
            elif fact.kind == "assigned":
                # who was thrown out in between finds a generation that others have begun
                same = fact.generation <= self._generation + 1
                lost |= (set(self.held) - fact.lanes) if same else set(self.held)
                self.stale = set(self.held) & fact.lanes & lost
                self._generation = fact.generation
                self.joined = self.joined or bool(fact.lanes)
            for lane in lost:
                self.held.pop(lane, None)
            if fact.kind == "assigned":
                self.held |= {lane: Held() for lane in fact.lanes - set(self.held)}
        for lane, at in self.held.items():
            if at.position >= 0 and not self._between:
                self.seek(lane, at.position)
        gained = (set(self.held) - before) | (set(self.held) & lost)
        return tuple(sorted(gained)), tuple(sorted(lost & before))

    def all(self) -> tuple[LaneId, ...]:
        return tuple(sorted(self.held))

    def reading(self) -> list[LaneId]:
        """Lanes that may give out records now, those first that have waited longest."""
        if self._between:
            return []
        ready = [lane for lane, at in self.held.items() if at.position >= 0 and not at.paused]
        return sorted(ready, key=lambda lane: (self.held[lane].served, lane))

    def waiting(self) -> bool:
        """There is something to give out."""
        return any(self.held[lane].queue for lane in self.reading())

    def queued(self) -> int:
        """Records that could be given out now."""
        return sum(self.held[lane].queue.records() for lane in self.reading())

    def seek(self, lane: LaneId, position: int) -> None:
        """Nothing where the lane is not ours: whoever gains it seeks it."""
        if (at := self.held.get(lane)) is not None:
            at.position = position
            at.queue = Queue()
            self.jump(lane, position)
            if not at.paused:
                self.resume(lane)

    def jump(self, lane: LaneId, position: int) -> None:
        """The client goes on there; what is queued stays."""
        self.held[lane].fetched = position
        with suppress(*GONE):
            self.consumer.seek(partition_of(lane), position)

    def resume(self, lane: LaneId) -> None:
        if (at := self.held.get(lane)) is not None:
            at.paused = False
            if at.position >= 0:
                with suppress(*GONE):
                    self.consumer.resume(partition_of(lane))

    def add(self, records: Mapping[Any, list[Any]]) -> None:
        """Queue what was fetched of lanes that are sought."""
        for partition, rows in records.items():
            at = self.held.get(lane_of(partition))
            if at is not None and at.position >= 0 and rows:
                at.queue.add(lane_of(partition), rows)
                at.fetched = rows[-1].offset + 1

    def skip(self, hole: Hole) -> None:
        """Go on behind a hole; it is told of in its turn."""
        self.held[hole.lane].queue.holes.append(hole)
        self.jump(hole.lane, hole.end)

    def give(self, limit: int) -> Polled:
        """The next `limit` records of lanes that are ours, with the holes before them."""
        batches: list[Batch] = []
        holes: list[Hole] = []
        positions: dict[LaneId, int] = {}
        self._turn += 1
        for lane in self.reading():
            at = self.held[lane]
            for hole in at.queue.holes_before(at.position):
                holes.append(hole)
                at.position = hole.end
            while limit and (batch := at.queue.take(limit)) is not None:
                batches.append(batch)
                limit -= len(batch.values)
                at.position, at.served = int(batch.positions[-1]) + 1, self._turn
                if at.queue.holes:
                    break  # it may lie before the next record
            if not at.queue and at.fetched > at.position:
                positions[lane] = at.position = at.fetched
        return Polled(tuple(batches), (), (), tuple(holes), positions)

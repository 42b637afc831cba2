"""A source that reads Kafka live, as a member of a consumer group.

Each lane begins where it is sought, which is where its newest part ends: committed offsets are
for those who measure lag. Needs topics whose records the broker stamps (LogAppendTime).
"""

from __future__ import annotations

from kafka.errors import KafkaError

from daemon.clock import SystemClock
from daemon.kafka.connection import Connection
from daemon.kafka.line import Line
from daemon.kafka.polling import Broken
from daemon.kafka.settings import Options
from daemon.ports import Clock, Closing, LaneId, LaneInfo, Polled, Retry, Source

__all__ = ["KafkaSource", "Options", "build"]
STALE = 3  # of the longest time that an answer may take
QUIET_SECONDS = 1.0  # nobody is asked for an end again so soon after not answering


def build(options: Options) -> Source:
    """The source over the topics of `options`. Nothing is connected before `lanes` or `poll`."""
    return KafkaSource(options, SystemClock())


class KafkaSource:
    """Lanes are told of when the group gives or takes them. What it takes and gives back in one
    rebalance stays, and goes on where it stood.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._connection = Connection(options, clock)
        self._waited: Line | None = None  # whose first lanes were waited for
        self._untold: set[LaneId] = set()
        self._quiet_until = 0.0
        self._broken: Broken | None = None  # by a call between two polls

    @property
    def healthy_at(self) -> float:
        """When the cluster last answered well, on the monotonic clock."""
        return self._connection.healthy_at

    @property
    def trouble(self) -> str:
        """What is wrong since `healthy_at`, in a line without secrets; "" where nothing is.

        Also where no error tells of it: a broker that hangs keeps all calls waiting.
        """
        client = self._options.client
        patience_ms = STALE * max(client.request_timeout_ms, client.commit_interval_ms)
        silent = self._clock.monotonic() - self.healthy_at > patience_ms / 1000
        if self._connection.begun and silent and not self._connection.trouble:
            return "the cluster has not answered for a while"
        return self._connection.trouble

    @property
    def _line(self) -> Line | None:
        return self._connection.line

    def lanes(self) -> tuple[LaneInfo, ...]:
        """Every partition of every topic, ours or not, as last seen. Raises Fatal."""
        if not self._connection.begun:
            self._connection.begin()
        return self._connection.topics.lanes()

    def first_times(self) -> dict[LaneId, int]:
        """Time in ms of the first record of each lane that has one, ours or not. Raises Retry."""
        self.lanes()
        try:
            if self._line is not None:
                return self._line.first_times()
        except KafkaError as error:
            raise Retry("Kafka did not tell the first times") from error
        raise Retry("Kafka is away")

    def poll(self, limit: int) -> Polled:
        self.lanes()
        line = self._line or self._connection.again()
        if line is None:
            return Polled(())
        try:
            if self._broken is not None:
                raise self._broken
            self._connection.look_after(line)
            told = self._tell(line)
            if told.gained or told.lost:
                return told
            if self._waited is not line:
                return self._first_lanes(line)
            return self._read(line, limit)
        except Broken as error:
            lost = tuple(lane for lane in line.member.all() if lane not in self._untold)
            self._untold.clear()
            self._broken = None
            self._connection.broken(error)
            return Polled((), (), lost)

    def _read(self, line: Line, limit: int) -> Polled:
        if line.reader.fetch(limit):
            self._connection.well()
        if line.member.changed():
            return self._tell(line)
        return line.member.give(limit)

    def _tell(self, line: Line) -> Polled:
        """What the group has done; a lane is told of once the topics know its id."""
        topics = self._connection.topics
        gained, lost = line.member.changes()
        line.reader.hold_stale()
        line.offsets.lose(lost)
        lost = tuple(lane for lane in lost if lane not in self._untold)
        self._untold = (self._untold & set(line.member.all())) | set(gained)
        if not topics.known(self._untold):
            self._connection.look()
        told = tuple(sorted(lane for lane in self._untold if topics.known([lane])))
        self._untold.difference_update(told)
        return Polled((), told, lost)

    def _first_lanes(self, line: Line) -> Polled:
        """Whoever asks first wants to know what is ours: wait for the group, bounded."""
        deadline = self._clock.monotonic() + self._options.client.join_timeout_ms / 1000
        self._waited = line
        while not line.member.joined and self._clock.monotonic() < deadline:
            line.reader.fetch(1)
            told = self._tell(line)
            if told.gained:
                return told
        return Polled(())

    def seek(self, lane: LaneId, position: int) -> None:
        """A lane that is not ours is left alone: it is sought when it is gained."""
        if self._line is not None:
            self._line.member.seek(lane, position)
            self._line.offsets.note({lane: position})

    def pause(self, lane: LaneId) -> None:
        if self._line is not None:
            try:
                self._line.reader.pause(lane)
            except Broken as error:
                self._broken = error

    def resume(self, lane: LaneId) -> None:
        if self._line is not None:
            self._line.member.resume(lane)

    def end(self, lane: LaneId) -> int | None:
        """None also while nobody answers, and while a transaction is open."""
        if self._line is None or self._clock.monotonic() < self._quiet_until:
            return None
        try:
            return self._line.end(lane)
        except KafkaError:
            self._quiet_until = self._clock.monotonic() + QUIET_SECONDS
            return None

    def finished(self, lane: LaneId) -> bool:
        return False

    def closings(self, lane: LaneId) -> tuple[Closing, ...] | None:
        return None

    def commit(self, positions: dict[LaneId, int]) -> None:
        """Noted here; sent while polling, every few seconds."""
        if self._line is not None:
            self._line.offsets.note(positions)

    def close(self) -> None:
        self._connection.close()

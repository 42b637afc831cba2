"""One fetch, and what each error of it means: data, a hole in the data, or a client thrown away.

After an exception while a batch is unpacked, kafka-python 3.0 never returns from the next poll
unless the lane is sought to another place before. So every error here ends in a seek, in a new
client, or in the end of the process.
"""

from __future__ import annotations

import re
from contextlib import suppress

from kafka import errors

from daemon.kafka.member import GONE, Member
from daemon.kafka.polling import Broken, Records, cut, poll
from daemon.kafka.topics import Topics, lane_of, partition_of
from daemon.ports import EXIT_STATE, Fatal, Hole, LaneId

CORRUPT = re.compile(r"topic='([^']*)', partition=(\d+)\)")
STEPS = 64  # over corrupt records in one poll; each is a fetch
DRIVE_MS = 1  # lets the group act
FLUSHES = 64  # mostly one is enough
SILENT = 8  # fetches until a poll, while enough is queued


class Reader:
    """Fetches for one member of the group."""

    def __init__(
        self, member: Member, topics: Topics, *, wait_ms: int, lookup_ms: int, corrupt_limit: int
    ) -> None:
        self._member, self._topics = member, topics
        self._wait_ms, self._lookup_ms = wait_ms, lookup_ms
        self._corrupt_limit = corrupt_limit
        self._corrupt: dict[LaneId, int] = {}  # in a row
        self._silent = 0  # fetches since the last poll

    def fetch(self, limit: int) -> bool:
        """Queue up to `limit` records; waits a little for the first. True if the group or any
        record came. Raises Broken and Fatal.

        What waits to be given out is not waited for. Where that is `limit` records already, little
        more is fetched: the client gives whole batches, and in a long catch-up what it gave beyond
        the limit would pile up. The group is heard in any case.
        """
        room = limit - self._member.queued()
        self._silent += 1
        for _ in range(STEPS if room > 0 or self._silent >= SILENT else 0):
            self._silent = 0
            wait_ms = DRIVE_MS if self._member.waiting() else self._wait_ms
            if self._turn(wait_ms, max(1, room)) is not None:
                break
        return self._member.changed() or self._member.waiting()

    def pause(self, lane: LaneId) -> None:
        """The client fetches no more of the lane, and keeps nothing of it that it has half read.

        (It may never give that out again, and after an error in it poll would never return.) Sought
        to another place, it throws such things away as soon as it is polled; what it says of that
        other place is nothing to us. Raises Broken and Fatal.
        """
        at = self._member.held.get(lane)
        if at is None or at.paused:
            return
        at.paused = True
        if at.position >= 0 or lane in self._member.stale:
            back = max(at.fetched, 0)
            for away in range(1, FLUSHES + 1):
                self._member.jump(lane, back + away)
                if self._flushed(lane):
                    break
            else:
                raise Broken("a lane that does not stop")
            self._member.jump(lane, back)
        with suppress(*GONE):
            self._member.consumer.pause(partition_of(lane))

    def _flushed(self, lane: LaneId) -> bool:
        """One poll, from which nothing of the lane comes."""
        try:
            records = poll(self._member.consumer, 0, 1)
        except errors.CorruptRecordError as error:
            if _corrupt_lane(error) != lane:
                self._step(error)
            return False
        except errors.OffsetOutOfRangeError as error:
            if partition_of(lane) not in error.args[0]:
                self._out_of_range(error)
            return False
        came = records.pop(partition_of(lane), None)
        self._take(records)
        return came is None

    def hold_stale(self) -> None:
        """Lanes that came back to us over a generation wait to be sought."""
        for lane in sorted(self._member.stale):
            self.pause(lane)
            self._member.held[lane].paused = False
        self._member.stale.clear()

    def _turn(self, wait_ms: int, limit: int) -> bool | None:
        """One poll; None after a step over a corrupt record. Raises Broken and Fatal."""
        try:
            records = poll(self._member.consumer, wait_ms, limit)
        except errors.CorruptRecordError as error:
            self._step(error)
            return None
        except errors.OffsetOutOfRangeError as error:
            self._out_of_range(error)
            return False
        self._take(records)
        return bool(records)

    def _take(self, records: Records) -> None:
        for partition in records:
            self._corrupt.pop(lane_of(partition), None)
        if not self._member.changed():  # else it may be of lanes that were taken away
            self._member.add(records)
            self._advance()

    def _step(self, error: Exception) -> None:
        """Past one record. The client cannot say where the batch ends; its neighbours are whole."""
        lane = _corrupt_lane(error)
        at = self._member.held.get(lane) if lane else None
        if lane is None or at is None or at.position < 0:
            raise Broken("CorruptRecordError")
        position = at.fetched
        self._corrupt[lane] = self._corrupt.get(lane, 0) + 1
        if self._corrupt[lane] > self._corrupt_limit:
            raise Fatal(
                f"lane {lane} is corrupt from position {position - self._corrupt_limit} on, and "
                f"{self._corrupt_limit} records were passed over",
                code=EXIT_STATE,
                hint="restore the log, or raise source.options.corrupt_limit to lose more of it",
            )
        self._member.skip(Hole(lane, position, position + 1, "corrupt"))

    def _advance(self) -> None:
        """Lanes may stand beyond their last record: over markers and what was aborted."""
        for lane in self._member.reading():
            try:
                position = self._member.consumer.position(partition_of(lane), timeout_ms=0)
            except errors.LogTruncationError as error:
                raise cut(map(lane_of, error.divergent_offsets)) from None
            except errors.KafkaError:  # taken away just now, or a broker is away
                continue
            if position is not None:
                self._member.held[lane].fetched = position

    def _out_of_range(self, error: Exception) -> None:
        """Where retention was faster than we are, the lane goes on at what is left.

        Raises Fatal where the log ends before our position: it is not the log that we have read.
        """
        for partition, position in dict(error.args[0]).items():
            lane = lane_of(partition)
            at = self._member.held.get(lane)
            if at is None or at.position < 0 or at.fetched != position:
                continue  # nobody reads there any more
            consumer = self._member.consumer
            try:
                first = consumer.beginning_offsets([partition], self._lookup_ms)[partition]
            except errors.RetriableError:
                continue  # the same error comes again
            if first <= position:
                with suppress(errors.KafkaError):
                    self._topics.look()
                raise cut([lane])
            self._member.skip(Hole(lane, position, first, "retention"))


def _corrupt_lane(error: Exception) -> LaneId | None:
    """The client names it in a message only."""
    match = CORRUPT.search(str(error))
    return LaneId(match[1], int(match[2])) if match else None

"""Reads ranges of lanes beside those who run: a client that is given lanes and joins no group."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import Any, Self

import msgspec
import numpy as np
from kafka import errors
from kafka.errors import KafkaError

from daemon.kafka.clients import Clients, start
from daemon.kafka.diagnosis import Witness
from daemon.kafka.settings import Options
from daemon.kafka.topics import Topics, lane_of, partition_of
from daemon.ports import EXIT_DEPENDENCY, EXIT_STATE, Batch, Clock, Fatal, LaneId, LaneInfo

GROUP = "sluice-record"  # never joined; the client wants a name
LIMIT = 5_000  # records of one fetch
WAIT_MS, TIMES_MS = 100, 10_000


class Extract:
    """A context. Sees what a live source sees: committed records alone, none with a wrong checksum.

    `lanes`: every partition of the source's topics with its first offset.
    """

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options = msgspec.structs.replace(options, group=GROUP, instance=None)
        self._clock = clock
        self._witness = Witness()
        self._topics = Topics(self._options)
        self._clients: Clients | None = None

    def __enter__(self) -> Self:
        """Raises Fatal where the cluster cannot be reached or a topic is not there."""
        with ExitStack() as opened:
            opened.enter_context(self._witness)
            self._clients = start(self._options, self._witness, self._topics, self._clock)
            opened.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if self._clients is not None:
            self._clients.close()
        self._witness.__exit__()

    @property
    def lanes(self) -> tuple[LaneInfo, ...]:
        return self._topics.lanes()

    @property
    def _consumer(self) -> Any:
        assert self._clients is not None, "a context"
        return self._clients.consumer

    def ends(self) -> dict[LaneId, int]:
        """Where each lane ends for a reader of committed records. Raises Fatal."""
        asked = [partition_of(info.lane) for info in self.lanes]
        try:
            found = self._consumer.end_offsets(asked, TIMES_MS)
        except KafkaError as error:
            raise self._away("tell the ends of its topics", None, error) from None
        return {lane_of(partition): int(end) for partition, end in found.items()}

    def at(self, time_ms: int) -> dict[LaneId, int | None]:
        """The first offset with an append time of at least this; None: there is none."""
        asked = {partition_of(info.lane): time_ms for info in self.lanes}
        try:
            found = self._consumer.offsets_for_times(asked)
        except KafkaError as error:
            raise self._away("find records by time", None, error) from None
        return {lane_of(tp): None if at is None else int(at.offset) for tp, at in found.items()}

    def read(self, lane: LaneId, first: int, end: int) -> Iterator[Batch]:
        """Records of the lane in [first, end). Raises Fatal, also where the log has lost some."""
        consumer, partition = self._consumer, partition_of(lane)
        consumer.assign([partition])
        consumer.seek(partition, first)
        at = first
        patience = self._options.client.away_timeout_ms / 1000
        deadline = self._clock.monotonic() + patience
        while at < end:
            rows = self._poll(lane, at)
            last = rows[-1].offset + 1 if rows else at
            with suppress(KafkaError):  # over markers, and what was aborted or compacted
                last = max(last, consumer.position(partition, timeout_ms=0) or 0)
            if rows := [row for row in rows if at <= row.offset < end]:
                yield _batch(lane, rows)
            if last > at:
                at, deadline = last, self._clock.monotonic() + patience
            elif self._clock.monotonic() > deadline:
                raise self._away("give out the records of", lane, None)

    def _poll(self, lane: LaneId, at: int) -> list[Any]:
        consumer, partition = self._consumer, partition_of(lane)
        try:
            rows: list[Any] = consumer.poll(WAIT_MS, max_records=LIMIT).get(partition, [])
        except errors.CorruptRecordError:
            consumer.seek(partition, at + 1)  # a live source passes over it, too
            return []
        except errors.OffsetOutOfRangeError:
            raise Fatal(
                f"the log of {lane} has no position {at} any more",
                code=EXIT_STATE,
                hint="its retention took it: --from a later time",
            ) from None
        except errors.RetriableError:
            return []
        except (errors.KafkaError, ValueError, OSError, RuntimeError) as error:
            raise self._away("give out the records of", lane, error) from None
        return rows

    def _away(self, what: str, lane: LaneId | None, error: Exception | None) -> Fatal:
        cause = self._witness.cause()
        why = cause.text if cause else type(error).__name__ if error else "it is silent"
        of = f" {lane}" if lane else ""
        return Fatal(
            f"Kafka did not {what}{of}: {why}", code=EXIT_DEPENDENCY, hint="try again when it does"
        )


def _batch(lane: LaneId, rows: list[Any]) -> Batch:
    return Batch(
        lane,
        np.array([row.offset for row in rows], np.int64),
        np.array([row.timestamp for row in rows], np.int64),
        [row.value for row in rows],
    )

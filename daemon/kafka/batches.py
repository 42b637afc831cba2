"""Records read a batch at a time: columns of a whole batch instead of an object for each record.

kafka-python makes nine calls and three objects of each record, which costs more than decoding,
scoring and weighing it. Here what its consumer hands out for a batch is one row whose value is
`Columns`. All that decides which batches are read stays the client's: checksums, transactions,
marks and positions. A batch that cannot be read like this (the old formats, or records that do not
fit their lengths) is left to the client, record by record, with its own errors.

The format is KIP-98's: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from kafka.consumer.fetcher import Fetcher
from kafka.record.default_records import DefaultRecordBatch

from daemon.ports import Int64s

FEW = 16  # records of a batch that are read faster one by one


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Records of one batch, positions ascending."""

    positions: Int64s
    times_ms: Int64s
    values: list[bytes | None]

    def __len__(self) -> int:
        """How many records there are."""
        return len(self.positions)


class Row(NamedTuple):
    """A batch in place of a record, as the client asks it. `offset`: of its last record."""

    offset: int
    timestamp: int
    timestamp_type: int
    value: Columns
    size_in_bytes: int
    key: None = None
    headers: tuple[()] = ()
    checksum: None = None

    def validate_crc(self) -> bool:
        """The batch's was looked at."""
        return True


class Whole:
    """A batch of the client that is gone through as one row."""

    def __init__(self, batch: DefaultRecordBatch, first: int) -> None:
        self._batch, self._first = batch, first

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def __iter__(self) -> Iterator[Any]:
        batch = iter(self._batch)  # decompresses; its errors are the client's
        if batch.records_count < FEW:
            yield from batch
            return
        try:
            columns = read(batch, self._first)
        except (IndexError, ValueError):
            yield from batch
            return
        if len(columns):
            last, time_ms = int(columns.positions[-1]), int(columns.times_ms[-1])
            yield Row(last, time_ms, batch.timestamp_type, columns, batch.size_in_bytes)


class Batches:
    """Batches of one fetch. `first`: positions below it were not asked for."""

    def __init__(self, records: Any, first: int) -> None:
        self._records, self._first = records, first

    def next_batch(self) -> Any:
        batch = self._records.next_batch()
        if isinstance(batch, DefaultRecordBatch) and not batch.is_control_batch:
            return Whole(batch, self._first)
        return batch


class Taken:
    """Rows that know how many records they hold: the client counts by it."""

    def __init__(self, rows: list[Any]) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows)

    def __len__(self) -> int:
        return sum(len(r.value) if isinstance(r.value, Columns) else 1 for r in self._rows)


class BatchRecords(Fetcher.PartitionRecords):  # type: ignore[misc] # the client ships no types
    """What was fetched of one partition. Takes whole batches, so perhaps more than was asked."""

    def __init__(self, fetch_offset: int, partition: Any, records: Any, **given: Any) -> None:
        super().__init__(fetch_offset, partition, Batches(records, fetch_offset), **given)

    def take(self, n: int | None = None) -> Taken:
        """The next batch, whatever `n`: the client asks again while it wants more."""
        return Taken(super().take(1))


def by_batches(consumer: Any) -> None:
    """The consumer hands out batches from now on."""
    consumer._fetcher.PartitionRecords = BatchRecords  # noqa: SLF001 # there is no public way


def read(batch: Any, first: int) -> Columns:
    """Records from position `first` on of a batch that is decompressed.

    Raises IndexError and ValueError where records do not fit their lengths.
    """
    data, at = bytes(batch._buffer), batch._pos  # noqa: SLF001
    begins, ends = [], []
    for _ in range(batch.records_count):
        size, at = _number(data, at)
        begins.append(at)
        at += size
        ends.append(at + min(0, size))
    if at != len(data):
        raise ValueError("bytes behind the last record")
    raw, until = np.frombuffer(data, np.uint8), np.array(ends, np.int64)
    since_ms, place = _numbers(raw, np.array(begins, np.int64) + 1)  # behind the attributes
    delta, place = _numbers(raw, place)
    keys, place = _numbers(raw, place)
    sizes, place = _numbers(raw, place + np.maximum(keys, 0))
    stops = place + np.maximum(sizes, 0)
    # the number of headers comes behind, and then they; nobody asks for them
    if (stops >= until).any() or ((raw[stops] == 0) & (stops + 1 < until)).any():
        raise ValueError("a record does not fit its length")
    positions = batch.base_offset + delta
    asked = np.flatnonzero(positions >= first)
    if batch.timestamp_type == DefaultRecordBatch.LOG_APPEND_TIME:
        times_ms = np.full(len(delta), batch.max_timestamp, np.int64)
    else:
        times_ms = batch.first_timestamp + since_ms
    cuts = (column[asked].tolist() for column in (sizes, place, stops))
    values = [data[a:b] if size >= 0 else None for size, a, b in zip(*cuts, strict=True)]
    return Columns(positions[asked], times_ms[asked], values)


def _number(data: bytes, at: int) -> tuple[int, int]:
    """The zigzag varint there, and where it ends."""
    byte = data[at]
    found, shift = byte & 0x7F, 7
    while byte > 0x7F:
        at += 1
        byte = data[at]
        found |= (byte & 0x7F) << shift
        shift += 7
    return (found >> 1) ^ -(found & 1), at + 1


def _numbers(raw: npt.NDArray[np.uint8], at: Int64s) -> tuple[Int64s, Int64s]:
    """The zigzag varints at these places, and where they end. Raises IndexError."""
    byte = raw[at]
    found, at = (byte & 0x7F).astype(np.int64), at + 1
    rows, shift = np.flatnonzero(byte > 0x7F), 7
    while len(rows):
        byte = raw[at[rows]]
        found[rows] |= (byte & 0x7F).astype(np.int64) << shift
        at[rows] += 1
        rows, shift = rows[byte > 0x7F], shift + 7
        if shift > 63 and len(rows):
            raise ValueError("no number of 64 bits")
    return (found >> 1) ^ -(found & 1), at

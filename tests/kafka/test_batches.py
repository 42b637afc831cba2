"""Batches read as columns hold what the client reads record by record, and fail as it does."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.memory_records import MemoryRecords, MemoryRecordsBuilder

from daemon.kafka.batches import FEW, BatchRecords, Columns
from daemon.kafka.batches import read as read_batch
from daemon.ports import LaneId
from tests.kafka import segment
from tests.kafka.broker import Broker
from tests.kafka.follower import Follower, values, whole

LANE = TopicPartition("said", 3)
CODECS = (0, 1, 2, 3, 4)  # none, gzip, snappy, lz4, zstd
Said = tuple[int, int, bytes | None]  # position, time, value
Written = tuple[int, int, bytes | None, bytes | None, list[tuple[str, bytes | None]]]

small = st.none() | st.binary(max_size=40)
record = st.tuples(
    st.integers(1, 300),  # positions apart
    st.integers(-(2**40), 2**41),  # time in ms
    small,
    st.none() | st.binary(max_size=20_000),
    st.lists(st.tuples(st.text(max_size=5), small), max_size=3),
)
few = st.lists(record, min_size=1, max_size=4)
whole_ones = st.lists(record, min_size=4, max_size=8).map(lambda rows: rows * (FEW // 4))
batches = st.lists(few | whole_ones, min_size=1, max_size=4)


def write(rows: list[Written], first: int, codec: int = 0) -> bytes:
    """One batch from position `first` on."""
    builder = MemoryRecordsBuilder(2, codec, 1 << 24, offset=first)
    for apart, time_ms, key, value, headers in rows:
        builder.skip(apart - 1)
        assert builder.append(time_ms, key, value, headers) is not None
    builder.close()
    data = bytearray(builder.buffer())
    data[:8] = first.to_bytes(8, "big")  # as a broker writes it
    return bytes(data)


def log_of(written: list[list[Written]], codec: int) -> bytes:
    data, at = b"", 0
    for rows in written:
        data += write(rows, at, codec)
        at += sum(row[0] for row in rows)
    return data


def read(fetched: Any, step: int | None) -> Iterator[Said]:
    """What comes of a fetch."""
    while fetched and (rows := fetched.take(step)):
        for row in rows:
            if isinstance(columns := row.value, Columns):
                positions, times_ms = columns.positions.tolist(), columns.times_ms.tolist()
                yield from zip(positions, times_ms, columns.values, strict=True)
            else:
                yield row.offset, row.timestamp, row.value


@given(batches, st.sampled_from(CODECS), st.integers(0, 900))
def test_columns_hold_what_the_client_reads(
    written: list[list[Written]], codec: int, first: int
) -> None:
    found = []
    for kind in (BatchRecords, Fetcher.PartitionRecords):
        records = MemoryRecords(log_of(written, codec))
        fetched = kind(first, LANE, records, isolation_level=IsolationLevel.READ_COMMITTED)
        found.append([*read(fetched, 3), fetched.next_fetch_offset])
    assert found[0] == found[1]


def to_the_error(kind: Any, data: bytes) -> tuple[list[Said], str]:
    """What came, and the error that it ended with. Nobody looks at the checksum."""
    found: list[Said] = []
    try:
        for row in read(kind(0, LANE, MemoryRecords(data), check_crcs=False), 1):
            found.append(row)  # noqa: PERF402 # what came before the error counts
    except CorruptRecordError as error:
        return found, str(error)
    return found, ""


@pytest.mark.parametrize("seed", range(60))
def test_a_batch_that_does_not_fit_its_lengths_fails_as_the_clients_own(seed: int) -> None:
    chance = random.Random(seed)
    rows: list[Written] = [(1, n, b"k", b"v" * n, [("h", None)]) for n in range(2 * FEW)]
    data = bytearray(write(rows, 0))
    for _ in range(chance.randint(1, 3)):
        data[chance.randrange(61, len(data))] = chance.randrange(256)
    found, error = to_the_error(BatchRecords, bytes(data))
    expected, theirs = to_the_error(Fetcher.PartitionRecords, bytes(data))
    # headers are passed over unread, and attributes are one byte: damage there is none to us
    possible = [row for row in expected if row[0] >= 0]
    more = not error and len(found) >= len(possible)
    assert (found, error) == (expected, theirs) or more


def test_live_lanes_give_batches_whole_and_stop_at_damage(
    broker: Broker, follow: Callable[..., Follower], monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []

    def counted(batch: Any, first: int) -> Columns:
        counts.append(batch.records_count)
        return read_batch(batch, first)

    monkeypatch.setattr("daemon.kafka.batches.read", counted)
    topic = broker.topic()
    broker.batch(topic, [(value, 1_000 * n) for n, value in enumerate(values(50))], "lz4")
    broker.batch(topic, values(7, 50))
    broker.batch(topic, values(30, 57), "zstd")
    segment.damage(broker, topic, 50)
    follower = follow(topic, durable={LaneId(topic, 0): 20})
    rows = follower.read(LaneId(topic, 0), 60)
    assert rows == [*whole(30, 20), *whole(30, 57)]
    assert {50, 30} <= set(counts), "the client reads them so no more"
    assert len(set(follower.times[LaneId(topic, 0)][:30])) == 1, "the broker stamps a batch"
    assert [hole[1:3] for hole in follower.holes] == [(n, n + 1) for n in range(50, 57)]


def test_the_client_has_what_is_taken_from_it() -> None:
    """Names that are not public: a new version of the client may have others."""
    made: Any = BatchRecords(0, LANE, MemoryRecords(write([(1, 5, None, b"a", [])] * FEW, 0)))
    taken = made.take(10)
    (row,) = taken
    assert (row.offset, row.timestamp, len(row.value), len(taken)) == (FEW - 1, 5, FEW, FEW)
    assert len(made.take(10)) == 0 and made.next_fetch_offset == FEW and not made

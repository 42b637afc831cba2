"""What a source on a real broker gives out: every record once, in order, and where lanes stand."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from kafka import KafkaProducer
from kafka.errors import UnsupportedCodecError

from daemon.ports import EXIT_DEPENDENCY, Fatal, LaneId
from tests.kafka import segment
from tests.kafka.broker import CLIENT, Broker, unique
from tests.kafka.follower import Follower, values, whole

Follow = Callable[..., Follower]


def test_lanes_of_all_topics_with_their_ids(broker: Broker, follow: Follow) -> None:
    said, labels = broker.topic("said", 2), broker.topic("labels")
    infos = follow(said, labels=(labels,)).source.lanes()
    assert [(i.lane, i.kind, i.start) for i in infos] == [
        (LaneId(said, 0), "utterances", 0),
        (LaneId(said, 1), "utterances", 0),
        (LaneId(labels, 0), "labels", 0),
    ]
    ids = {topic["name"]: str(topic["topic_id"]) for topic in broker.admin.describe_topics()}
    assert [info.topic_id for info in infos] == [ids[said], ids[said], ids[labels]]


def test_the_first_answer_says_what_is_ours_and_nothing_comes_unsought(
    broker: Broker, follow: Follow
) -> None:
    said, labels = broker.topic("said", 2), broker.topic("labels")
    broker.produce(said, values(3))
    broker.produce(said, values(3), 1)
    source = follow(said, labels=(labels,)).source
    polled = source.poll(10)
    assert polled.gained == (LaneId(labels, 0), LaneId(said, 0), LaneId(said, 1))
    source.seek(LaneId(said, 1), 1)
    source.resume(LaneId(said, 0))  # not sought: it stays silent
    seen: list[tuple[LaneId, list[int]]] = []
    while not seen:
        seen += [(b.lane, b.positions.tolist()) for b in source.poll(10).batches]
    assert seen == [(LaneId(said, 1), [1, 2])]
    assert [source.poll(10).batches for _ in range(5)] == [()] * 5


def test_every_record_comes_once_and_never_more_than_asked_for(
    broker: Broker, follow: Follow
) -> None:
    said = broker.topic("said", 2)
    for partition in (0, 1):
        broker.produce(said, values(100), partition)
    broker.produce(said, [None], 1)
    follower = follow(said)
    most = 0
    while sum(map(len, follower.rows.values())) < 201:
        most = max(most, sum(len(batch.values) for batch in follower.poll(7).batches))
    assert most <= 7
    assert follower.rows == {
        LaneId(said, 0): whole(100),
        LaneId(said, 1): [*whole(100), (100, None)],
    }


def test_in_a_long_catch_up_next_to_nothing_piles_up(broker: Broker, follow: Follow) -> None:
    """The client gives whole batches, so more comes than was asked for: then less is asked for."""
    said = broker.topic("said", 2)
    for partition in (0, 1):
        broker.produce(said, values(10_000), partition)
    follower = follow(said)
    most = 0
    while sum(map(len, follower.rows.values())) < 20_000:
        assert sum(len(batch.values) for batch in follower.poll(200).batches) <= 200
        held = follower.source._line.member.held.values()
        most = max(most, sum(at.queue.records() for at in held))
    assert 0 < most < 3_000  # some batches of the client
    assert all(rows == whole(10_000) for rows in follower.rows.values())


def test_what_was_fetched_of_a_paused_lane_is_held(broker: Broker, follow: Follow) -> None:
    said = broker.topic("said", 2)
    first, second = LaneId(said, 0), LaneId(said, 1)
    broker.produce(said, values(50))
    follower = follow(said)
    follower.stand(first, second)
    follower.until(lambda: bool(follower.poll(3).batches))
    follower.source.pause(first)
    count = len(follower.rows[first])
    broker.produce(said, values(50), 1)
    follower.read(second, 50)
    assert len(follower.rows[first]) == count < 50
    follower.source.resume(first)
    assert follower.read(first, 50) == whole(50)


def test_a_seek_while_paused_stays_paused(broker: Broker, follow: Follow) -> None:
    said = broker.topic("said", 2)
    first, second = LaneId(said, 0), LaneId(said, 1)
    for partition in (0, 1):
        broker.produce(said, values(9), partition)
    follower = follow(said)
    follower.stand(first, second)
    follower.source.pause(first)
    follower.source.seek(first, 4)
    follower.rows[first], follower.positions[first] = [], 4
    follower.read(second, 9)
    assert follower.rows[first] == []
    follower.source.resume(first)
    assert follower.read(first, 5) == whole(5, 4)


def test_times_are_those_of_the_log(broker: Broker, follow: Follow) -> None:
    said = broker.topic("said", message_timestamp_type="CreateTime")
    broker.produce(said, [(b"0", 2_000), (b"1", 1_000), (b"2", 3_000)])
    lane = LaneId(said, 0)
    follower = follow(said, allow_create_time=True)
    follower.read(lane, 3)
    assert follower.times[lane] == [2_000, 1_000, 3_000]
    assert follower.source.first_times() == {lane: 2_000}


def test_first_times_of_lanes_that_have_records(broker: Broker, follow: Follow) -> None:
    said = broker.topic("said", 2)
    broker.produce(said, values(3), 1)
    follower = follow(said)
    times = follower.source.first_times()  # before the group has given us anything
    lane = LaneId(said, 1)
    follower.read(lane, 3)
    assert times == {lane: follower.times[lane][0]}


@pytest.fixture
def writer(broker: Broker) -> Iterator[KafkaProducer]:
    """A producer of transactions."""
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, transactional_id=unique("writer"), **CLIENT
    )
    producer.init_transactions()
    yield producer
    producer.close()


def write(producer: KafkaProducer, topic: str, count: int, *, keep: bool) -> None:
    producer.begin_transaction()
    for value in values(count):
        producer.send(topic, value, partition=0)
    producer.flush()  # or an abort would forget what was never sent
    (producer.commit_transaction if keep else producer.abort_transaction)()


def test_a_lane_stands_at_its_end_over_markers_and_what_was_aborted(
    broker: Broker, follow: Follow, writer: KafkaProducer
) -> None:
    said = broker.topic()
    for count, keep in ((3, True), (4, False), (2, True), (3, False)):
        write(writer, said, count, keep=keep)
    lane = LaneId(said, 0)
    follower = follow(said)
    rows = follower.read(lane, 5)
    assert [position for position, _ in rows] == [0, 1, 2, 9, 10]
    follower.until(lambda: follower.positions[lane] == 16)
    assert follower.source.end(lane) == 16


def test_an_open_transaction_hides_the_end(
    broker: Broker, follow: Follow, writer: KafkaProducer
) -> None:
    said = broker.topic()
    broker.produce(said, values(2))
    lane = LaneId(said, 0)
    follower = follow(said)
    follower.read(lane, 2)
    assert follower.source.end(lane) == 2
    writer.begin_transaction()
    writer.send(said, b"open", partition=0)
    writer.flush()
    broker.produce(said, values(3))
    assert follower.source.end(lane) is None
    writer.commit_transaction()
    assert [p for p, _ in follower.read(lane, 6)] == [0, 1, 2, 3, 4, 5]
    follower.until(lambda: follower.positions[lane] == 7)
    assert follower.source.end(lane) == 7


def test_an_idle_lane_has_an_end_and_never_finishes(broker: Broker, follow: Follow) -> None:
    said = broker.topic()
    lane = LaneId(said, 0)
    source = follow(said).source
    source.poll(1)
    assert (source.end(lane), source.finished(lane), source.closings(lane)) == (0, False, None)
    assert source.end(LaneId(said, 5)) is None


@pytest.mark.parametrize("codec", ["gzip", "lz4", "snappy", "zstd"])
def test_every_compression_is_read(broker: Broker, follow: Follow, codec: str) -> None:
    said = broker.topic()
    broker.batch(said, values(500), codec)
    assert [(b.last, b.codec) for b in segment.batches(broker, said)] == [(499, codec)]
    assert follow(said).read(LaneId(said, 0), 500) == whole(500)


def test_a_compression_without_its_library_ends_the_process(
    broker: Broker, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = broker.topic()
    broker.batch(said, values(500), "zstd")
    follower = follow(said)
    follower.stand(LaneId(said, 0))
    monkeypatch.setattr("kafka.codec.zstd", None)
    with pytest.raises(Fatal, match="cannot read") as caught:
        follower.until(lambda: False)
    assert caught.value.code == EXIT_DEPENDENCY
    assert isinstance(caught.value.__cause__, UnsupportedCodecError)


def test_the_libraries_of_all_compressions_are_missed_at_the_start(
    broker: Broker, follow: Follow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("daemon.kafka.clients.LIBRARIES", ("crc32c", "no_such_codec"))
    with pytest.raises(Fatal, match="not installed: no_such_codec") as caught:
        follow(broker.topic()).source.lanes()
    assert caught.value.code == EXIT_DEPENDENCY

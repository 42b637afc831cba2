"""The Kafka outlet when its broker dies, stands still, or does not want what it is given."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from daemon.kafka.security import Security
from daemon.outlets.kafka import KafkaOutlet, Options, build
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Fatal, Message, Retry
from tests.kafka.broker import CLIENT, Broker, free_port, unique
from tests.kafka.follower import DEADLINE_SECONDS

Open = Callable[..., KafkaOutlet]


@pytest.fixture
def outlet() -> Iterator[Open]:
    """Makes outlets with little patience."""
    made: list[KafkaOutlet] = []

    def make(broker: Broker | str, topic: str, **options: Any) -> KafkaOutlet:
        address = broker if isinstance(broker, str) else broker.bootstrap
        given = {"bootstrap": (address,), "topic": topic, "timeout_ms": 2_000} | options
        opened = build(Options(**given))
        assert isinstance(opened, KafkaOutlet)
        made.append(opened)
        return opened

    yield make
    for opened in made:
        opened.close()


def keys(broker: Broker, topic: str) -> list[bytes]:
    """Of everything that is in the topic, in order."""
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, **CLIENT)
    partition = TopicPartition(topic, 0)
    consumer.assign([partition])
    consumer.seek_to_beginning(partition)
    end = consumer.end_offsets([partition])[partition]
    found: list[bytes] = []
    while consumer.position(partition) < end:
        found += [row.key for row in consumer.poll(1_000).get(partition, [])]
    consumer.close()
    return found


def told(first: int, end: int) -> list[Message]:
    return [Message(b"%03d" % number, (("n", b"1"),), b"") for number in range(first, end)]


def send(outlet: KafkaOutlet, messages: list[Message]) -> None:
    for message in messages:
        outlet.send(message)


def until_flushed(outlet: KafkaOutlet, messages: list[Message]) -> int:
    """As a lane that is read again: everything once more, until it is acknowledged."""
    deadline, retries = time.monotonic() + DEADLINE_SECONDS, 0
    while True:
        send(outlet, messages)
        try:
            outlet.flush()
        except Retry:
            assert time.monotonic() < deadline
            retries += 1
        else:
            return retries


def test_a_killed_broker_loses_nothing_that_was_flushed_and_nothing_that_is_sent_again(
    private: Callable[..., Broker], outlet: Open
) -> None:
    broker = private()
    topic = broker.topic("told")
    outlets = outlet(broker, topic)
    send(outlets, told(0, 10))
    outlets.flush()
    broker.kill()
    send(outlets, told(10, 20))
    with pytest.raises(Retry, match=topic):
        outlets.flush()
    broker.start()
    until_flushed(outlets, [])  # the way is open again
    assert keys(broker, topic) == [m.key for m in told(0, 10)], "nothing was remembered"
    until_flushed(outlets, told(10, 20))
    assert keys(broker, topic) == [m.key for m in told(0, 20)]


def test_a_broker_that_stands_still_is_waited_for_briefly_and_may_have_taken_it(
    private: Callable[..., Broker], outlet: Open
) -> None:
    broker = private()
    topic = broker.topic("told")
    outlets = outlet(broker, topic, timeout_ms=1_000)
    send(outlets, told(0, 5))
    outlets.flush()
    broker.freeze()
    send(outlets, told(5, 9))
    with pytest.raises(Retry):
        outlets.flush()
    broker.thaw()
    until_flushed(outlets, told(5, 9))
    found = Counter(keys(broker, topic))
    assert set(found) == {m.key for m in told(0, 9)}, "at least once"
    assert all(found[m.key] == 1 for m in told(0, 5)), "what was acknowledged is not sent again"


def test_a_broker_that_is_not_there_yet_is_tried_again(
    private: Callable[..., Broker], outlet: Open
) -> None:
    nobody = outlet(f"127.0.0.1:{free_port()}", "told")
    with pytest.raises(Retry, match="nobody listens"):
        nobody.flush()


@pytest.mark.parametrize("messages", [0, 1])
def test_a_topic_that_is_missing_ends_the_process_at_the_start(
    broker: Broker, outlet: Open, messages: int
) -> None:
    name = unique("missing")
    outlets = outlet(broker, name)
    send(outlets, told(0, messages))
    with pytest.raises(Fatal, match=f"there is no topic {name}. create it") as caught:
        outlets.flush()
    assert caught.value.code == EXIT_CONFIG
    assert name not in broker.admin.list_topics(), "our asking for it did not make it"


def test_a_topic_that_goes_later_may_come_back(broker: Broker, outlet: Open) -> None:
    topic = broker.topic("told")
    outlets = outlet(broker, topic, timeout_ms=1_000)
    send(outlets, told(0, 1))
    outlets.flush()
    broker.admin.delete_topics([topic])
    for _ in range(2):  # of the producer that is open, and of the next one
        send(outlets, told(1, 2))
        with pytest.raises(Retry):
            outlets.flush()
    broker.create(topic)
    until_flushed(outlets, told(1, 2))
    assert keys(broker, topic) == [b"001"]


def test_what_can_never_be_sent_ends_the_process(broker: Broker, outlet: Open) -> None:
    topic = broker.topic("told", max_message_bytes=2_000)
    large = Message(b"k", (), bytes(range(256)) * 20)
    for options in ({"message_bytes": 1_024}, {}):  # by ours, and by the topic's own limit
        outlets = outlet(broker, topic, **options)
        outlets.send(large)
        with pytest.raises(Fatal, match=rf"too large for topic {topic}\. raise max") as caught:
            outlets.flush()
        assert caught.value.code == EXIT_STATE
        outlets.send(told(0, 1)[0])
        outlets.flush()


def test_the_real_cause_is_named_at_the_start(broker: Broker, outlet: Open) -> None:
    encrypted = outlet(broker, broker.topic(), security=Security(protocol="SSL"))
    with pytest.raises(Fatal, match="does not speak TLS") as caught:
        encrypted.flush()
    assert caught.value.code == EXIT_CONFIG


def test_messages_of_one_key_stay_together(broker: Broker, outlet: Open) -> None:
    topic = broker.topic("told", 3)
    outlets = outlet(broker, topic)
    for _ in range(3):
        send(outlets, told(0, 30))
        outlets.flush()
    consumer = KafkaConsumer(bootstrap_servers=broker.bootstrap, **CLIENT)
    partitions = [TopicPartition(topic, number) for number in range(3)]
    consumer.assign(partitions)
    consumer.seek_to_beginning(*partitions)
    places: dict[bytes, set[int]] = {}
    seen = 0
    while seen < 90:
        for partition, rows in consumer.poll(1_000).items():
            seen += len(rows)
            for row in rows:
                places.setdefault(row.key, set()).add(partition.partition)
    consumer.close()
    assert all(len(where) == 1 for where in places.values())
    assert len(set.union(*places.values())) == 3

"""What every kind of outlet must do. One suite; the folder says which kinds there are."""

from __future__ import annotations

import base64
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kafka import KafkaConsumer, TopicPartition

from daemon.ports import Message, Outlet
from scoring.kinds import load, names
from tests.kafka.broker import CLIENT, Broker

KINDS = names("daemon.outlets")
TOPIC = "told"


class Files:
    """Each place is a file."""

    def __init__(self, base: Path) -> None:
        self._base = base

    def place(self) -> str:
        return str(Path(tempfile.mkdtemp(dir=self._base)) / "told.jsonl")

    def open(self, place: str, **options: Any) -> Outlet:
        outlet = load("daemon.outlets", "file", {"path": place} | options)
        assert hasattr(outlet, "flush")
        return outlet  # type: ignore[return-value]

    def read(self, place: str) -> list[Message]:
        path = Path(place)
        lines = path.read_bytes().splitlines() if path.exists() else []
        return [self._message(json.loads(line)) for line in lines]

    def _message(self, line: dict[str, Any]) -> Message:
        headers = tuple((name, self._bytes(value) or b"") for name, value in line["headers"])
        return Message(self._bytes(line["key"]) or b"", headers, self._bytes(line["value"]))

    def _bytes(self, value: str | dict[str, str] | None) -> bytes | None:
        if isinstance(value, dict):
            return base64.b64decode(value["base64"])
        return None if value is None else value.encode()

    def close(self) -> None:
        pass


class Topics:
    """Each place is a topic of one partition."""

    def __init__(self, base: Path) -> None:
        self._broker = Broker(base / "broker").start()

    def place(self) -> str:
        return self._broker.topic(TOPIC)

    def open(self, place: str, **options: Any) -> Outlet:
        given = {"bootstrap": [self._broker.bootstrap], "topic": place} | options
        return load("daemon.outlets", "kafka", given)  # type: ignore[return-value]

    def read(self, place: str) -> list[Message]:
        consumer = KafkaConsumer(bootstrap_servers=self._broker.bootstrap, **CLIENT)
        partition = TopicPartition(place, 0)
        consumer.assign([partition])
        consumer.seek_to_beginning(partition)
        end = consumer.end_offsets([partition])[partition]
        found: list[Message] = []
        while len(found) < end:
            rows = consumer.poll(1_000).get(partition, [])
            found += [Message(row.key, tuple(row.headers), row.value) for row in rows]
        consumer.close()
        return found

    def close(self) -> None:
        self._broker.close()


Rig = Files | Topics
RIGS: dict[str, Callable[[Path], Rig]] = {"file": Files, "kafka": Topics}


@pytest.fixture(scope="module", params=KINDS)
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    assert request.param in RIGS, f"no place to try outlets of the kind {request.param}"
    made = RIGS[request.param](tmp_path_factory.mktemp("outlets"))
    yield made
    made.close()


MESSAGES = st.builds(
    Message,
    st.one_of(st.sampled_from([b"said/0@7", b"k", b""]), st.binary(max_size=9)),
    st.lists(
        st.tuples(st.sampled_from(["sluice.reason", "a", "\u00e9"]), st.binary(max_size=9)),
        max_size=3,
    ).map(tuple),
    st.one_of(
        st.none(),
        st.binary(max_size=30),
        st.sampled_from([b'{"a":\n[1]}\n', "\u2028".encode()]),
    ),
)


@settings(max_examples=15)
@given(flushes=st.lists(st.lists(MESSAGES, max_size=6), max_size=4), bound=st.integers(1, 300))
def test_what_was_flushed_is_there_whole_and_in_order(
    rig: Rig, flushes: list[list[Message]], bound: int
) -> None:
    place = rig.place()
    outlet = rig.open(place, buffer_bytes=bound)
    sent: list[Message] = []
    for messages in flushes:
        for message in messages:
            outlet.send(message)
        outlet.flush()
        sent += messages
        assert rig.read(place) == sent
    outlet.close()


def some(count: int, first: int = 0) -> list[Message]:
    return [
        Message(b"key %d" % number, (("n", b"%d" % number),), b"value %d" % number)
        for number in range(first, first + count)
    ]


def test_another_process_adds_to_what_is_there(rig: Rig) -> None:
    place = rig.place()
    for first in (0, 5):
        outlet = rig.open(place)
        for message in some(5, first):
            outlet.send(message)
        outlet.flush()
        outlet.close()
    assert rig.read(place) == some(10)


def test_memory_is_bounded_so_a_full_buffer_goes_out_by_itself(rig: Rig) -> None:
    place = rig.place()
    outlet = rig.open(place, buffer_bytes=2_000)
    large = [Message(b"%d" % number, (), b"x" * 1_000) for number in range(10)]
    for message in large:
        outlet.send(message)
    gone = len(rig.read(place))
    assert gone >= 8
    outlet.flush()
    assert rig.read(place) == large
    outlet.close()


def test_what_was_not_flushed_is_forgotten_at_the_end(rig: Rig) -> None:
    place = rig.place()
    outlet = rig.open(place)
    outlet.flush()  # without a message: it can be reached
    outlet.send(some(1)[0])
    outlet.close()
    outlet.close()
    assert rig.read(place) == []


def test_a_repetition_is_two_messages_of_one_key(rig: Rig) -> None:
    """At least once: whoever reads drops what it has seen, by its key."""
    place = rig.place()
    outlet = rig.open(place)
    for _ in range(2):
        outlet.send(some(1)[0])
        outlet.flush()
    outlet.close()
    assert rig.read(place) == some(1) * 2

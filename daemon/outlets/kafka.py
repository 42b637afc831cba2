"""An outlet that sends to a Kafka topic of its own, acknowledged by all replicas in sync.

Messages of one key go to one partition. The topic must exist; whatever makes it, it should not be
compacted where letters are counted, and needs no times of the broker.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from daemon.clock import SystemClock
from daemon.kafka import producing
from daemon.kafka.clients import refused
from daemon.kafka.diagnosis import Cause, Witness
from daemon.kafka.producing import Producer, Route
from daemon.kafka.security import Security
from daemon.kafka.settings import Address, Topic
from daemon.ports import EXIT_CONFIG, Clock, Fatal, Message, Outlet, Retry

OVERHEAD_BYTES = 200  # of a message in memory, beside what it holds


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """`bootstrap`: host:port of some brokers. `topic`: of messages alone. `timeout_ms`: how long a
    flush waits for acknowledgements. `buffer_bytes`: held until a flush. `message_bytes`: the
    largest message that is tried; the topic's max.message.bytes must allow it.
    """

    bootstrap: tuple[Address, ...]
    topic: Topic
    timeout_ms: Annotated[int, Meta(ge=1_000, le=60_000)] = 10_000
    buffer_bytes: Annotated[int, Meta(ge=1, le=1 << 30)] = 1 << 22
    message_bytes: Annotated[int, Meta(ge=1_024, le=1 << 28)] = 1 << 20
    compression: Literal["gzip", "lz4", "snappy", "zstd"] | None = None
    security: Security = Security()

    def __post_init__(self) -> None:
        """Raises ValueError with the first fault."""
        if not self.bootstrap:
            raise ValueError("bootstrap: is empty")
        for fault in self.security.faults():
            raise ValueError(f"security.{fault}")


def build(options: Options) -> Outlet:
    """The outlet to `options.topic`. Nothing is connected before the first flush."""
    return KafkaOutlet(options, SystemClock())


class KafkaOutlet:
    """Messages since the last flush. Between flushes nothing is on its way."""

    def __init__(self, options: Options, clock: Clock) -> None:
        self._options, self._clock = options, clock
        self._route = Route(
            options.bootstrap,
            options.security,
            options.timeout_ms,
            options.message_bytes,
            options.compression,
        )
        self._witness: Witness | None = None
        self._producer: Producer | None = None
        self._proven = False  # it could be reached once: what is wrong now may heal
        self._messages: list[Message] = []
        self._bytes = 0

    def send(self, message: Message) -> None:
        size = OVERHEAD_BYTES + len(message.key) + len(message.value or b"")
        if self._messages and self._bytes + size > self._options.buffer_bytes:
            self.flush()
        self._messages.append(message)
        self._bytes += size

    def flush(self) -> None:
        messages, topic = self._messages, self._options.topic
        self._forget()
        try:
            producer = self._producer or self._connect()
            for key, headers, value in messages:
                producer.send(topic, value, key=key, headers=headers)
            producer.wait(self._clock, self._options.timeout_ms / 1000)
        except Retry as error:
            cause = self._witness.cause() if self._witness else None
            self._hang_up()
            what = cause.text if cause else error
            raise Retry(f"topic {topic} did not acknowledge: {what}") from None
        except Fatal:
            self._hang_up()
            raise

    def _connect(self) -> Producer:
        if self._witness is None:
            self._witness = Witness()
            self._witness.__enter__()
        found = producing.dial(self._route, self._witness)
        if isinstance(found, Cause):
            if found.certain and not self._proven:
                raise refused(found)
            raise Retry(found.text)
        self._producer = found
        if not found.partitions(self._options.topic):
            if self._proven:
                raise Retry("it is gone")
            raise Fatal(
                f"there is no topic {self._options.topic}",
                code=EXIT_CONFIG,
                hint="create it, or correct the outlet's options.topic",
            )
        self._proven = True
        self._witness.forget()
        return found

    def _forget(self) -> None:
        self._messages, self._bytes = [], 0

    def _hang_up(self) -> None:
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def close(self) -> None:
        self._forget()
        self._hang_up()
        if self._witness is not None:
            self._witness.__exit__()
            self._witness = None

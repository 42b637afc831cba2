"""A producer that waits for what it sent, bounded, and is thrown away at its first failure.

Idempotent, acknowledged by all replicas in sync. What was not acknowledged in time is aborted with
its producer: whoever sent it knows it still, and sends it again by another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka import errors as kafka_errors
from kafka.errors import KafkaError, for_code

from daemon.kafka.clients import UNCLEAR, check_libraries, open_client
from daemon.kafka.diagnosis import Cause, Witness, knock
from daemon.kafka.security import Security
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Clock, Fatal, Retry

LINGER_MS = 5
JOIN_SECONDS = 2.0
APPEND_TIME: Mapping[str, str] = {"message.timestamp.type": "LogAppendTime"}
TOO_LARGE = (kafka_errors.MessageSizeTooLargeError, kafka_errors.RecordListTooLargeError)


@dataclass(frozen=True, slots=True)
class Route:
    """Where to, and how patiently. `message_bytes`: the largest message that is tried."""

    bootstrap: tuple[str, ...]
    security: Security
    timeout_ms: int
    message_bytes: int
    compression: str | None = None

    def arguments(self) -> dict[str, Any]:
        """Of every client. Reads secrets. Raises Fatal."""
        return {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": "sluice",
            "request_timeout_ms": self.timeout_ms // 2,
            "reconnect_backoff_max_ms": 1_000,
            "bootstrap_timeout_ms": self.timeout_ms,
            **self.security.arguments(),
        }

    def producing(self) -> dict[str, Any]:
        """More arguments, of the producer."""
        return {
            "acks": "all",
            "enable_idempotence": True,
            "allow_auto_create_topics": False,
            "delivery_timeout_ms": self.timeout_ms,
            "max_block_ms": self.timeout_ms,
            "linger_ms": LINGER_MS,
            "max_request_size": self.message_bytes,
            "compression_type": self.compression,
            "metrics_enabled": False,
        }


def dial(route: Route, witness: Witness) -> Producer | Cause:
    """One attempt, bounded. Raises Fatal for secrets that are none."""
    check_libraries()
    witness.forget()
    common = route.arguments()
    cause = knock(route.bootstrap, common.get("ssl_context"))
    if cause is not None:
        return cause
    try:
        admin = open_client(KafkaAdminClient, common)
        try:
            producer = open_client(KafkaProducer, common | route.producing())
        except KafkaError:
            admin.close()
            raise
    except KafkaError:
        return witness.cause() or UNCLEAR
    return Producer(producer, admin)


class Producer:
    """`pending`: of what was sent and not waited for."""

    def __init__(self, producer: Any, admin: Any) -> None:
        self._producer, self._admin = producer, admin
        self._sent: list[tuple[str, Any]] = []  # topic, future

    @property
    def pending(self) -> int:
        return len(self._sent)

    def partitions(self, topic: str) -> int:
        """How many it has; 0 where there is none of that name. Raises Retry, Fatal."""
        with _named(topic):
            (found,) = self._admin.describe_topics([topic])
            error = for_code(found["error_code"])
            if issubclass(error, kafka_errors.AuthorizationError):
                raise error
        return len(found["partitions"])

    def create(self, topic: str, partitions: int, replication: int) -> None:
        """With times of the broker; `replication` -1: as the broker likes. Raises Retry, Fatal."""
        shape = {
            "num_partitions": partitions,
            "replication_factor": replication,
            "configs": dict(APPEND_TIME),
        }
        with _named(topic):
            self._admin.create_topics({topic: shape})
            self._admin.wait_for_topics([topic])

    def send(
        self,
        topic: str,
        value: bytes | None,
        *,
        key: bytes | None = None,
        headers: tuple[tuple[str, bytes], ...] = (),
        partition: int | None = None,
    ) -> None:
        """On its way. Raises Retry, Fatal."""
        with _named(topic):
            sent = self._producer.send(topic, value, key, list(headers), partition)
        self._sent.append((topic, sent))

    def wait(self, clock: Clock, seconds: float, *, leave: int = 0) -> None:
        """Until all but the newest `leave` are acknowledged. Raises Retry, Fatal."""
        deadline = clock.monotonic() + seconds
        count = max(0, len(self._sent) - leave)
        for topic, sent in self._sent[:count]:
            with _named(topic):
                sent.get(max(0.0, deadline - clock.monotonic()))
        del self._sent[:count]

    def close(self) -> None:
        """Bounded. What is not acknowledged is aborted, and not sent later."""
        self._sent.clear()
        # `close` alone waits for every batch in turn, and raises where one is late
        sender = self._producer._sender  # noqa: SLF001
        sender.force_close()
        sender.join(JOIN_SECONDS)
        with suppress(KafkaError):
            self._producer.close(0)
        self._admin.close()


@contextmanager
def _named(topic: str) -> Iterator[None]:
    """The client's errors as what the caller does."""
    try:
        yield
    except TOO_LARGE:
        raise Fatal(
            f"a message is too large for topic {topic}",
            code=EXIT_STATE,
            hint="raise max.message.bytes of the topic, and message_bytes of the outlet",
        ) from None
    except kafka_errors.AuthorizationError:
        raise Fatal(
            f"Kafka denies us to write to topic {topic}",
            code=EXIT_CONFIG,
            hint="grant Describe and Write of the topic, and Create where it is to be made",
        ) from None
    except KafkaError as error:
        raise Retry(type(error).__name__) from None

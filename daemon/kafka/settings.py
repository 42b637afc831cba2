"""What is configured of the source `kafka`, and how its clients are told of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Annotated, Any

from msgspec import Meta, Struct

from daemon.kafka.security import Security
from daemon.ports import EXIT_CONFIG, Fatal

Address = Annotated[str, Meta(pattern=r"^([A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$")]
Topic = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,249}$")]
Instance = Annotated[str, Meta(pattern=r"^(env:[A-Za-z_][A-Za-z0-9_]*|[A-Za-z0-9._-]{1,249})$")]
FROM_ENVIRONMENT = "env:"


class Client(Struct, frozen=True, forbid_unknown_fields=True):
    """How patient the client is and how much it holds. The defaults were measured on a broker.

    A member that is silent for `session_timeout_ms` is dead to its group, and its lanes idle that
    long; one that does not poll for `max_poll_interval_ms` leaves. `reconnect_backoff_max_ms`: what
    a broker that is back may wait for us. `start_timeout_ms`: how long to knock at first.
    `away_timeout_ms`: how long to try to come back after we were thrown out. `poll_wait_ms`: how
    long an empty poll waits. `commit_interval_ms`: how often the group hears of us (a fenced member
    learns it there alone), and the topics' ids are compared.
    """

    session_timeout_ms: Annotated[int, Meta(ge=6_000, le=30_000)] = 10_000
    heartbeat_interval_ms: Annotated[int, Meta(ge=100, le=10_000)] = 1_000
    max_poll_interval_ms: Annotated[int, Meta(ge=10_000, le=1_800_000)] = 300_000
    request_timeout_ms: Annotated[int, Meta(ge=1_000, le=60_000)] = 10_000
    reconnect_backoff_max_ms: Annotated[int, Meta(ge=100, le=30_000)] = 1_000
    metadata_max_age_ms: Annotated[int, Meta(ge=1_000, le=300_000)] = 30_000
    bootstrap_timeout_ms: Annotated[int, Meta(ge=500, le=60_000)] = 5_000
    start_timeout_ms: Annotated[int, Meta(ge=1_000, le=3_600_000)] = 120_000
    away_timeout_ms: Annotated[int, Meta(ge=1_000, le=3_600_000)] = 300_000
    join_timeout_ms: Annotated[int, Meta(ge=0, le=60_000)] = 5_000
    lookup_timeout_ms: Annotated[int, Meta(ge=100, le=10_000)] = 1_000
    commit_interval_ms: Annotated[int, Meta(ge=500, le=60_000)] = 5_000
    poll_wait_ms: Annotated[int, Meta(ge=1, le=5_000)] = 20
    fetch_max_wait_ms: Annotated[int, Meta(ge=1, le=5_000)] = 100
    fetch_max_bytes: Annotated[int, Meta(ge=1 << 16, le=1 << 28)] = 1 << 24
    max_partition_fetch_bytes: Annotated[int, Meta(ge=1 << 14, le=1 << 26)] = 1 << 20

    def faults(self) -> Iterator[str]:
        """What contradicts itself, one line each: `key: what is wrong`."""
        if self.heartbeat_interval_ms * 3 > self.session_timeout_ms:
            yield (
                "heartbeat_interval_ms: is above a third of session_timeout_ms, one lost "
                "heartbeat could cost the lanes"
            )
        if self.session_timeout_ms >= self.max_poll_interval_ms:
            yield "session_timeout_ms: is not below max_poll_interval_ms"
        if self.fetch_max_wait_ms >= self.request_timeout_ms:
            yield "fetch_max_wait_ms: is not below request_timeout_ms, every quiet fetch would fail"


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """Which topics are read, and as whom.

    `bootstrap`: host:port of some brokers. `topics`: of utterances; `label_topics`: of late labels
    and audit answers; `erasure_topics`: of what is to be erased. `group`: all replicas of one
    deployment name the same. `instance`: a name of this replica that outlives restarts
    ("env:POD_NAME" reads the variable), so that a restart moves no lane (KIP-345).
    `allow_create_time`: accept times that producers state; whoever writes to the topic then decides
    windows. `corrupt_limit`: records in a row that may be stepped over because their checksum is
    wrong.
    """

    bootstrap: tuple[Address, ...]
    topics: tuple[Topic, ...]
    group: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,255}$")]
    label_topics: tuple[Topic, ...] = ()
    erasure_topics: tuple[Topic, ...] = ()
    instance: Instance | None = None
    allow_create_time: bool = False
    corrupt_limit: Annotated[int, Meta(ge=0, le=1_000_000)] = 10_000
    security: Security = Security()
    client: Client = Client()

    def __post_init__(self) -> None:
        """Raises ValueError with the first fault."""
        for fault in self.faults():
            raise ValueError(fault)

    def faults(self) -> Iterator[str]:
        """What contradicts itself, one line each: `key: what is wrong`."""
        for name in ("bootstrap", "topics"):
            if not getattr(self, name):
                yield f"{name}: is empty"
        every = (*self.topics, *self.label_topics)
        if len(set(every)) < len(every):
            yield "label_topics: a topic is named twice, each is read once and as one kind"
        if len(set(self.erasure_topics).difference(every)) < len(self.erasure_topics):
            yield "erasure_topics: a topic is named twice, each is read once and as one kind"
        yield from (f"security.{fault}" for fault in self.security.faults())
        yield from (f"client.{fault}" for fault in self.client.faults())

    @property
    def kinds(self) -> dict[str, str]:
        """Topic -> kind of its lanes."""
        late = dict.fromkeys(self.label_topics, "labels")
        late |= dict.fromkeys(self.erasure_topics, "erasures")
        return dict.fromkeys(self.topics, "utterances") | late

    def member(self) -> str | None:
        """The name of this replica. Raises Fatal where the environment has none."""
        if self.instance is None or not self.instance.startswith(FROM_ENVIRONMENT):
            return self.instance
        name = os.environ.get(self.instance.removeprefix(FROM_ENVIRONMENT), "")
        if not name:
            raise Fatal(
                "source.options.instance names a variable that is not set",
                code=EXIT_CONFIG,
                hint="in a pod: env POD_NAME with valueFrom fieldRef metadata.name",
            )
        return name

    def common(self) -> dict[str, Any]:
        """Arguments of every client. Reads secrets. Raises Fatal."""
        client = self.client
        return {
            "bootstrap_servers": list(self.bootstrap),
            "client_id": "sluice",
            "request_timeout_ms": client.request_timeout_ms,
            "reconnect_backoff_max_ms": client.reconnect_backoff_max_ms,
            "metadata_max_age_ms": client.metadata_max_age_ms,
            "bootstrap_timeout_ms": client.bootstrap_timeout_ms,
            **self.security.arguments(),
        }

    def reading(self) -> dict[str, Any]:
        """More arguments, of the consumer.

        The assignors are the client's own (range, eager): under cooperative-sticky it is silent on
        all lanes for a heartbeat or more at every join. No deserialisers: an exception in one makes
        the client lose its place. Offsets are ours: nothing is reset, nothing committed unasked.
        """
        client = self.client
        return {
            "group_id": self.group,
            "group_instance_id": self.member(),
            "enable_auto_commit": False,
            "auto_offset_reset": "none",
            "isolation_level": "read_committed",
            "allow_auto_create_topics": False,
            "metrics_enabled": False,
            "session_timeout_ms": client.session_timeout_ms,
            "heartbeat_interval_ms": client.heartbeat_interval_ms,
            "max_poll_interval_ms": client.max_poll_interval_ms,
            "fetch_max_wait_ms": client.fetch_max_wait_ms,
            "fetch_max_bytes": client.fetch_max_bytes,
            "max_partition_fetch_bytes": client.max_partition_fetch_bytes,
        }

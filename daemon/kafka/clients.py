"""Opens clients of a cluster, and says in one line why it cannot. Nothing of a failed one stays."""

from __future__ import annotations

import importlib.util
from contextlib import ExitStack
from typing import Any, NamedTuple

from kafka import KafkaAdminClient, KafkaConsumer
from kafka.errors import KafkaError
from kafka.net.compat import KafkaNetClient
from kafka.net.inet import KafkaNetSocket

from daemon.kafka.diagnosis import Cause, Witness, knock
from daemon.kafka.settings import Options
from daemon.kafka.topics import Topics
from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, Clock, Fatal

LIBRARIES = ("crc32c", "lz4", "snappy", "zstandard")  # checksums are six times slower without
CLOSE_MS = 2_000
RETRY_SECONDS = 0.5
UNCLEAR = Cause(
    "the brokers do not tell who they are", "what do their logs say of us?", certain=False
)


class Attempt(KafkaNetSocket):  # type: ignore[misc]  # the library has no types
    """Connects as the library does, by its registry of schemes, and closes what did not connect.

    The library (3.0) leaves the socket of an attempt that was refused, timed out or was given up
    to the garbage collector, wherever that runs next.
    """

    SCHEMES = ("attempt",)

    async def sock_connect(
        self, net: Any, sock: Any, sockaddr: Any, timeout_at: float | None = None
    ) -> Any:
        with ExitStack() as failed:
            failed.callback(sock.close)
            await super().sock_connect(net, sock, sockaddr, timeout_at=timeout_at)
            failed.pop_all()
            return sock


class Clients(NamedTuple):
    """`consumer`: reads, as a member of the group. `admin`: knows topics."""

    consumer: Any
    admin: Any

    def close(self) -> None:
        """Bounded; a member with an instance name does not leave its group by this."""
        self.consumer.close(autocommit=False, timeout_ms=CLOSE_MS)
        self.admin.close()


def check_libraries() -> None:
    """All that any producer's records may need. Raises Fatal."""
    missing = [name for name in LIBRARIES if importlib.util.find_spec(name) is None]
    if missing:
        raise Fatal(
            f"records may need libraries that are not installed: {', '.join(missing)}",
            code=EXIT_DEPENDENCY,
            hint="install utterance-sluice with its dependencies",
        )


def dial(options: Options, witness: Witness, topics: Topics) -> Clients | Cause:
    """One attempt, bounded by bootstrap_timeout_ms; ends with a look at the topics.

    Raises Fatal for secrets that are none, and for topics that we cannot read.
    """
    witness.forget()
    common = options.common()
    cause = knock(options.bootstrap, common.get("ssl_context"))
    if cause is not None:
        return cause
    with ExitStack() as opened:
        try:
            admin = open_client(KafkaAdminClient, common)
            opened.callback(admin.close)
            topics.admin = admin
            topics.look()
            consumer = open_client(KafkaConsumer, common | options.reading())
        except KafkaError:
            return witness.cause() or UNCLEAR
        opened.pop_all()
        return Clients(consumer, admin)


def start(options: Options, witness: Witness, topics: Topics, clock: Clock) -> Clients:
    """The clients, once there are brokers, for at most start_timeout_ms.

    Raises Fatal: at once for what waiting does not heal.
    """
    check_libraries()
    deadline = clock.monotonic() + options.client.start_timeout_ms / 1000
    while True:
        found = dial(options, witness, topics)
        if isinstance(found, Clients):
            return found
        if found.certain or clock.monotonic() >= deadline:
            raise refused(found)
        clock.sleep(RETRY_SECONDS)


def refused(cause: Cause) -> Fatal:
    """The end of trying."""
    code = EXIT_CONFIG if cause.certain else EXIT_DEPENDENCY
    return Fatal(f"cannot connect to Kafka: {cause.text}", code=code, hint=cause.hint)


def open_client(kind: Any, arguments: dict[str, Any]) -> Any:
    """A client; where its constructor fails, the thread that it has started is ended."""
    with ExitStack() as made:

        def network(**given: Any) -> Any:
            client = KafkaNetClient(**given)
            made.callback(client.close)
            # the option of the consumer does not get here (kafka-python 3.0), and a topic that is
            # deleted while we are subscribed would be made anew by our asking for it
            client.cluster.config["allow_auto_create_topics"] = False
            return client

        opened = kind(kafka_client=network, proxy_url=f"{Attempt.SCHEMES[0]}://", **arguments)
        made.pop_all()
        return opened

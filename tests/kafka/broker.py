"""A real Kafka broker on the loopback, in a process of its own that tests may stop, kill or freeze.

`.ci/kafka` makes what it starts from. Listeners: PLAINTEXT always; SASL_SSL (SCRAM-SHA-512) and
SSL (client certificates) where the broker is given an authority's certificate.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from kafka import KafkaAdminClient, KafkaProducer
from kafka.admin import NewTopic
from kafka.errors import KafkaError

MADE = Path(__file__).resolve().parents[2] / ".cache" / "kafka"
HOW = "make kafka (needs Java, and Maven for the first time: apt-get install default-jdk maven)"
FLAGS = (
    "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx256m", "-Xshare:auto",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
)  # fmt: skip
SETTINGS: Mapping[str, object] = {
    "process.roles": "broker,controller",
    "node.id": 1,
    "controller.listener.names": "CONTROLLER",
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": 0,
    "group.min.session.timeout.ms": 500,
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 1,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 1,
    "share.coordinator.state.topic.replication.factor": 1,
    "share.coordinator.state.topic.num.partitions": 1,
    "broker.session.timeout.ms": 2000,
    "broker.heartbeat.interval.ms": 500,
    "log.cleaner.dedupe.buffer.size": 2097152,
    "log.message.timestamp.type": "LogAppendTime",
    "log.retention.ms": -1,  # tests write times of their own
}
STARTING_SECONDS = 90
CLUSTER = "MkU3OEVBNTcwNTJENDM2Qk"
CLIENT: Mapping[str, Any] = {"reconnect_backoff_max_ms": 500, "bootstrap_timeout_ms": 30_000}
Message = bytes | None | tuple[bytes | None, int]  # value, or (value, time in ms)
_numbers = count()


def unique(word: str) -> str:
    """A name that no other test has, on any worker."""
    return f"{word}-{os.getpid()}-{next(_numbers)}"


def free_port() -> int:
    """A port of the loopback below the range that clients' ends are given: it stays free."""
    for number in count():
        port = 15_000 + (os.getpid() * 97 + next(_numbers) * 7 + number) % 15_000
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("unreachable")


class Broker:
    """`bootstrap`: its address. `chain`: PEM of key and certificates, for TLS. `stepped`: `clock`
    moves the wall clock that it sees, which is read for append times.
    """

    def __init__(
        self,
        folder: Path,
        *,
        chain: Path | None = None,
        authority: Path | None = None,
        stepped: bool = False,
        settings: Mapping[str, object] | None = None,
        made: Path = MADE,
    ) -> None:
        assert (made / "libs").is_dir(), f"no Kafka broker to start: {HOW}"
        self.folder, self._made, self._stepped = folder, made, stepped
        folder.mkdir(parents=True)
        if (made / "formatted").is_dir():
            shutil.copytree(made / "formatted", folder / "data")
        names = ["PLAINTEXT", "CONTROLLER", *(["SASL_SSL", "SSL"] if chain else [])]
        self.ports = {name: free_port() for name in names}
        self.bootstrap = self.address("PLAINTEXT")
        self._step = folder / "clock"
        self.clock(0)
        written = self._properties(chain, authority) | dict(settings or {})
        lines = (f"{name}={value}\n" for name, value in written.items())
        self.properties = folder / "server.properties"
        self.properties.write_text("".join(lines))
        self._process: subprocess.Popen[bytes] | None = None

    def address(self, listener: str) -> str:
        return f"127.0.0.1:{self.ports[listener]}"

    def _properties(self, chain: Path | None, authority: Path | None) -> dict[str, object]:
        at = [f"{name}://{self.address(name)}" for name in self.ports]
        given = dict(SETTINGS) | {
            "log.dirs": self.folder / "data",
            "controller.quorum.voters": f"1@{self.address('CONTROLLER')}",
            "listeners": ",".join(at),
            "advertised.listeners": ",".join(url for url in at if "CONTROLLER" not in url),
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,"
            "SASL_SSL:SASL_SSL,SSL:SSL",
        }
        for name in ("sasl_ssl", "ssl") if chain else ():
            given |= {
                f"listener.name.{name}.ssl.keystore.type": "PEM",
                f"listener.name.{name}.ssl.keystore.location": chain,
                f"listener.name.{name}.ssl.truststore.type": "PEM",
                f"listener.name.{name}.ssl.truststore.location": authority,
            }
        if chain:
            scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
            given |= {
                "sasl.enabled.mechanisms": "SCRAM-SHA-512",
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": scram,
                "listener.name.ssl.ssl.client.auth": "required",
            }
        return given

    def java(self, *arguments: str | Path) -> list[str]:
        """A command line of the broker's Java, with its jars."""
        jars = sorted((self._made / "libs").glob("*.jar"))
        if self._stepped:
            jars.insert(0, self._made / "clock.jar")
            arguments = (f"-Dsluice.clock={self._step}", *arguments)
        elif (self._made / "classes.jsa").is_file():
            arguments = (f"-XX:SharedArchiveFile={self._made / 'classes.jsa'}", *arguments)
        return ["java", *FLAGS, "-cp", ":".join(map(str, jars)), *map(str, arguments)]

    def start(self, *flags: str) -> Broker:
        """Run; returns when it answers. Whatever it had stored it still has."""
        assert self._process is None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.java(*flags, "kafka.Kafka", self.properties), stdout=log, stderr=log
            )
        deadline = time.monotonic() + STARTING_SECONDS
        for port in self.ports.values():
            while not self._listens(port):
                said = (self.folder / "log").read_text()[-2000:]
                assert self._process.poll() is None, f"the broker ended:\n{said}"
                assert time.monotonic() < deadline, f"the broker did not start:\n{said}"
                time.sleep(0.02)
        return self

    @staticmethod
    def _listens(port: int) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def stop(self) -> None:
        """End in order (SIGTERM)."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End at once (SIGKILL)."""
        self._end(signal.SIGKILL)

    def _end(self, number: signal.Signals) -> None:
        self._leave()
        if self._process is not None:
            self._process.send_signal(number)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Answer nothing (SIGSTOP), connections stay open."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def clock(self, step_ms: int) -> None:
        """The wall clock of a `stepped` broker is off by this, from now on."""
        new = self._step.with_suffix(".new")
        new.write_text(str(step_ms))
        new.replace(self._step)

    def close(self) -> None:
        """Clients that were made here, the process, and what it stored."""
        self.kill()
        shutil.rmtree(self.folder)

    def _leave(self) -> None:
        for made in ("admin", "producer"):
            if made in self.__dict__:
                self.__dict__.pop(made).close()

    @cached_property
    def admin(self) -> Any:
        return KafkaAdminClient(bootstrap_servers=self.bootstrap, **CLIENT)

    @cached_property
    def producer(self) -> Any:
        return KafkaProducer(bootstrap_servers=self.bootstrap, linger_ms=0, **CLIENT)

    def topic(self, word: str = "said", partitions: int = 1, **configs: object) -> str:
        """A new topic with a name of its own, ready; `max_message_bytes=1` sets max.message.bytes.

        Append times are the broker's unless `message_timestamp_type="CreateTime"`.
        """
        name = unique(word)
        self.create(name, partitions, **configs)
        return name

    def create(self, name: str, partitions: int = 1, **configs: object) -> None:
        """A topic under a given name, ready."""
        given = {key.replace("_", "."): str(value) for key, value in configs.items()}
        self.admin.create_topics([NewTopic(name, partitions, 1, topic_configs=given)])
        self.admin.wait_for_topics([name])

    def grow(self, topic: str, partitions: int) -> None:
        """Add partitions, up to so many."""
        self.admin.create_partitions({topic: partitions})
        if "producer" in self.__dict__:  # it would learn of them in minutes
            self.__dict__.pop("producer").close()

    def produce(self, topic: str, messages: Iterable[Message], partition: int = 0) -> list[int]:
        """Send values, or (value, time in ms), and return their offsets once they are stored."""
        return self._send(self.producer, topic, messages, partition)

    def batch(self, topic: str, values: Iterable[Message], codec: str | None = None) -> list[int]:
        """As `produce`, into partition 0 and as one batch."""
        given = {"linger_ms": 5_000, "batch_size": 1 << 20, "compression_type": codec}
        with KafkaProducer(bootstrap_servers=self.bootstrap, **given, **CLIENT) as producer:
            return self._send(producer, topic, values, 0)

    @staticmethod
    def _send(producer: Any, topic: str, messages: Iterable[Message], partition: int) -> list[int]:
        sent = []
        for message in messages:
            value, time_ms = message if isinstance(message, tuple) else (message, None)
            key = b"key" if value is None else None  # Kafka has no record without both
            sent.append(producer.send(topic, value, key, None, partition, time_ms))
        producer.flush(timeout=60)
        return [future.get(timeout=60).offset for future in sent]

    def ready(self) -> bool:
        """It answers an administrator's question."""
        try:
            self.admin.list_topics()
        except KafkaError:
            return False
        return True


def prepare(made: Path) -> None:
    """A formatted folder and an archive of classes, so that brokers of tests start faster."""
    work = made / "work"
    broker = Broker(work, made=made)
    format_ = ("kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", broker.properties)
    subprocess.run(broker.java(*format_), check=True, stdout=subprocess.DEVNULL)
    shutil.copytree(work / "data", made / "formatted")
    broker.start(f"-XX:ArchiveClassesAtExit={made / 'classes.jsa'}")
    broker.produce(broker.topic(), [b"{}"])
    broker.stop()
    broker.close()


if __name__ == "__main__":
    prepare(Path(sys.argv[1]).resolve())

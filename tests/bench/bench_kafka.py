"""The live path: a real broker to durable parts with the `table` model, in one process.

    python -m tests.bench.bench_kafka [RECORDS] [--codec NAME] [--batch-records N] [--help]

Prints records per second of wall time, and microseconds of CPU a record by stage (of this process:
what else runs on the machine hardly changes them), each with its ratio to what is wanted. The
broker and its disk are on the same machine and share its cores.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import tempfile
import time
from pathlib import Path

from kafka import KafkaProducer

from daemon.clock import SystemClock
from daemon.config.settings import Process, Stream
from daemon.kafka.settings import Options
from daemon.loop import Loop
from daemon.registry.registry import Registry
from daemon.running import start
from daemon.running.engines import Engines
from daemon.sources import kafka
from daemon.stores import local
from tests.bench.bench_host import CLASSES, PERIOD_MS, messages, policy
from tests.bench.daemons import quiet
from tests.bench.stages import Stages
from tests.kafka.broker import CLIENT, Broker, unique
from tests.streams import KEY, publish_table

LANES = 4
START_MS = 1_700_000_040_000
PER_WINDOW = 300_000  # five seconds at the wanted rate: a small window, its costs are shared by few
WANTED_RATE, WANTED_US = 60_000, 15.0


def produce(broker: Broker, records: int, codec: str, batch_bytes: int) -> str:
    """A topic that holds them, and behind each lane a record that closes its windows."""
    topic = broker.topic("bench", LANES, message_timestamp_type="CreateTime")
    given = {"linger_ms": 50, "batch_size": batch_bytes, "max_in_flight_requests_per_connection": 5}
    kind = None if codec == "none" else codec
    with KafkaProducer(
        bootstrap_servers=broker.bootstrap, compression_type=kind, **given, **CLIENT
    ) as producer:
        last_ms, message = START_MS, messages(records)
        for n in range(records):
            last_ms = START_MS + n * PERIOD_MS // PER_WINDOW
            producer.send(topic, message(n), partition=n % LANES, timestamp_ms=last_ms)
        for lane in range(LANES):
            producer.send(topic, b"{}", partition=lane, timestamp_ms=last_ms + 4 * PERIOD_MS)
        producer.flush()
    return topic


def source_of(broker: Broker, topic: str) -> kafka.KafkaSource:
    options = Options(
        bootstrap=(broker.bootstrap,), topics=(topic,), group=unique("bench"),
        allow_create_time=True,
    )  # fmt: skip
    return kafka.KafkaSource(options, SystemClock())


def run(
    source: kafka.KafkaSource, store: Path, records: int, batch: int, stages: Stages | None
) -> float:
    """Everything durable; wall seconds from the first lane that was ours."""
    registry = Registry(local.build(local.Options(str(store))))
    publish_table(registry, policy(), classes=CLASSES)
    stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
    start.found(source, registry, stream, SystemClock())
    registry.start()
    durable = 0

    def count(event: str, facts: dict[str, object]) -> None:
        nonlocal durable
        if event == "part":
            durable += int(str(facts["records"]))

    engines = Engines(registry.store, KEY, threads=1)
    engines.of(registry.editions[0])
    poll = max(Process().poll_records, 4 * batch)
    process = Process(threads=1, batch_records=batch, poll_records=poll)
    loop = Loop(source, registry, engines, SystemClock(), process, count)
    while not loop.lanes:
        loop.turn()
    began = time.perf_counter()

    def to_the_end() -> None:
        while durable < records:
            if not loop.turn():
                time.sleep(0.002)

    if stages is None:
        to_the_end()
    else:
        with stages.measured():
            to_the_end()
    took = time.perf_counter() - began
    loop._pipeline.close()
    engines.close()
    source.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_kafka")
    parser.add_argument("records", nargs="?", type=int, default=600_000)
    parser.add_argument("--codec", default="lz4", help="of the producer: none, zstd, gzip, snappy")
    parser.add_argument("--batch-bytes", type=int, default=1 << 17, help="of the producer")
    parser.add_argument(
        "--batch-records", type=int, default=Process().batch_records,
        help="of the daemon; polls are of four batches, or as many records as by default",
    )  # fmt: skip
    parser.add_argument("--profile", action="store_true", help="of another run, by function")
    given = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory(prefix="bench-kafka-") as scratch:
        root = Path(scratch)
        broker = Broker(root / "broker").start()
        try:
            topic = produce(broker, given.records, given.codec, given.batch_bytes)
            sizes = given.records, given.batch_records
            run(source_of(broker, topic), root / "warm-up", *sizes, None)
            stages = Stages()
            seconds = run(source_of(broker, topic), root / "store", *sizes, stages)
            rate = given.records / seconds
            each = 1e6 * sum(stages.seconds.values()) / given.records
            print(f"to durable parts: {rate:,.0f} records/s, {WANTED_RATE:,} wanted: "
                  f"ratio {rate / WANTED_RATE:.2f}")  # fmt: skip
            print(f"host CPU: {each:.2f} us a record, {WANTED_US:.0f} allowed: "
                  f"ratio {each / WANTED_US:.2f}")  # fmt: skip
            print(f"by stage, us: {stages.lines(given.records)} "
                  f"({given.codec}, batches of {given.batch_records})")  # fmt: skip
            if given.profile:
                profile = cProfile.Profile()
                profile.runcall(run, source_of(broker, topic), root / "again", *sizes, None)
                pstats.Stats(profile).sort_stats("tottime").print_stats(40)
        finally:
            broker.close()


if __name__ == "__main__":
    main()

"""The host path: recorded bytes to durable parts with the `table` model, in one process.

    python -m tests.bench.bench_host [RECORDS] [--profile]

Prints records per second of wall and of CPU time, microseconds of CPU each, and the peak of memory;
with `--profile`, the functions that take most. `bench_kafka` prints microseconds by stage.
"""

from __future__ import annotations

import cProfile
import pstats
import random
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from daemon.clock import SystemClock
from daemon.config.settings import Process, Stream
from daemon.loop import Loop
from daemon.policy import Arms, Engine, Kind, Policy, Rolling
from daemon.ports import LaneId
from daemon.recording.writer import RecordingWriter, Topic
from daemon.registry.registry import Registry
from daemon.running import start
from daemon.running.engines import Engines
from daemon.sources import replay
from daemon.stores import local
from tests.streams import KEY, publish_table

CLASSES = tuple(f"intent_{n:02d}" for n in range(64))
PERIOD_MS = 60_000
PER_WINDOW = 100_000


def messages(records: int) -> Callable[[int], bytes]:
    """Makes the value of a number: about 220 bytes, a third of them repeats."""
    rng = random.Random(0)
    words = [f"word{n}" for n in range(2000)]
    texts = [" ".join(rng.choices(words, k=rng.randint(3, 12))) for _ in range(records // 2)]

    def message(n: int) -> bytes:
        value = {
            "id": f"utterance-{n:09d}",
            "text": texts[int(rng.random() ** 2 * len(texts))],
            "nlu": {"intent": CLASSES[n % 64], "confidence": 0.9},
            "label": CLASSES[(n * 7) % 64],
            "consent": True,
            "device": "kitchen",
        }
        return msgspec.json.encode(value)

    return message


def record(folder: Path, records: int, lanes: int = 2) -> None:
    """A Parquet recording."""
    message = messages(records)
    with RecordingWriter(folder, (Topic("u", "bench", "utterances", lanes),)) as writer:
        for lane in range(lanes):
            out = writer.lane(LaneId("u", lane), "parquet")
            step = 20_000
            mine = range(lane, records, lanes)
            for first in range(0, len(mine), step):
                numbers = mine[first : first + step]
                values: list[bytes | None] = [message(n) for n in numbers]
                times = [1_700_000_040_000 + n * PERIOD_MS // PER_WINDOW for n in numbers]
                out.append(range(first, first + len(numbers)), times, values)


def policy() -> Policy:
    """64 groups, a thousand rows a window, quarantine on."""
    base = Policy(
        engine=Engine(kind="table"),
        capacity_rows=1_000,
        arms=Arms(audit_rows=200, random_rows=1_000, review_rows=200),
        rolling=Rolling(capacity_rows=2_000),
        scores=(Kind("entropy"), Kind("margin"), Kind("el2n")),
    )
    mapped = msgspec.structs.replace(
        base.record, label="label", intent="nlu.intent", confidence="nlu.confidence",
        consent="consent",
    )  # fmt: skip
    quarantine = msgspec.structs.replace(base.quarantine, assumed_rate=0.05)
    return msgspec.structs.replace(base, record=mapped, quarantine=quarantine)


def run(recording: Path, store: Path, batch: int = 4_096) -> int:
    """One replay to the end; returns the records absorbed."""
    registry = Registry(local.build(local.Options(str(store))))
    publish_table(registry, policy(), classes=CLASSES)
    source = replay.build(replay.Options(str(recording)))
    stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
    start.found(source, registry, stream, SystemClock())
    registry.start()
    done = [0]

    def count(event: str, facts: dict[str, object]) -> None:
        if event == "absorbed":
            done[0] += int(str(facts["records"]))

    loop = Loop(
        source,
        registry,
        Engines(registry.store, KEY, threads=1),
        SystemClock(),
        Process(threads=1, batch_records=batch, poll_records=4 * batch),
        count,
    )
    loop.run()
    return done[0]


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        record(root / "recording", records)
        run(root / "recording", root / "warm-up")
        wall, cpu = time.perf_counter(), time.process_time()
        done = run(root / "recording", root / "store")
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        print(f"host path: {done / wall:,.0f} records/s wall, {done / cpu:,.0f} records/s CPU, "
              f"{1e6 * cpu / done:.2f} us CPU each ({done:,} records)")  # fmt: skip
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"peak resident memory: {peak:,.0f} MB")
        shutil.rmtree(root / "warm-up")
        if "--profile" in sys.argv:
            profile = cProfile.Profile()
            profile.runcall(run, root / "recording", root / "warm-up")
            pstats.Stats(profile).sort_stats("tottime").print_stats(35)


if __name__ == "__main__":
    main()

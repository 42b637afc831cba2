"""A process at work for minutes: resident memory, open files and threads must stay as they are.

    python -m tests.bench.bench_soak [--minutes N] [--rate N]

`sluice run` reads a real broker in windows of ten seconds. What the kernel counts after a warm-up
of half a minute is held against the end; of each stretch the largest: memory breathes with windows.
The memory of every stretch between is printed, too: what levels off and what does not have the same
ratio. The first windows fill the histograms' bins (a calibration's, and four are at hand).
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.bench.daemons import Process, World, quiet, until
from tests.kafka.broker import Broker
from tests.kafka.test_process import ask

WARM_UP, STRETCH = 30.0, 20.0  # seconds
BETWEEN = 9  # stretches that are told beside the first and the last
LANES = 4


def largest(process: Process, seconds: float) -> dict[str, int]:
    """Of each figure, over this time."""
    found, end = process.status(), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.5)
        found = {name: max(value, found[name]) for name, value in process.status().items()}
    return found


def scored(port: int) -> int:
    """Records that were scored, as /metrics says."""
    lines = ask(port, "metrics")[1].splitlines()
    values = [line.split()[-1] for line in lines if line.startswith("sluice_scored_records_total")]
    return int(float(values[0])) if values else 0


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_soak")
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--rate", type=int, default=2_000, help="utterances a second")
    given = parser.parse_args()
    quiet()
    with tempfile.TemporaryDirectory(prefix="bench-soak-") as scratch:
        settings = {"log.retention.bytes": 1 << 27}
        broker = Broker(Path(scratch) / "broker", settings=settings).start()
        try:
            world = World(Path(scratch), broker, lanes=LANES, period="10s", client={})
            with world.speaking(given.rate) as sent, Process(world, "process") as process:
                until(lambda: scored(world.port) > 0)
                time.sleep(WARM_UP)
                first = largest(process, STRETCH)
                rest = max(0.0, 60 * given.minutes - WARM_UP - 2 * STRETCH)
                told = [largest(process, rest / BETWEEN) for _ in range(BETWEEN)]
                last = largest(process, STRETCH)
                done, out = scored(world.port), sent[0]
                assert process.popen.poll() is None, "it ended"
                shards = len(process.events("shard"))
            print(f"soak: {given.minutes:g} min at {given.rate:,} utterances/s, "
                  f"{done:,} of {out:,} scored, {shards} shards")  # fmt: skip
            for name, before in first.items():
                ratio = last[name] / before
                since = last[name] / told[BETWEEN // 2][name]
                print(f"  {name:12} {before:>9,} -> {last[name]:>9,}: ratio {ratio:.3f}, "
                      f"since half time {since:.3f}")  # fmt: skip
            memory = " ".join(f"{at['resident_kb'] / 1024:.0f}" for at in (first, *told, last))
            print(f"  resident, MiB, from the first stretch to the last: {memory}")
        finally:
            broker.close()


if __name__ == "__main__":
    main()

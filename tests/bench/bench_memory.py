"""Resident memory of one long run: after a tenth of the records, and at the end.

    python -m tests.bench.bench_memory [RECORDS]

One process, the `table` model, two lanes, windows of 100,000 records, parts on a disk. The stream
is made up as it is read, so nothing but the daemon can grow.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from daemon.clock import SystemClock
from daemon.config.settings import Process, Stream
from daemon.loop import Loop
from daemon.ports import Batch, Closing, LaneId, LaneInfo, Polled
from daemon.registry.registry import Registry
from daemon.running import start
from daemon.running.engines import Engines
from daemon.stores import local
from tests.bench.bench_host import CLASSES, PER_WINDOW, PERIOD_MS, policy
from tests.streams import KEY, publish_table

START_MS = 1_700_000_040_000


class EndlessSource:
    """`records` of two lanes, made when they are polled."""

    trouble = ""

    def __init__(self, records: int) -> None:
        self.ends = {LaneId("u", lane): records // 2 for lane in range(2)}
        self.at = dict.fromkeys(self.ends, 0)
        self.paused: set[LaneId] = set()
        self.told = False

    def lanes(self) -> tuple[LaneInfo, ...]:
        return tuple(LaneInfo(lane, "utterances", "bench", 0) for lane in self.ends)

    def first_times(self) -> dict[LaneId, int]:
        return dict.fromkeys(self.ends, START_MS)

    def poll(self, limit: int) -> Polled:
        if not self.told:
            self.told = True
            return Polled((), tuple(self.ends))
        ready = [n for n in self.ends if n not in self.paused and self.at[n] < self.ends[n]]
        if not ready:
            return Polled(())
        lane = min(ready, key=lambda name: self.at[name])
        first, end = self.at[lane], min(self.at[lane] + limit, self.ends[lane])
        self.at[lane] = end
        numbers = np.arange(first, end, dtype=np.int64)
        times = START_MS + 2 * numbers * PERIOD_MS // PER_WINDOW
        values: list[bytes | None] = [
            b'{"id":"u%d-%d","text":"say %d times %d","nlu":{"intent":"%s"},"label":"%s",'
            b'"consent":true}'
            % (lane.partition, n, n * 7919 % 50_021, n % 13, CLASSES[n % 64].encode(),
               CLASSES[n * 7 % 64].encode())
            for n in numbers.tolist()
        ]  # fmt: skip
        return Polled((Batch(lane, numbers, times, values),))

    def seek(self, lane: LaneId, position: int) -> None:
        self.at[lane] = position

    def pause(self, lane: LaneId) -> None:
        self.paused.add(lane)

    def resume(self, lane: LaneId) -> None:
        self.paused.discard(lane)

    def end(self, lane: LaneId) -> int | None:
        return self.ends[lane]

    def finished(self, lane: LaneId) -> bool:
        return True

    def closings(self, lane: LaneId) -> tuple[Closing, ...] | None:
        return None

    def commit(self, positions: dict[LaneId, int]) -> None:
        pass

    def close(self) -> None:
        pass


def resident_mb() -> float:
    """Now, not the peak."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    records = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000_000
    with tempfile.TemporaryDirectory() as scratch:
        registry = Registry(local.build(local.Options(f"{scratch}/store")))
        publish_table(registry, policy(), classes=CLASSES)
        source = EndlessSource(records)
        stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
        start.found(source, registry, stream, SystemClock())
        registry.start()
        done, seen = 0, dict.fromkeys(("tenth", "whole"), 0.0)

        def count(event: str, facts: dict[str, object]) -> None:
            nonlocal done
            if event == "absorbed":
                done += int(str(facts["records"]))
                name = "tenth" if done <= records // 10 else "whole"
                # the larger of what was seen: memory breathes with the windows
                if done % 65_536 < 4_096:
                    seen[name] = max(seen[name], resident_mb())

        process = Process(threads=1, batch_records=4_096, poll_records=16_384)
        began = time.perf_counter()
        engines = Engines(registry.store, KEY, threads=1)
        Loop(source, registry, engines, SystemClock(), process, count).run()
        rate = done / (time.perf_counter() - began)
        print(
            f"resident memory: {seen['tenth']:.0f} MB up to {records // 10:,} records, "
            f"{seen['whole']:.0f} MB up to {done:,}: ratio {seen['whole'] / seen['tenth']:.3f} "
            f"({rate:,.0f} records/s)"
        )


if __name__ == "__main__":
    main()

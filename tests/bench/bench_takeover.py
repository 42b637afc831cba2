"""Seconds from kill -9 of one of two processes to the first record of its lanes in the other.

    python -m tests.bench.bench_takeover [TIMES] [--session-timeout-ms N]

Records flow all the time. The one that stays is in this process, so it is seen when a record of the
dead one's lanes is absorbed. Allowed: the session timeout and five seconds.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from daemon.clock import SystemClock
from daemon.config.reader import load
from daemon.loop import Loop
from daemon.ports import LaneId
from daemon.registry.registry import Registry
from daemon.running import start
from daemon.running.engines import Engines
from daemon.stores import local
from scoring import kinds
from tests.bench.daemons import SECONDS, Process, World, quiet
from tests.kafka.broker import Broker
from tests.streams import KEY

LANES, RATE, ALLOWED_SECONDS = 4, 500, 5.0


class Survivor:
    """A process's loop, turned here."""

    def __init__(self, world: World) -> None:
        config, clock = load(world.config), SystemClock()
        registry = Registry(local.build(local.Options(str(world.root / "store"))))
        registry.read_editions()
        source = kinds.load("daemon.sources", config.source.kind, config.source.options)
        start.found(source, registry, config.stream, clock)  # type: ignore[arg-type]
        registry.start()
        engines = Engines(registry.store, KEY, threads=1)
        self.loop = Loop(
            source, registry, engines, clock, config.process, lambda *_: None  # type: ignore[arg-type]
        )  # fmt: skip

    def until_lanes(self, count: int) -> None:
        """So many are ours, and each of them gives records."""
        deadline, seen = time.monotonic() + SECONDS, dict[LaneId, int]()
        while True:
            assert time.monotonic() < deadline, f"{len(self.loop.lanes)} lanes are ours"
            self.turn()
            seen = {n: seen.get(n, lane.absorbed) for n, lane in self.loop.lanes.items()}
            if len(seen) == count and all(self.loop.lanes[n].absorbed > seen[n] for n in seen):
                return

    def turn(self) -> None:
        if not self.loop.turn():
            time.sleep(0.02)

    def took_over(self) -> float:
        """Seconds until a record of a lane that was not ours is absorbed."""
        began, mine, others = time.monotonic(), set(self.loop.lanes), dict[LaneId, int]()
        while True:
            assert time.monotonic() < began + SECONDS, "nobody took the lanes over"
            self.turn()
            for name in self.loop.lanes.keys() - mine:
                lane = self.loop.lanes[name]
                if lane.absorbed > others.setdefault(name, lane.absorbed):
                    return time.monotonic() - began

    def close(self) -> None:
        self.loop._pipeline.close()
        self.loop.source.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_takeover")
    parser.add_argument("times", nargs="?", type=int, default=3)
    parser.add_argument("--session-timeout-ms", type=int, default=10_000)
    given = parser.parse_args()
    quiet()
    session = given.session_timeout_ms / 1000
    with tempfile.TemporaryDirectory(prefix="bench-takeover-") as scratch:
        broker = Broker(Path(scratch) / "broker").start()
        try:
            client = {"session_timeout_ms": given.session_timeout_ms}
            world = World(Path(scratch), broker, lanes=LANES, period="5s", client=client)
            with world.speaking(RATE):
                survivor = Survivor(world)
                survivor.until_lanes(LANES)
                for number in range(given.times):
                    with Process(world, f"victim-{number}") as victim:
                        survivor.until_lanes(LANES // 2)
                        victim.popen.kill()
                        took = survivor.took_over()
                    allowed = session + ALLOWED_SECONDS
                    print(
                        f"take-over after kill -9: {took:.1f} s, session timeout {session:.0f} s, "
                        f"{allowed:.0f} s allowed: ratio {took / allowed:.2f}",
                        flush=True,
                    )
                    survivor.until_lanes(LANES)
                survivor.close()
        finally:
            broker.close()


if __name__ == "__main__":
    main()

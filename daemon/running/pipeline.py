"""The model's queue: segments on their way, absorbed in the order in which they were taken.

One worker thread, because tokenisers, ONNX Runtime and CUDA release the interpreter's lock: the
next segment is decoded and scored while the core absorbs this one. The core never knows.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

from daemon.lanes.candidate import Prepared
from daemon.lanes.gather import Gathering
from daemon.lanes.lane import Lane
from daemon.lanes.window import Segment
from daemon.learning.rules import Rules
from daemon.ports import Batch, Clock
from daemon.running.engines import Engine, Engines


@dataclass(frozen=True, slots=True, eq=False)
class Ahead:
    """A segment on its way through the model."""

    lane: Lane
    rules: Rules
    values: list[bytes | None]
    future: Future[Timed]


class Timed(NamedTuple):
    """What came of it, and how long it took."""

    prepared: Prepared
    seconds: float


Absorbed = Callable[[Ahead, Timed], None]


class Pipeline:
    """At most `depth` segments ahead of the core."""

    def __init__(self, engines: Engines, depth: int, clock: Clock, absorbed: Absorbed) -> None:
        self._engines, self._depth, self._clock = engines, depth, clock
        self._absorbed = absorbed
        self._ahead: deque[Ahead] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    def send(self, lane: Lane, batch: Batch, segment: Segment) -> None:
        """Start on a segment of the lane's open window; absorbs the oldest ones if too many."""
        assert isinstance(lane.open, Gathering), "no utterance window is open"
        rules = lane.open.rules
        engine = self._engines.of(rules.edition)
        lane.take(int(batch.positions[segment.end - 1]) + 1, segment.time_ms)
        future = self._worker.submit(self._work, engine, rules, batch, segment)
        self._ahead.append(Ahead(lane, rules, batch.values[segment.first : segment.end], future))
        while len(self._ahead) > self._depth:
            self._absorb_oldest()

    def drain(self) -> bool:
        """Absorb all that is on its way; False if nothing was."""
        moved = bool(self._ahead)
        while self._ahead:
            self._absorb_oldest()
        return moved

    def drop(self) -> None:
        """Forget what is on its way: nothing of it is durable, so it will be read again."""
        while self._ahead:
            self._ahead.popleft().future.exception()  # waits: the model is used by one thread

    def close(self) -> None:
        """No more segments; those on their way are forgotten."""
        self._ahead.clear()
        self._worker.shutdown(wait=True, cancel_futures=True)

    def _absorb_oldest(self) -> None:
        ahead = self._ahead.popleft()
        timed = ahead.future.result()
        ahead.lane.absorb(timed.prepared)
        self._absorbed(ahead, timed)

    def _work(self, engine: Engine, rules: Rules, batch: Batch, segment: Segment) -> Timed:
        begun = self._clock.monotonic()
        prepared = engine.prepare(rules, batch, segment)
        return Timed(prepared, self._clock.monotonic() - begun)

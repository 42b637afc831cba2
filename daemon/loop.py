"""The loop: poll -> decode -> score -> weigh -> absorb -> perform, in one thread of control.

The model runs in one worker thread, a few segments ahead of the core; everything that decides
happens here, in order. A crash anywhere leaves whole objects only; the next start resumes at the
end of each lane's newest part.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from daemon.ending import Ending
from daemon.engines import Engines, build_pool
from daemon.gather import Gathering, Prepared
from daemon.intake import Intake
from daemon.lane import Labels, Lane, Open, PutPart
from daemon.pinning import Pinning
from daemon.policy import Limits
from daemon.ports import Batch, Clock, LaneId, Polled, Source
from daemon.registry import Registry
from daemon.settings import Process
from daemon.settle import Settler
from daemon.shard import ShardManifest
from daemon.start import stand
from daemon.window import Segment

IDLE_SECONDS = 0.05  # between looks at the store while every lane waits
Listener = Callable[[str, dict[str, object]], None]  # event, facts: numbers and closed words


@dataclass(slots=True, eq=False)
class Ahead:
    """A segment on its way through the model."""

    lane: LaneId
    records: int
    future: Future[Prepared]


class Loop:
    """One process at work on the lanes that its source gives it."""

    def __init__(
        self,
        source: Source,
        registry: Registry,
        engines: Engines,
        clock: Clock,
        process: Process,
        listener: Listener,
    ) -> None:
        self.source, self.registry, self.engines, self.clock = source, registry, engines, clock
        self.process, self.tell = process, listener
        self.pinning = Pinning(registry, engines)
        self.settler = Settler(registry, self.pinning, engines)
        self.intake = Intake(source, 2 * process.poll_records)
        self.lanes: dict[LaneId, Lane] = {}
        self.stopping = False
        self._ahead: deque[Ahead] = deque()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    def stop(self) -> None:
        """Finish what is on its way and leave; callable from a signal handler."""
        self.stopping = True

    def run(self) -> bool:
        """Until the recording ends (True) or `stop` was called (False)."""
        self.lanes = stand(self.source, self.registry)
        ending = Ending(self.source, self.registry, self.lanes, self.intake)
        try:
            while not self.stopping:
                moved = self.step()
                if not moved:
                    moved = self._perform_all(ending.effects())
                moved = self._settle() or moved
                if not moved and not self.registry.refresh():
                    if ending.complete():
                        return True
                    self.clock.sleep(IDLE_SECONDS)
            self._drain()
            return False
        finally:
            self._worker.shutdown(wait=True, cancel_futures=True)
            self.engines.close()
            self.source.close()

    def step(self) -> bool:
        """Poll, and move every lane that can move. True if anything moved."""
        moved = False
        # a lane that waits may hold records; one with nothing in hand must still be read, or the
        # two would wait for each other
        hungry = any(self.intake.head(lane) is None for lane in self.lanes)
        if hungry or self.intake.waiting() < self.process.poll_records:
            polled = self.intake.fill(self.process.poll_records)
            moved = bool(polled.batches)
            if polled.gained or polled.lost:
                self._reassign(polled)
        for lane in sorted(self.lanes.values(), key=lambda lane: (lane.time_ms, lane.lane)):
            moved = self._move(lane) or moved
        if not moved:
            moved = bool(self._ahead)
            self._drain()
        return moved

    def _reassign(self, polled: Polled) -> None:
        """Lost lanes lose their memory; gained ones stand at the end of their newest part."""
        self._drain()
        for lost in polled.lost:
            self.lanes.pop(lost, None)
        self.registry.refresh()
        for lane, standing in stand(self.source, self.registry, only=polled.gained).items():
            self.intake.drop(lane)
            self.lanes[lane] = standing

    def _move(self, lane: Lane) -> bool:
        """Send the lane's next segment to the model, or to its labels; False if it waits."""
        head = self.intake.head(lane.lane)
        if head is None:
            return False
        size = self.process.batch_records
        batch = Batch(
            head.lane, head.positions[:size], head.times_ms[:size], head.values[:size]
        )
        segment = next(lane.cut(batch, self.source.closings(lane.lane)), None)
        if segment is None:
            self.intake.take(lane.lane, len(batch.values))  # beyond the recorded parts
            return True
        if segment.window != lane.window:
            self._drain()
            if not self._turn(lane, segment):
                return False
        self.intake.take(lane.lane, segment.end)
        if lane.kind == "labels":
            lane.absorb_labels(batch, segment)
        else:
            self._send(lane, batch, segment)
        return True

    def _send(self, lane: Lane, batch: Batch, segment: Segment) -> None:
        assert isinstance(lane.open, Gathering)
        rules = lane.open.rules
        engine = self.engines.of(rules.edition)
        lane.take(int(batch.positions[segment.end - 1]) + 1, segment.time_ms)
        future = self._worker.submit(engine.prepare, rules, batch, segment)
        self._ahead.append(Ahead(lane.lane, segment.end - segment.first, future))
        while len(self._ahead) > self.process.read_ahead:
            self._absorb_oldest()

    def _absorb_oldest(self) -> None:
        ahead = self._ahead.popleft()
        prepared = ahead.future.result()
        self.lanes[ahead.lane].absorb(prepared)
        self.tell("absorbed", {"records": ahead.records})

    def _drain(self) -> None:
        while self._ahead:
            self._absorb_oldest()

    def _turn(self, lane: Lane, segment: Segment) -> bool:
        """Close what lies before the segment's window and open it; False: the lane waits."""
        for effect in lane.turn(segment.window, segment.opens_ms):
            if isinstance(effect, PutPart):
                if not self._put(effect):
                    return False
            else:
                return self._open(lane, effect)
        lane.begin(segment.window, Labels(Limits().value_bytes))
        return True

    def _open(self, lane: Lane, effect: Open) -> bool:
        opened = self.pinning.open(effect.window)
        if opened is None:
            return False
        pin, rules = opened
        if lane.lane not in pin.lanes:
            # a new partition: it covers this window empty, and wants the next (law 4)
            self._perform_all(lane.cover(effect.window, "record"))
            return False
        lane.engine = self.engines.of(rules.edition).model.engine
        scores = self.engines.of(rules.edition).scores
        gathering = Gathering(rules, build_pool(rules, rules.policy.pool), scores)
        lane.begin(effect.window, gathering)
        return True

    def _perform_all(self, effects: tuple[PutPart, ...]) -> bool:
        """Make parts durable in order; True if there was anything to do."""
        for effect in effects:
            if not self._put(effect):
                break
        return bool(effects)

    def _put(self, effect: PutPart) -> bool:
        """Make a part durable. Who comes second resumes at the lane's newest part (law 6)."""
        won = self.registry.put_part(effect.part)
        manifest = effect.part.manifest
        if not won:
            self.intake.drop(effect.lane)
            self.registry.refresh()
            stand(self.source, self.registry, again=self.lanes[effect.lane])
        self.tell(
            "part" if won else "lost_race",
            {
                "lane": str(effect.lane),
                "window": manifest.window,
                "through": manifest.through,
                "records": manifest.counts.records,
                "end": manifest.end,
                "closed_by": manifest.closed_by,
            },
        )
        if won:
            self._settle()
        return won

    def _settle(self) -> bool:
        """Every shard that can be made now; True if any was."""
        made: ShardManifest | None = self.settler.settle()
        moved = made is not None
        while made is not None:
            self.tell(
                "shard",
                {
                    "window": made.window,
                    "rows": made.rows,
                    "selected": made.arms.get("selected", 0),
                    "records": made.counts["records"],
                    "edition": made.edition,
                    "cold": made.cold,
                    "digest": made.rows_digest[:16],
                },
            )
            made = self.settler.settle()
        return moved

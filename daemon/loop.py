"""The loop: poll -> decode -> score -> weigh -> absorb -> perform, in one thread of control.

The model runs in one worker thread, a few segments ahead of the core; everything that decides
happens here, in order. A crash anywhere leaves whole objects only; the next start resumes at the
end of each lane's newest part.
"""

from __future__ import annotations

from daemon.config.settings import Process
from daemon.lanes.gather import Gathering
from daemon.lanes.labels import Labels
from daemon.lanes.lane import Lane, Open, PutPart
from daemon.lanes.window import Segment
from daemon.ports import Batch, CannotRun, Clock, LaneId, Retry, Source
from daemon.registry.registry import Registry
from daemon.running import facts
from daemon.running.ending import Ending
from daemon.running.engines import Engines
from daemon.running.intake import Intake
from daemon.running.pinning import Pinning
from daemon.running.pipeline import Ahead, Pipeline, Timed
from daemon.running.settle import Settler
from daemon.running.standing import Standing
from daemon.running.start import stand
from daemon.running.upkeep import Upkeep

IDLE_SECONDS = 0.05  # between looks at the store while every lane waits


class Loop:
    """One process at work on the lanes that its source gives it."""

    def __init__(
        self,
        source: Source,
        registry: Registry,
        engines: Engines,
        clock: Clock,
        process: Process,
        listener: facts.Listener,
    ) -> None:
        self.source, self.registry, self.engines, self.clock = source, registry, engines, clock
        self.process, self.tell = process, listener
        self.pinning = Pinning(registry, engines)
        self.settler = Settler(registry, self.pinning, engines)
        self.intake = Intake(source, 2 * process.poll_records)
        self.lanes: dict[LaneId, Lane] = {}
        self.ending = Ending(source, registry, self.lanes, self.intake)
        self.upkeep = Upkeep(source, self.lanes, clock, listener, lambda: None)
        self.stopping = False
        self._told: CannotRun | None = None
        self._pipeline = Pipeline(engines, process.read_ahead, clock, self._absorbed)
        self._standing = Standing(
            source, registry, self.intake, self.lanes, self._pipeline, clock, listener
        )

    def _absorbed(self, ahead: Ahead, timed: Timed) -> None:
        self.tell("absorbed", {"records": len(ahead.values), "seconds": timed.seconds})

    def stop(self) -> None:
        """Finish what is on its way and leave; callable from a signal handler."""
        self.stopping = True

    def run(self) -> bool:
        """Until the recording ends (True) or `stop` was called (False)."""
        try:
            while not self.stopping:
                try:
                    if not self.turn():
                        if self.ending.complete():
                            return True
                        self._refused()
                        self.clock.sleep(IDLE_SECONDS)
                except Retry as error:
                    self._standing.failed(error)
            self._pipeline.drain()
            return False
        finally:
            self._pipeline.close()
            self.engines.close()
            self.source.close()

    def turn(self) -> bool:
        """Everything that can be done now; False if nothing moved and nothing was new."""
        self._standing.stand_due()
        moved = self.step() or self._perform_all(self.ending.effects())
        moved = self._settle() or moved or self.registry.refresh()
        self.upkeep.due()
        return moved

    def _refused(self) -> None:
        """Say once what cannot run here (law 4); a recording has nobody else to wait for."""
        refused = self.pinning.refused
        if refused is None or refused is self._told:
            return
        if all(self.source.finished(lane) for lane in self.lanes):
            raise refused
        if str(refused) != str(self._told):
            self.tell("cannot_run", {"reason": str(refused)})
        self._told = refused

    def step(self) -> bool:
        """Poll, and move every lane that can move. True if anything moved."""
        moved = False
        # a lane that waits may hold records; one with nothing in hand must still be read, or the
        # two would wait for each other
        hungry = any(self.intake.head(lane) is None for lane in self.lanes)
        if hungry or self.intake.waiting() < self.process.poll_records:
            moved = self._poll()
        for lane in sorted(self.lanes.values(), key=lambda lane: (lane.time_ms, lane.lane)):
            moved = self._move(lane) or moved
        return moved or self._pipeline.drain()

    def _poll(self) -> bool:
        polled = self.intake.fill(self.process.poll_records)
        self.tell("polled", {"polled": polled})
        for hole in polled.holes:
            if hole.lane in self.lanes:
                self.lanes[hole.lane].holes.append(hole)
        if polled.gained or polled.lost:
            self._standing.reassign(polled)
        for name, position in polled.positions.items():
            if name in self.lanes and self.intake.head(name) is None:
                self.lanes[name].reach(position)
        return bool(polled.batches or polled.gained or polled.lost)

    def _move(self, lane: Lane) -> bool:
        """Send the lane's next segment to the model, or to its labels; False if it waits."""
        head = self.intake.head(lane.lane)
        if head is None:
            return False
        size = self.process.batch_records
        batch = Batch(head.lane, head.positions[:size], head.times_ms[:size], head.values[:size])
        segment = next(lane.cut(batch, self.source.closings(lane.lane)), None)
        if segment is None:
            self.intake.take(lane.lane, len(batch.values))  # beyond the recorded parts
            return True
        if segment.window != lane.window:
            self._pipeline.drain()
            lowest = lane.lowest
            if not self._turn(lane, segment):
                return lane.lowest != lowest  # it waits, or covered windows without opening one
        self.intake.take(lane.lane, segment.end)
        if lane.kind == "labels":
            lane.absorb_labels(batch, segment)
        else:
            self._pipeline.send(lane, batch, segment)
        return True

    def _turn(self, lane: Lane, segment: Segment) -> bool:
        """Close what lies before the segment's window and open it; False: the lane waits."""
        for effect in lane.turn(segment.window, segment.opens_ms):
            if isinstance(effect, PutPart):
                if not self._put(effect):
                    return False
            else:
                return self._open(lane, effect)
        lane.begin(segment.window, Labels())
        return True

    def _open(self, lane: Lane, effect: Open) -> bool:
        passed = self.pinning.passed(effect.window)
        opened = self.pinning.open(effect.window) if passed is None else None
        if opened is not None and lane.lane not in opened[0].lanes:
            passed = effect.window
        if passed is not None:
            # a new partition: it covers such windows empty, and wants the next (law 4)
            self._perform_all(lane.cover(passed, "record"))
        if passed is not None or opened is None:
            return False
        rules = opened[1]
        engine = self.engines.of(rules.edition)
        lane.engine = engine.model.engine
        lane.begin(effect.window, Gathering(rules, engine.grading.names))
        return True

    def _perform_all(self, effects: tuple[PutPart, ...]) -> bool:
        """Make parts durable in order; True if there was anything to do."""
        all(self._put(effect) for effect in effects)  # up to the first that lost its race
        return bool(effects)

    def _put(self, effect: PutPart) -> bool:
        """Make a part durable. Who comes second resumes at the lane's newest part (law 6)."""
        won = self.registry.put_part(effect.part)
        self._standing.worked()
        if not won:
            self.intake.drop(effect.lane)
            self.registry.refresh()
            stand(self.source, self.registry, again=self.lanes[effect.lane])
        manifest = effect.part.manifest
        told = {**facts.of_part(manifest), "manifest": manifest}
        self.tell("part" if won else "lost_race", told)
        if won:
            self._settle()
        return won

    def _settle(self) -> bool:
        """Every shard that can be made now; True if any was."""
        moved = False
        while (made := self.settler.settle()) is not None:
            self.tell("shard", facts.of_shard(made))
            moved = True
        return moved

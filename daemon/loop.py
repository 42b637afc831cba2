"""The loop: poll -> decode -> score -> weigh -> absorb -> perform, in one thread of control.

The model runs in one worker thread, a few segments ahead of the core; everything that decides
happens here, in order. A crash anywhere leaves whole objects only; the next start resumes at the
end of each lane's newest part.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress

from daemon.config.settings import Process
from daemon.lanes.lane import Lane, PutPart
from daemon.lanes.window import Segment
from daemon.ports import Batch, Clock, LaneId, Retry, Source
from daemon.registry.registry import Registry
from daemon.running import facts
from daemon.running.brakes import Brakes
from daemon.running.breaker import Breaker
from daemon.running.ending import Ending
from daemon.running.engines import Engines
from daemon.running.erasing import Eraser
from daemon.running.intake import Intake
from daemon.running.outgoing import Announcer, Letters
from daemon.running.performing import Performer
from daemon.running.pinning import Pinning
from daemon.running.pipeline import Ahead, Pipeline, Timed
from daemon.running.settle import Settler
from daemon.running.standing import Standing
from daemon.running.upkeep import Upkeep

IDLE_SECONDS = 0.05  # between looks at the store while every lane waits
UNHEARD = LOOK = 8  # turns without a poll, and without a look at the store
TURN_SECONDS = 1.0  # then a turn ends and the source is polled, however many lanes can move


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
        *,
        letters: Letters | None = None,
        announcer: Announcer | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        self.source, self.registry, self.engines, self.clock = source, registry, engines, clock
        self.process, self.tell = process, listener
        self.pinning = Pinning(registry, engines)
        self.intake = Intake(source, 2 * process.poll_records)
        self.lanes: dict[LaneId, Lane] = {}
        self.ending = Ending(source, registry, self.lanes, self.intake)
        assert registry.genesis is not None, "genesis comes first"
        ahead_ms = process.ahead_ms(registry.genesis.grace * registry.genesis.period_ms)
        self.brakes = Brakes(source, self.lanes, self.pinning, clock, listener, ahead_ms, breaker)
        self.letters = letters
        self.upkeep = Upkeep(source, self.lanes, clock, listener, letters, announcer)
        self.stopping = False
        self._unheard, self._polled_at = 0, clock.monotonic()  # turns since the last poll
        self._busy = self._idle = 0  # turns in a row in which something moved, or nothing
        self._pipeline = Pipeline(engines, process.read_ahead, clock, self._absorbed)
        self._standing = Standing(
            source, registry, self.intake, self.lanes, self._pipeline, clock, listener,
            lambda: self.stopping,
        )  # fmt: skip
        settler = Settler(registry, self.pinning, engines)
        self.performer = Performer(
            source, registry, engines, self.pinning, settler,
            Eraser(registry, engines.key, listener), self.intake, self._standing,
            listener, letters, self.lanes,
        )  # fmt: skip

    def _absorbed(self, ahead: Ahead, timed: Timed) -> None:
        if self.letters is not None:
            self.letters.absorbed(ahead, timed)
        reasons = Counter(str(refusal.reason) for refusal in timed.prepared.refusals)
        self.brakes.refusals(len(ahead.values), reasons)
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
                            self.upkeep.last()
                            return True
                        self.brakes.check()
                        self.clock.sleep(IDLE_SECONDS)
                except Retry as error:
                    self._standing.failed(error)
            with suppress(Retry):  # what is left, the next start reads and tells again
                self._pipeline.drain()
                self.upkeep.last()
            return False
        finally:
            self._pipeline.close()
            self.engines.close()
            self.source.close()

    def turn(self) -> bool:
        """Everything that can be done now; False if nothing moved and nothing was new."""
        self._standing.stand_due()
        if self.brakes.held():
            self._poll()  # nothing comes of paused lanes; the group hears of us
            self.upkeep.due(held=True)
            moved = False
        else:
            moved = self.step()
            # also beside steady work: idle lanes and other replicas must not wait for a pause
            self._busy = self._busy + 1 if moved else 0
            # who waits for long looks once a second: a look lists what is new of every lane
            near = self._busy % LOOK == 0 if self._busy else self._idle < LOOK
            if self.upkeep.due() or near:
                self._pipeline.drain()
                moved = self.performer.perform(self.ending.effects()) or moved
                moved = self.performer.refresh() or moved
            moved = self.performer.settle() or moved
        self._idle = 0 if moved else self._idle + 1
        self.brakes.show()
        self.tell("turned", {})
        return moved

    def step(self) -> bool:
        """Poll, and move every lane that can move. True if anything moved."""
        moved, began = False, self.clock.monotonic()
        # a lane that waits may hold records; one with nothing in hand must still be read, or the
        # two would wait for each other
        hungry = any(self.intake.head(lane) is None for lane in self.lanes)
        # lanes come and go while all that we have wait
        self._unheard += 1
        unheard = self._unheard > UNHEARD or began - self._polled_at > TURN_SECONDS
        if hungry or unheard or self.intake.waiting() < self.process.poll_records:
            moved = self._poll()
        for lane in self.lanes.values():
            lane.reach(self.intake.reached(lane.lane) or 0)
        for lane in sorted(self.lanes.values(), key=lambda lane: (lane.time_ms, lane.lane)):
            moved = self._move(lane) or moved
            if self.clock.monotonic() - began > TURN_SECONDS:
                break  # a turn does not grow with the lanes; those furthest behind went first
        return moved or self._pipeline.drain()

    def _poll(self) -> bool:
        self._unheard, self._polled_at = 0, self.clock.monotonic()
        polled = self.intake.fill(self.process.poll_records)
        self.tell("polled", {"polled": polled, "answered": not self.source.trouble})
        for hole in polled.holes:
            if hole.lane in self.lanes:
                self.lanes[hole.lane].holes.append(hole)
        if polled.gained or polled.lost:
            self._standing.reassign(polled)
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
            if self.brakes.ahead(lane, segment):
                return False
            self._pipeline.drain()
            lowest = lane.lowest
            if not self._turn(lane, segment):
                return lane.lowest != lowest  # it waits, or covered windows without opening one
        self.intake.take(lane.lane, segment.end)
        if lane.kind == "utterances":
            self._pipeline.send(lane, batch, segment)
        else:
            self.performer.hear(lane, batch, segment)
        return True

    def _turn(self, lane: Lane, segment: Segment) -> bool:
        """Close what lies before the segment's window and open it; False: the lane waits."""
        for effect in lane.turn(segment.window, segment.opens_ms):
            if isinstance(effect, PutPart):
                if not self.performer.put(effect):
                    return False
            else:
                return self.performer.open(lane, effect)
        self.performer.begin(lane, segment.window)
        return True

"""Who waits for what: coverage of lanes, pins and shards, as pure bookkeeping (laws 3 to 5).

Nothing waits in a circle when lag >= 2 + grace + label_wait: tests/simulation holds it.
"""

from __future__ import annotations

from typing import NamedTuple

from daemon.lanes import window as windows
from daemon.lanes.genesis import Genesis
from daemon.lanes.pin import FIRST, Pin
from daemon.ports import LaneId


class Covered(NamedTuple):
    """What a part covers."""

    lane: LaneId
    window: int
    through: int
    start: int
    end: int
    time_ms: int
    records: int  # of an utterance lane; 0 for those of labels and erasures


class Progress:
    """What is durable, as far as this process has seen it. Grows only."""

    def __init__(self, genesis: Genesis) -> None:
        self.genesis = genesis
        self.pins: dict[int, Pin] = {}  # but for gaps
        self.pinned = genesis.first_window - 1  # the last window that pins cover, gaps too
        self.shards: list[int] = []  # ascending
        self.seen: set[LaneId] = {
            entry.lane for entry in genesis.lanes if entry.kind == "utterances"
        }
        # of labels and of erasures: what comes late, and is waited for alike (law 8)
        self.label_lanes = {e.lane for e in genesis.lanes if e.kind != "utterances"}
        self.erasure_topics = {e.topic for e in genesis.lanes if e.kind == "erasures"}
        self.newest: dict[LaneId, Covered] = {}
        self._records: dict[int, int] = {}  # window -> records in parts, while it has no shard
        self._parts: dict[LaneId, dict[int, Covered]] = {}  # not yet settled

    def lanes(self) -> tuple[LaneId, ...]:
        """Every lane whose parts matter."""
        return tuple(sorted(self.seen | self.label_lanes))

    def saw(self, lane: LaneId) -> None:
        """A partition that the genesis does not know; a topic holds lanes of one kind."""
        labels = {e.topic for e in self.genesis.lanes if e.kind != "utterances"}
        (self.label_lanes if lane.topic in labels else self.seen).add(lane)

    def pin(self, pin: Pin) -> None:
        """Pins arrive in order."""
        self.pinned = max(self.pinned, pin.through)
        if pin.gap_through is None:
            self.pins[pin.window] = pin
            self.seen.update(pin.lanes)
            self.label_lanes.update(pin.label_lanes)

    def shard(self, window: int) -> None:
        if not self.shards or window > self.shards[-1]:
            self.shards.append(window)
        self._forget()

    def cover(self, covered: Covered) -> None:
        """A part became durable. Parts of a lane arrive in order."""
        newest = self.newest.get(covered.lane)
        if newest is not None and covered.window <= newest.through:
            return
        self.newest[covered.lane] = covered
        self._parts.setdefault(covered.lane, {})[covered.window] = covered
        if covered.records:
            total = self._records.get(covered.window, 0)
            self._records[covered.window] = total + covered.records

    def through(self, lane: LaneId) -> int:
        """The last window that the lane's parts cover."""
        newest = self.newest.get(lane)
        return newest.through if newest else self.genesis.first_window - 1

    def part_windows(self, lane: LaneId, first: int, last: int) -> list[int]:
        """Names of the parts that cover windows [first, last], as far as they are not settled."""
        parts = self._parts.get(lane, {}).values()
        return [c.window for c in parts if c.window <= last and c.through >= first]

    def roster(self) -> tuple[LaneId, ...]:
        """Of the newest pin: every window without a pin has at least these."""
        if self.pins:
            return self.pins[max(self.pins)].lanes
        return tuple(e.lane for e in self.genesis.lanes if e.kind == "utterances")

    def first_of(self, lane: LaneId) -> int:
        """Where a partition begins that the genesis does not know and that has no part yet.

        In the first window whose pin names it, else behind the newest pin (law 4): so a crash
        before its first part changes nothing.
        """
        naming = [w for w, pin in self.pins.items() if lane in (*pin.lanes, *pin.label_lanes)]
        return min(naming, default=self.pinned + 1)

    def covered(self, lanes: tuple[LaneId, ...], window: int) -> bool:
        return all(self.through(lane) >= window for lane in lanes)

    def next_shard(self) -> int | None:
        """The oldest pinned window with records and without a shard, if its parts are there."""
        last = self.shards[-1] if self.shards else self.genesis.first_window - 1
        for window in sorted(w for w in self.pins if w > last):
            if not self.covered(self.pins[window].lanes, window):
                return None
            if not self._records.get(window):
                continue  # nobody had a record: no shard, the calibration is the one before
            labels = self.pins[window].label_lanes
            if not self.covered(labels, window + self.genesis.label_wait):
                return None
            return window
        return None

    def unmade(self) -> list[int]:
        """Windows with records in parts, and without a shard."""
        last = self.shards[-1] if self.shards else self.genesis.first_window - 1
        return [w for w, records in self._records.items() if records and w > last]

    def settled(self, window: int) -> bool:
        """Nothing that could still change what was learnt up to `window` is missing."""
        last = self.shards[-1] if self.shards else self.genesis.first_window - 1
        for pinned in [w for w in self.pins if last < w <= window]:
            # each by its own roster: a lane that came later never had the windows before it
            if self._records.get(pinned) or not self.covered(self.pins[pinned].lanes, pinned):
                return False
        # pins leave no window out: what lies in a gap was passed by all without a record
        return window <= self.pinned or self.covered(self.roster(), window)

    def calibration_for(self, window: int) -> int | None:
        """The calibration of `window - lag` as the shard that carries it; None: wait for it.

        There is no fallback: "the newest that I can see" made pins differ between schedules in
        51 of 60 simulated worlds.
        """
        learnt = window - self.genesis.lag
        if learnt < self.genesis.first_window:
            return FIRST
        if not self.settled(learnt):
            return None
        return max((w for w in self.shards if w <= learnt), default=FIRST)

    def evidence(self, lane: LaneId) -> int:
        """The newest window that an idle `lane` may close, by what other lanes' parts state."""
        latest = max((c.time_ms for c in self.newest.values() if c.lane != lane), default=-1)
        return windows.closable(latest, grace=self.genesis.grace, period_ms=self.genesis.period_ms)

    @property
    def keep(self) -> int:
        """Windows before this are settled and asked for by nobody."""
        return self.shards[-1] - self.genesis.lag if self.shards else self.genesis.first_window

    def _forget(self) -> None:
        keep = self.keep
        for per_lane in self._parts.values():
            for window in [w for w, c in per_lane.items() if c.through < keep]:
                del per_lane[window]
        for window in [w for w in self._records if w < keep]:
            del self._records[window]
        for window in [w for w in self.pins if w < keep]:
            del self.pins[window]
        del self.shards[: -2 * self.genesis.lag - 2]

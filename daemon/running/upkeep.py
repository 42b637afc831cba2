"""What a live process does every second beside its work: offsets, and how far behind it is."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.lanes.lane import Lane
from daemon.ports import Clock, LaneId, Source
from daemon.running.facts import Listener
from daemon.running.outgoing import Announcer, Letters

SECONDS = 1.0
LAG_SECONDS = 5.0  # each look asks the source for the end of every lane


@dataclass(slots=True, eq=False)
class Upkeep:
    """Offsets are told after the letters of what they pass were acknowledged."""

    source: Source
    lanes: dict[LaneId, Lane]
    clock: Clock
    tell: Listener
    letters: Letters | None
    announcer: Announcer | None
    _at: float = 0.0
    _lag_at: float = 0.0

    def due(self) -> None:
        """Do what is due. Raises Retry where letters or announcements are not acknowledged."""
        now = self.clock.monotonic()
        if now < self._at:
            return
        self._at = now + SECONDS
        self.last()
        if now >= self._lag_at:
            self._lag_at = now + LAG_SECONDS
            lags = {lane.lane: self._lag(lane) for lane in self.lanes.values()}
            self.tell("lags", {"lags": lags})

    def last(self) -> None:
        """What must not wait for the next time: there may be none. Raises Retry."""
        if self.letters is not None:
            self.letters.flush()
        self.source.commit({lane.lane: lane.absorbed for lane in self.lanes.values()})
        if self.announcer is not None:
            self.announcer.due()

    def _lag(self, lane: Lane) -> tuple[int, float]:
        """Records and seconds that a lane is behind."""
        end = self.source.end(lane.lane)
        records = max(0, end - lane.absorbed) if end is not None else 0
        seconds = self.clock.now() - lane.time_ms / 1000 if records and lane.time_ms >= 0 else 0.0
        return records, max(0.0, seconds)

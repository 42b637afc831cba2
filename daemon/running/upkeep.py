"""What a live process does every second beside its work: offsets, news, how far behind it is."""

from __future__ import annotations

from dataclasses import dataclass

from daemon.lanes.lane import Lane
from daemon.ports import Clock, LaneId, Retry, Source
from daemon.running.facts import Listener
from daemon.running.outgoing import Announcer, Letters

SECONDS = 1.0
LAG_SECONDS = 5.0  # each look asks the source for the end of every lane
NEWS_SECONDS = 30.0  # until news that nobody took is told again


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
    _news_at: float = 0.0

    def due(self, *, held: bool = False) -> bool:
        """Do what is due; False: nothing was. `held`: offsets stay. Raises Retry for letters."""
        now = self.clock.monotonic()
        if now < self._at:
            return False
        self._at = now + SECONDS
        if self.letters is not None:
            self.letters.flush()
        if not held:
            self.source.commit({lane.lane: lane.absorbed for lane in self.lanes.values()})
        self._announce(now)
        if now >= self._lag_at:
            self._lag_at = now + LAG_SECONDS
            lags = {lane.lane: self._lag(lane) for lane in self.lanes.values()}
            self.tell("lags", {"lags": lags})
        return True

    def last(self) -> None:
        """What must not wait for the next time: there may be none. Raises Retry."""
        if self.letters is not None:
            self.letters.flush()
        self.source.commit({lane.lane: lane.absorbed for lane in self.lanes.values()})
        if self.announcer is not None:
            self.announcer.due()

    def _announce(self, now: float) -> None:
        """No lane waits for news: what is not taken is told later, from the store."""
        if self.announcer is None or now < self._news_at:
            return
        try:
            self.announcer.due()
        except Retry:
            self._news_at = now + NEWS_SECONDS
            self.tell("news_wait", {"seconds": NEWS_SECONDS})

    def _lag(self, lane: Lane) -> tuple[int | None, float]:
        """Records and seconds that a lane is behind; of records None while its end is not known.

        Behind an open transaction there may be anything: such a lane is not at its end.
        """
        end = self.source.end(lane.lane)
        records = max(0, end - lane.absorbed) if end is not None else None
        behind = records != 0 and lane.time_ms >= 0
        return records, max(0.0, self.clock.now() - lane.time_ms / 1000) if behind else 0.0

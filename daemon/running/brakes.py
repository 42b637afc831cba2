"""Why lanes stand still though nothing is missing: it heals, or somebody must act; said once."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

from daemon.lanes.lane import Lane
from daemon.lanes.window import Segment
from daemon.ports import CannotRun, Clock, LaneId, Source
from daemon.running.breaker import Breaker
from daemon.running.facts import Listener
from daemon.running.pinning import Pinning


@dataclass(slots=True, eq=False)
class Brakes:
    """`ahead_ms`: how far a record may claim to be ahead of our clock.

    A broker's clock that jumps would close windows for good: a lane's time never goes back.
    """

    source: Source
    lanes: dict[LaneId, Lane]
    pinning: Pinning
    clock: Clock
    tell: Listener
    ahead_ms: int
    breaker: Breaker | None = None
    _held: bool = False
    _told: CannotRun | None = None
    _ahead: set[LaneId] = field(default_factory=set)
    _shown: int = 0
    _recent: deque[tuple[int, Counter[str]]] = field(default_factory=deque)  # as the breaker sees
    _seen: int = 0

    def ahead(self, lane: Lane, segment: Segment) -> bool:
        """The segment would open a window that has not come: the lane waits for our clock."""
        limit_ms = self.clock.now() * 1000 + self.ahead_ms
        if segment.opens_ms <= limit_ms or self.source.finished(lane.lane):
            self._ahead.discard(lane.lane)
            return False
        if lane.lane not in self._ahead:
            self._ahead.add(lane.lane)
            self.tell(
                "ahead",
                {
                    "lane": str(lane.lane),
                    "position": lane.position,
                    "seconds": round(segment.opens_ms / 1000 - self.clock.now()),
                },
            )
        return True

    def show(self) -> None:
        """Tell how many lanes are ahead of our clock, where that has changed."""
        self._ahead &= self.lanes.keys()  # a lane that was lost is not ours to hold
        if len(self._ahead) != self._shown:
            self._shown = len(self._ahead)
            self.tell("ahead_lanes", {"lanes": self._shown})

    def refusals(self, records: int, reasons: Counter[str]) -> None:
        """So many records were read, of which these were refused before they could be scored."""
        if self.breaker is not None:
            self.breaker.add(records, reasons.total())
            self._recent.append((records, reasons))
            self._seen += records
            while self._seen - self._recent[0][0] >= self.breaker.records:
                self._seen -= self._recent.popleft()[0]

    def held(self) -> bool:
        """So much is refused that the schema must have changed: nothing more is made durable.

        Only for live lanes. Lanes stay paused until the process is started again.
        """
        breaker = self.breaker
        if breaker is None or not (self._held or breaker.tripped):
            return False
        if all(self.source.finished(lane) for lane in self.lanes):
            return False
        for lane in self.lanes:
            self.source.pause(lane)
        if not self._held:
            self._held = True
            every = sum((reasons for _, reasons in self._recent), Counter[str]())
            worst = next((reason for reason, _ in every.most_common(1)), "")
            counts = {"refused": breaker.refused, "records": breaker.records}
            self.tell("breaker", {**counts, "worst_reason": worst})
        return True

    def check(self) -> None:
        """Say once what cannot run here (law 4). Raises it where nobody else will come."""
        refused = self.pinning.refused
        if refused is self._told:
            return
        if refused is None:
            self._told = None
            self.tell("can_run", {})
            return
        if all(self.source.finished(lane) for lane in self.lanes):
            raise refused
        if str(refused) != str(self._told):
            self.tell("cannot_run", {"reason": str(refused)})
        self._told = refused

"""Lanes to be stood at the end of their newest part: gained ones, and all after a failure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from daemon.lanes.lane import Lane
from daemon.ports import Clock, LaneId, Polled, Retry, Source
from daemon.registry.registry import Registry
from daemon.running.facts import Listener
from daemon.running.intake import Intake
from daemon.running.pipeline import Pipeline
from daemon.running.start import stand

RETRIES, RETRY_SECONDS, RETRY_SECONDS_MAX = 12, 0.05, 30.0  # some minutes in all
SLICE_SECONDS = 0.5  # a signal is heard within this
WELL_SECONDS = 600.0  # without a failure: the next one is the first again


@dataclass(slots=True, eq=False)
class Standing:
    """Remembers what is to be stood until it is: a store may fail in the middle of that, too."""

    source: Source
    registry: Registry
    intake: Intake
    lanes: dict[LaneId, Lane]
    pipeline: Pipeline
    clock: Clock
    tell: Listener
    stopping: Callable[[], bool] = lambda: False
    _due: set[LaneId] = field(default_factory=set)
    _failures: int = 0  # in a row
    _failed_at: float = 0.0

    def worked(self) -> None:
        """Something became durable: the store is well."""
        self._failures = 0

    def failed(self, error: Retry) -> None:
        """A store that failed may heal. What was not made durable is read again, as after a crash.

        Raises the error once it came more than RETRIES times in a row: nothing was made durable in
        between, and less than WELL_SECONDS went by.
        """
        # a quiet stream makes nothing durable for days, and blips that heal at once are no row
        now = self.clock.monotonic()
        self._failures = 1 if now - self._failed_at > WELL_SECONDS else self._failures + 1
        self._failed_at = now
        self.tell("retry", {"failures": self._failures})
        if self._failures > RETRIES:
            raise error
        self._due |= set(self.lanes)
        left = min(RETRY_SECONDS_MAX, RETRY_SECONDS * 2**self._failures)
        while left > 0 and not self.stopping():
            self.clock.sleep(min(left, SLICE_SECONDS))
            left -= SLICE_SECONDS
            self.tell("waited", {})

    def reassign(self, polled: Polled) -> None:
        """Lost lanes lose their memory; gained ones are stood. A Retry forgets neither."""
        for lost in polled.lost:
            self.lanes.pop(lost, None)
        self._due.difference_update(polled.lost)
        self._due.update(polled.gained)
        self.pipeline.drain()
        self.stand_due()

    def stand_due(self) -> None:
        """Stand what is to be stood. A Retry leaves all of it for the next time."""
        if not self._due:
            return
        self.pipeline.drop()  # of lanes that are stood: whoever gains some has drained before
        self.registry.refresh()
        standing = stand(self.source, self.registry, only=tuple(self._due))
        for lane in standing:
            self.intake.drop(lane)
        self.lanes.update(standing)
        self._due.clear()

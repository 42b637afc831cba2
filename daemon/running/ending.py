"""Idle lanes: what may be closed on evidence, and how a recording ends (law 3)."""

from __future__ import annotations

from collections.abc import Container

from daemon.lanes.lane import Lane, PutPart
from daemon.lanes.window import window_of
from daemon.ports import LaneId, Source
from daemon.registry.registry import Registry
from daemon.running.intake import Intake


class Ending:
    """Looks at lanes that have nothing in hand."""

    def __init__(
        self, source: Source, registry: Registry, lanes: dict[LaneId, Lane], intake: Intake
    ) -> None:
        self._source, self._registry, self._lanes = source, registry, lanes
        self._intake = intake

    def effects(self) -> tuple[PutPart, ...]:
        """Parts of the first idle lane that may close something now."""
        progress = self._registry.progress
        assert progress is not None
        utterances_end = self._ended({"utterances"})
        last = self._last_window()
        for lane in self._lanes.values():
            if self._intake.head(lane.lane) is not None:
                continue
            through = progress.evidence(lane.lane)
            by = "evidence"
            over = utterances_end and self._ended_lane(lane)
            if over and last >= lane.lowest:
                through, by = max(through, last), "end"
            closings = self._source.closings(lane.lane)
            if closings is not None:  # a recorded run ends where its parts end
                through, by = (closings[-1].through if closings else -1), "end"
                if not self._ended_lane(lane):
                    continue
            if through < lane.lowest:
                continue
            # the end is fetched after the evidence was seen, never before
            if self._source.end(lane.lane) == lane.position:
                effects = lane.cover(through, by)
                if effects:
                    return effects
        return ()

    def _last_window(self) -> int:
        """The last window of a recording that ends, label lanes waited for."""
        genesis = self._registry.genesis
        assert genesis is not None
        progress = self._registry.progress
        assert progress is not None
        reached = [
            max(window_of(lane.time_ms, genesis.period_ms), lane.window)
            for lane in self._lanes.values()
            if lane.kind == "utterances"
        ]
        # a late record stands in a window beyond its lane's time: a part tells, once it is closed
        return max([*reached, *progress.unmade()], default=-1) + genesis.label_wait

    def _ended_lane(self, lane: Lane) -> bool:
        return (
            self._source.finished(lane.lane)
            and self._intake.head(lane.lane) is None
            and self._source.end(lane.lane) == lane.position
        )

    def _ended(self, kinds: Container[str]) -> bool:
        return all(self._ended_lane(lane) for lane in self._lanes.values() if lane.kind in kinds)

    def complete(self) -> bool:
        """Every lane has ended and is covered, and no shard is missing."""
        progress = self._registry.progress
        assert progress is not None
        if not self._lanes or not self._ended({"utterances", "labels", "erasures"}):
            return False
        last = self._last_window()
        for lane in self._lanes.values():
            closings = self._source.closings(lane.lane)
            through = closings[-1].through if closings else last
            if closings != () and progress.through(lane.lane) < through:
                return False
        # recorded cuts end before the last shards could be made, as live runs do
        recorded = any(self._source.closings(lane) for lane in self._lanes)
        return progress.next_shard() is None and (recorded or not progress.unmade())

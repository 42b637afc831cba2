"""The core: one lane, from batches to effects. Pure: no clock, no I/O, no randomness.

Rules of this file:
1. A lane's time is the running maximum of its append times, and nothing else (law 3).
2. A window opens only with rules in hand; who wants it gets `Open` and waits (law 4).
3. A part's start is the end of the part before; its name says only which window (law 6).
4. Windows without a record are one empty part, `window..through`.
5. Nothing is kept that a re-read from the newest part's end would not rebuild.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from daemon.lanes import part as parts
from daemon.lanes import window as windows
from daemon.lanes.candidate import Prepared
from daemon.lanes.gather import Gathering
from daemon.lanes.labels import Labels
from daemon.lanes.part import Part, PartManifest
from daemon.lanes.window import NO_TIME, Segment
from daemon.ports import Batch, Closing, Hole, LaneId


@dataclass(frozen=True, slots=True)
class Open:
    """The lane has a record of this window and waits for its rules."""

    lane: LaneId
    window: int


@dataclass(frozen=True, slots=True, eq=False)
class PutPart:
    """A window (or a run of empty ones) is closed: make it durable before anything else."""

    lane: LaneId
    part: Part


Effect = Open | PutPart


class Lane:
    """Where a lane stands, and its open window."""

    def __init__(self, lane: LaneId, kind: str, topic_id: str, *, period_ms: int) -> None:
        self.lane, self.kind, self.topic_id = lane, kind, topic_id
        self.period_ms = period_ms
        self.position = 0  # next to read
        self.time_ms = NO_TIME
        self.lowest = 0  # first window that no part covers
        self.start = 0  # position where the next part starts
        self.open: Gathering | Labels | None = None
        self.window = -1  # the open window, -1 if none
        self.engine = ""
        self.taken = 0  # segments taken and not yet absorbed
        self.absorbed = 0  # what lies before was decided on; `position` may be ahead
        self.holes: list[Hole] = []  # that no part states yet

    def resume(self, position: int, lowest: int, time_ms: int) -> None:
        """Drop all memory and stand at the end of a part (or at the genesis)."""
        self.position = self.start = self.absorbed = position
        self.lowest, self.time_ms = lowest, time_ms
        self.holes = [hole for hole in self.holes if hole.first >= position]
        self.open, self.window, self.taken = None, -1, 0

    def cut(self, batch: Batch, closings: tuple[Closing, ...] | None = None) -> Iterator[Segment]:
        """The segments of a batch that starts at this lane's position."""
        if closings is not None:
            yield from self._cut_as_recorded(batch, closings)
            return
        yield from windows.segments(
            batch.times_ms,
            lane_time_ms=self.time_ms,
            lowest=max(self.lowest, self.window),
            period_ms=self.period_ms,
        )

    def _cut_as_recorded(self, batch: Batch, closings: tuple[Closing, ...]) -> Iterator[Segment]:
        """Cuts of a recorded run: a part's range says the window, whatever the times say."""
        time_ms = self.time_ms
        reached = bisect.bisect_right(closings, int(batch.positions[0]), key=lambda c: c.end)
        for closing in closings[reached:]:
            first, end = np.searchsorted(batch.positions, [closing.start, closing.end]).tolist()
            if first == len(batch.positions):
                return
            if first == end:
                continue
            times = batch.times_ms[first:end]
            late = int((times // self.period_ms < closing.window).sum())
            opens_ms = max(time_ms, int(times[0]))
            time_ms = max(time_ms, int(times.max()))
            yield Segment(closing.window, first, end, late, opens_ms, time_ms)

    def turn(self, window: int, opens_ms: int) -> tuple[Effect, ...]:
        """The next record is of `window`: close what lies before it, then ask for it.

        The closing record's time is the lane's time from here on: the parts state it.
        """
        if window == self.window:
            return ()
        self.time_ms = max(self.time_ms, opens_ms)
        effects: list[Effect] = [*self.cover(window - 1, "record")]
        if self.kind == "utterances":
            effects.append(Open(self.lane, window))
        return tuple(effects)

    def begin(self, window: int, gathering: Gathering | Labels) -> None:
        """Open a window with what collects it; every window before it is covered."""
        assert window == self.lowest and self.open is None, "a window opens after those before it"
        self.open, self.window = gathering, window

    def take(self, end: int, time_ms: int) -> None:
        """Records up to `end` are on their way through the model: the next cut starts there."""
        self.position, self.time_ms = end, time_ms
        self.taken += 1

    def reach(self, position: int) -> None:
        """What is left up to here are marks of the log."""
        self.position = max(self.position, position)
        if not self.taken:
            self.absorbed = self.position

    def absorb(self, prepared: Prepared) -> None:
        """Decoded, scored and weighed records of the open window, in the order taken."""
        assert isinstance(self.open, Gathering)
        self.open.absorb(prepared)
        self.taken -= 1
        self.absorbed = int(prepared.positions[-1]) + 1 if self.taken else self.position

    def absorb_labels(self, batch: Batch, segment: Segment) -> None:
        """Records of a label lane, for the open window."""
        assert isinstance(self.open, Labels), "no label window is open"
        self.open.absorb(batch, segment)
        self.position = self.absorbed = int(batch.positions[segment.end - 1]) + 1
        self.time_ms = segment.time_ms

    def cover(self, through: int, closed_by: str) -> tuple[PutPart, ...]:
        """Close the open window, then cover the empty ones up to `through`, inclusive."""
        effects: list[PutPart] = []
        if self.open is not None and self.window <= through:
            effects.append(PutPart(self.lane, self._close(closed_by)))
        if self.open is None and self.lowest <= through:
            effects.append(PutPart(self.lane, self._empty(through, closed_by)))
        return tuple(effects)

    def _close(self, closed_by: str) -> Part:
        """The part of the open window; the lane then stands at its end."""
        assert not self.taken, "a window closes after all its records are absorbed"
        manifest, ledger = self._manifest(self.window, self.window, closed_by), b""
        rows: dict[str, list[Any]]
        if isinstance(self.open, Labels):
            rows = self.open.rows
        else:
            assert self.open is not None
            rules = self.open.rules
            pool_taus, waiting_taus, arm_taus = self.open.taus()
            rows, (ledger, digest) = self.open.rows(), self.open.ledger.finish()
            manifest = parts.with_content(
                manifest,
                edition=rules.edition.number,
                calibration=rules.calibration,
                counts=self.open.counts(),
                pool_taus=pool_taus,
                waiting_taus=waiting_taus,
                arm_taus=arm_taus,
                scores=self.open.scores,
                ledger=parts.ledger_name(self.lane, self.window, digest),
                ledger_digest=digest,
                engine=self.engine,
            )
        self.resume(self.position, self.window + 1, self.time_ms)
        return parts.seal(Part(manifest, rows, ledger))

    def _empty(self, through: int, closed_by: str) -> Part:
        """One part for a run of windows without a record."""
        manifest = self._manifest(self.lowest, through, closed_by)
        self.resume(self.position, through + 1, self.time_ms)
        return parts.seal(Part(manifest, {n: [] for n in parts.row_types(self.kind, ())}))

    def _manifest(self, window: int, through: int, closed_by: str) -> PartManifest:
        return PartManifest(
            topic=self.lane.topic,
            partition=self.lane.partition,
            topic_id=self.topic_id,
            kind=self.kind,
            window=window,
            through=through,
            start=self.start,
            end=self.position,
            time_ms=self.time_ms,
            closed_by=closed_by,
            lost=tuple((h.first, h.end) for h in self.holes if h.first < self.position),
        )

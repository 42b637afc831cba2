"""A source that reads a recording: the lanes of a run, at any speed, as often as needed.

Which lane is read next never changes a result (law 1); `order` exists to show that, and to keep
lanes together in record time, so that windows close early and little is held.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, Struct

from daemon.ports import Batch, Closing, LaneId, LaneInfo, Polled, Source
from daemon.recording.lanefile import Columns
from daemon.recording.playback import LaneReader, Recording, open_recording

_BEYOND = 2**63 - 1


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """`path`: folder of the recording.

    `order`: which lanes are read first: those furthest behind in record time, each in turn, or as
    a number decides. `lanes_at_once`: batches in one answer. `read_ahead_bytes`: held per lane.
    """

    path: Annotated[str, Meta(min_length=1)]
    order: Literal["behind", "round-robin"] | Annotated[int, Meta(ge=0)] = "behind"
    lanes_at_once: Annotated[int, Meta(ge=1)] = 1
    read_ahead_bytes: Annotated[int, Meta(ge=1, le=1 << 28)] = 1 << 18


def build(options: Options) -> Source:
    """The source over `options.path`. Raises Fatal for what is not a recording."""
    return ReplaySource(open_recording(Path(options.path)), options)


class ReplaySource:
    """All lanes are gained in the first answer; `assign` says otherwise, as a group would."""

    trouble = ""

    def __init__(self, recording: Recording, options: Options) -> None:
        self.recording = recording
        self._options = options
        self._turn = 0
        self._lanes: dict[LaneId, _Lane] = {}
        self._ends: dict[LaneId, int] = {}
        self._assigned = set(recording.lanes)

    def assign(self, lanes: Iterable[LaneId]) -> None:
        """These lanes are ours: the next answer says what is gained and lost by that."""
        self._assigned = set(lanes)

    def lanes(self) -> tuple[LaneInfo, ...]:
        return tuple(self.recording.lanes.values())

    def first_times(self) -> dict[LaneId, int]:
        found = {}
        for lane, info in self.recording.lanes.items():
            reader = self._reader(lane)
            reader.seek(info.start)
            columns = reader.read()
            reader.close()
            if columns is not None:
                found[lane] = int(columns.times_ms[0])
        return found

    def poll(self, limit: int) -> Polled:
        if self._lanes.keys() != self._assigned:
            return self._reassign()
        ready = [lane for lane, state in self._lanes.items() if state.ready()]
        chosen = self._first(ready)[: min(self._options.lanes_at_once, limit)]
        batches = []
        for left, lane in zip(range(len(chosen), 0, -1), chosen, strict=True):
            batches.append(self._lanes[lane].take(lane, limit // left, self._turn))
            limit -= len(batches[-1].values)
        self._turn += 1
        spent = {lane: state.cut for lane, state in self._lanes.items() if state.spent()}
        return Polled(tuple(batches), positions=spent)

    def seek(self, lane: LaneId, position: int) -> None:
        self._lanes[lane].seek(position)

    def pause(self, lane: LaneId) -> None:
        self._lanes[lane].paused = True

    def resume(self, lane: LaneId) -> None:
        self._lanes[lane].paused = False

    def end(self, lane: LaneId) -> int | None:
        if self.closings(lane) is not None:
            return self._cut(lane)
        if not self.recording.complete(lane):
            return None
        if lane not in self._ends:
            reader = self._reader(lane)
            reader.seek(_BEYOND)
            reader.read()  # to the end: nothing is there to be found
            self._ends[lane] = max(reader.position, self.recording.lanes[lane].start)
            reader.close()
        return self._ends[lane]

    def finished(self, lane: LaneId) -> bool:
        return self.recording.complete(lane)

    def closings(self, lane: LaneId) -> tuple[Closing, ...] | None:
        return None if self.recording.closings is None else self.recording.closings[lane]

    def commit(self, positions: dict[LaneId, int]) -> None:
        """Nothing: nobody waits for a recording."""

    def close(self) -> None:
        for state in self._lanes.values():
            state.reader.close()

    def _reassign(self) -> Polled:
        gained = tuple(sorted(self._assigned - self._lanes.keys()))
        lost = tuple(sorted(self._lanes.keys() - self._assigned))
        for lane in lost:
            self._lanes.pop(lane).reader.close()
        for lane in gained:
            self._lanes[lane] = _Lane(self._reader(lane), self._cut(lane))
        return Polled((), gained, lost)

    def _reader(self, lane: LaneId) -> LaneReader:
        return LaneReader(self.recording, lane, self._options.read_ahead_bytes)

    def _cut(self, lane: LaneId) -> int:
        """Where the lane ends by its closings: nowhere without, at its start where it has none."""
        cuts = self.closings(lane)
        if cuts is None:
            return _BEYOND
        return cuts[-1].end if cuts else self.recording.lanes[lane].start

    def _first(self, ready: list[LaneId]) -> list[LaneId]:
        """The lanes in the order in which they are to be read now."""
        order = self._options.order
        if order == "behind":
            return sorted(ready, key=lambda lane: (self._lanes[lane].time_ms(), lane))
        if order == "round-robin":
            return sorted(ready, key=lambda lane: (self._lanes[lane].served, lane))
        return sorted(ready, key=lambda lane: _draw(f"{order} {self._turn} {lane}"))


class _Lane:
    """What was read ahead of a lane, and whether it may be given out."""

    def __init__(self, reader: LaneReader, cut: int) -> None:
        self.reader = reader
        self.paused = False
        self.served = -1  # turn
        self.cut = cut  # records from here on are not part of the replay
        self._sought = False
        self._held: Columns | None = None
        self._at = 0

    def seek(self, position: int) -> None:
        self.reader.seek(position)
        self._held, self._sought = None, True

    def ready(self) -> bool:
        """True: there is a record to give out now."""
        if self.paused or not self._sought:
            return False
        if self._held is None and not self.reader.ended:
            self._held, self._at = self.reader.read(), 0
        return self._held is not None and int(self._held.positions[self._at]) < self.cut

    def spent(self) -> bool:
        """True: there is a cut, and all before it was given out; there may be marks of the log."""
        if self.cut == _BEYOND or not self._sought:
            return False
        if self._held is None and not self.reader.ended:
            self._held, self._at = self.reader.read(), 0
        return self._held is None or int(self._held.positions[self._at]) >= self.cut

    def time_ms(self) -> int:
        assert self._held is not None
        return int(self._held.times_ms[self._at])

    def take(self, lane: LaneId, limit: int, turn: int) -> Batch:
        """Up to `limit` >= 1 of what is held. Only when `ready`."""
        assert self._held is not None
        positions, times, values = self._held
        end = min(self._at + limit, int(positions.searchsorted(self.cut)))
        part = slice(self._at, end)
        self._at, self.served = end, turn
        if end == len(values):
            self._held = None
        return Batch(lane, positions[part], times[part], values[part])


def _draw(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=8).digest()

"""Rows of a file as a recording: what says which window a row is of.

All in one window, in several lanes that close one by one, so that a run that was stopped goes on
with the next lane; equal shares of the file as windows, one after the other; or windows of the time
that rows state.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

from daemon.offline.dataset import DataSet, at
from daemon.ports import EXIT_STATE, Closing, Fatal, LaneId
from daemon.recording.writer import RecordingWriter, Topic

TOPIC = "rows"
LANE_ROWS = 1 << 14  # of the one window: what a stop costs at most
CHUNK = 1_024


class Placed(NamedTuple):
    """A row in its lane."""

    lane: LaneId
    time_ms: int
    position: int
    value: bytes


def together(rows: DataSet, window: int, period_ms: int) -> Iterator[Placed]:
    """All in one window."""
    for index, row in enumerate(rows.rows()):
        lane = LaneId(TOPIC, index // LANE_ROWS)
        yield Placed(lane, window * period_ms, row.number, row.value)


def in_shares(rows: DataSet, count: int, window: int, period_ms: int) -> Iterator[Placed]:
    """`count` windows of as many rows each, in the order of the file."""
    for index, row in enumerate(rows.rows()):
        of = window + index * count // rows.count
        yield Placed(LaneId(TOPIC, 0), of * period_ms, row.number, row.value)


def by_time(
    rows: DataSet, path: str, lane_of: Callable[[bytes], LaneId], starts: Mapping[LaneId, int]
) -> list[Placed]:
    """Lane after lane, by the milliseconds that rows state; of one time, in the file's order.

    Positions are the places in that order, from the lane's start. Raises Fatal where a row states
    no time.
    """
    timed = []
    for row in rows.rows():
        time_ms = at(row.value, path)
        if not isinstance(time_ms, int) or isinstance(time_ms, bool) or time_ms < 0:
            raise Fatal(
                f"{rows.path}, row {row.number}: no time stands at {path}",
                code=EXIT_STATE,
                hint="windows of a period want milliseconds since 1970 there; --map event_time=PATH"
                " names the field, and --windows N needs no times",
            )
        timed.append((lane_of(row.value), time_ms, row.value))
    timed.sort(key=itemgetter(0, 1))
    placed, next_of = [], dict(starts)
    for lane, time_ms, value in timed:
        placed.append(Placed(lane, time_ms, next_of.setdefault(lane, 0), value))
        next_of[lane] += 1
    return placed


def write(
    folder: Path,
    topics: Sequence[Topic],
    placed: Iterable[Placed],
    closings: Mapping[LaneId, Sequence[Closing]] | None = None,
) -> None:
    """Make the recording. Rows of a lane stand together."""
    with RecordingWriter(folder, topics) as writer:
        for lane, found in itertools.groupby(placed, key=lambda row: row.lane):
            out = writer.lane(lane)
            while chunk := list(itertools.islice(found, CHUNK)):
                out.append(
                    [row.position for row in chunk],
                    [row.time_ms for row in chunk],
                    [row.value for row in chunk],
                )
            out.close()
        writer.close(closings)


def cuts(placed: Iterable[Placed], window: int) -> dict[LaneId, list[Closing]]:
    """Of rows that are all of one window: each lane closes it at its end."""
    found: dict[LaneId, list[Closing]] = {}
    for lane, own in itertools.groupby(placed, key=lambda row: row.lane):
        last = max(own, key=lambda row: row.position)
        found[lane] = [Closing(window, window, 0, last.position + 1, last.time_ms, "end")]
    return found


def sizes(placed: Iterable[Placed], period_ms: int) -> dict[int, int]:
    """window -> its rows, ascending."""
    return dict(sorted(Counter(row.time_ms // period_ms for row in placed).items()))

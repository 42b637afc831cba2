"""Windows of record time: `time // period`, per lane, from running maxima (laws 1 and 3)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
NO_TIME = -1  # a lane that has seen no record states this


class Segment(NamedTuple):
    """Consecutive records [first, end) of a batch that belong to one window."""

    window: int
    first: int
    end: int
    late: int  # records among them whose own time names an earlier window
    opens_ms: int  # lane time at the first of them: what a part that it closes states
    time_ms: int  # lane time after the last of them


def window_of(time_ms: int, period_ms: int) -> int:
    """The window that holds a time; NO_TIME lies before every window."""
    return time_ms // period_ms if time_ms >= 0 else -1


def segments(
    times_ms: Int64s, *, lane_time_ms: int, lowest: int, period_ms: int
) -> Iterator[Segment]:
    """Cut a lane's records into windows.

    A lane's time is the running maximum of its append times; a record is never of a window below
    `lowest` (the first that no part of the lane covers): what claims an older time is late there.
    """
    if not len(times_ms):
        return
    running = np.maximum.accumulate(np.maximum(times_ms, lane_time_ms))
    windows = np.maximum(running // period_ms, lowest)
    late = (times_ms // period_ms) < windows
    cuts = np.flatnonzero(np.diff(windows)) + 1
    edges = [0, *cuts.tolist(), len(times_ms)]
    for first, end in itertools.pairwise(edges):
        yield Segment(
            int(windows[first]),
            first,
            end,
            int(late[first:end].sum()),
            int(running[first]),
            int(running[end - 1]),
        )


def closable(evidence_ms: int, *, grace: int, period_ms: int) -> int:
    """The newest window whose end + grace is not after the evidence: an idle lane may close it."""
    return evidence_ms // period_ms - grace - 1 if evidence_ms >= 0 else -1

"""Ranges of a log, read again: from a source that can be sought at will, as recordings can."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from daemon.ports import Batch, LaneId, Source

BATCH = 2_048
Ranges = Callable[[LaneId, int, int], Iterator[Batch]]  # lane, first, end


def of(source: Source) -> Ranges:
    """The source is for this alone: lanes are paused and sought."""
    source.poll(1)  # the first answer says what was gained; lanes are sought after it

    def read(lane: LaneId, first: int, end: int) -> Iterator[Batch]:
        """Records in [first, end). Ends early where the log does."""
        for info in source.lanes():
            if info.lane == lane:
                source.resume(lane)
            else:
                source.pause(info.lane)
        source.seek(lane, first)
        at = first
        while at < end:
            polled = source.poll(BATCH)
            if not polled.batches:
                return
            for batch in polled.batches:
                inside = int(np.searchsorted(batch.positions, end))
                at = int(batch.positions[-1]) + 1
                if inside:
                    cut = slice(0, inside)
                    yield Batch(lane, batch.positions[cut], batch.times_ms[cut], batch.values[cut])

    return read

"""What was fetched of one lane and not given out yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np

from daemon.kafka.batches import Columns
from daemon.ports import Batch, Hole, LaneId


@dataclass(slots=True, eq=False)
class Queue:
    """Records and holes, each in the order of their positions."""

    holes: deque[Hole] = field(default_factory=deque)
    _batches: deque[Batch] = field(default_factory=deque)

    def __bool__(self) -> bool:
        return bool(self.holes or self._batches)

    def records(self) -> int:
        """How many wait."""
        return sum(len(batch.values) for batch in self._batches)

    def add(self, lane: LaneId, rows: list[Any]) -> None:
        """Rows of the client, ascending: records, or whole batches of them."""
        pieces: list[Columns] = []
        for whole, run in groupby(rows, lambda row: isinstance(row.value, Columns)):
            if whole:
                pieces += [row.value for row in run]
            else:
                some = list(run)
                positions = np.array([row.offset for row in some], np.int64)
                times_ms = np.array([row.timestamp for row in some], np.int64)
                pieces.append(Columns(positions, times_ms, [row.value for row in some]))
        self._batches.append(
            Batch(
                lane,
                np.concatenate([piece.positions for piece in pieces]),
                np.concatenate([piece.times_ms for piece in pieces]),
                [value for piece in pieces for value in piece.values],
            )
        )

    def holes_before(self, position: int) -> Iterator[Hole]:
        """Those that lie before the next record, each out of the queue."""
        next_ = int(self._batches[0].positions[0]) if self._batches else None
        while self.holes and (next_ is None or self.holes[0].first < next_):
            yield self.holes.popleft()

    def take(self, limit: int) -> Batch | None:
        """Up to `limit` records, none beyond the next hole."""
        if not self._batches:
            return None
        head = self._batches.popleft()
        if len(head.values) > limit:
            rest = slice(limit, None)
            self._batches.appendleft(
                Batch(head.lane, head.positions[rest], head.times_ms[rest], head.values[rest])
            )
            head = Batch(
                head.lane, head.positions[:limit], head.times_ms[:limit], head.values[:limit]
            )
        return head

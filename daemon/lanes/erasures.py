"""What an erasure lane gathers of a window: keyed hashes, never what was asked for in clear."""

from __future__ import annotations

from typing import Any

from daemon.decode.erasure import ErasureDecoder
from daemon.lanes.labels import MOST_BYTES, Labels
from daemon.lanes.part import ERASURE_TYPES
from daemon.lanes.window import Segment
from daemon.ports import Batch


class Erasures(Labels):
    """The open window of an erasure lane."""

    def __init__(self, decoder: ErasureDecoder) -> None:
        self.rows: dict[str, list[Any]] = {name: [] for name in ERASURE_TYPES}
        self._decoder = decoder

    def absorb(self, batch: Batch, segment: Segment) -> None:
        """Take in the records of a segment, but for tombstones; bad ones with their reason."""
        kept = [i for i in range(segment.first, segment.end) if batch.values[i] is not None]
        values = [batch.values[i] or b"" for i in kept]
        read = self._decoder.decode([v if len(v) <= MOST_BYTES else b"" for v in values])
        for i, erasure in zip(kept, read, strict=True):
            row = (
                int(batch.positions[i]), int(batch.times_ms[i]), *erasure.id, erasure.user,
                erasure.reason,
            )  # fmt: skip
            for column, value in zip(self.rows.values(), row, strict=True):
                column.append(value)

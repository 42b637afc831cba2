"""What appends to a file of a recorded lane, and the check that stands before it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

INT64_MAX = 2**63 - 1


class LaneWriter(Protocol):
    """Appends to a file of a lane."""

    def append(
        self, positions: Sequence[int], times_ms: Sequence[int], values: Sequence[bytes | None]
    ) -> None:
        """Columns of equal length; positions ascend, times are milliseconds since 1970, >= 0."""

    def flush(self) -> None:
        """Readers of an open lane see what was appended before."""

    def close(self) -> None: ...


class Checked:
    """A `LaneWriter` that refuses, while it is recorded, what a replay would refuse."""

    def __init__(self, writer: LaneWriter) -> None:
        self._writer = writer
        self._last = -1

    def append(
        self, positions: Sequence[int], times_ms: Sequence[int], values: Sequence[bytes | None]
    ) -> None:
        """Raises ValueError for what no reader would take; nothing of it is written then."""
        if not len(positions) == len(times_ms) == len(values):
            raise ValueError("positions, times and values differ in number")
        last = self._last
        for position, time in zip(positions, times_ms, strict=True):
            if not 0 <= time <= INT64_MAX:
                raise ValueError(
                    f"position {position}: the time {time} is no count of milliseconds since 1970"
                )
            if not last < position < INT64_MAX:
                raise ValueError(f"position {position} follows {last}: positions must ascend")
            last = position
        self._writer.append(positions, times_ms, values)
        self._last = last

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

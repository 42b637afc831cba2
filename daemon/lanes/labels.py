"""What a label lane gathers of a window: raw values, decoded by the pinned policy at assembly."""

from __future__ import annotations

from typing import Any

from daemon.lanes.window import Segment
from daemon.policy import Limits
from daemon.ports import Batch

# no policy decides here: a label window is open before the pin that reads it is known
MOST_BYTES = Limits().value_bytes


class Labels:
    """The open window of a label lane."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Any]] = {"position": [], "time_ms": [], "value": []}

    def absorb(self, batch: Batch, segment: Segment) -> None:
        """Take in the records of a segment, but for tombstones.

        What is too large to be an answer is kept as an empty value: it is counted as refused.
        """
        for i in range(segment.first, segment.end):
            value = batch.values[i]
            if value is not None:
                self.rows["position"].append(int(batch.positions[i]))
                self.rows["time_ms"].append(int(batch.times_ms[i]))
                self.rows["value"].append(value if len(value) <= MOST_BYTES else b"")

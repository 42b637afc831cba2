"""Pins: what decides a window, fixed before its first record is scored (law 4)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from daemon.ports import LaneId
from daemon.registry.genesis import Genesis

PREFIX = "pins/"
FIRST = -1  # calibration of a window before anything was learnt


class Pin(Struct, frozen=True):
    """(edition, calibration, roster): nothing in it comes from the process that writes it."""

    window: int
    edition: int
    calibration: int  # window of the shard whose manifest carries it, or FIRST
    roster: tuple[tuple[str, int], ...]  # utterance lanes, sorted
    version: int = 1

    @property
    def lanes(self) -> tuple[LaneId, ...]:
        return tuple(LaneId(*pair) for pair in self.roster)


def name(window: int) -> str:
    """Of the object that holds the pin of a window."""
    return f"{PREFIX}{window:012d}.json"


def roster(
    genesis: Genesis, predecessor: Pin | None, seen: Iterable[LaneId]
) -> tuple[tuple[str, int], ...]:
    """The predecessor's lanes plus the partitions seen since: a roster never shrinks."""
    before: set[LaneId] = (
        set(predecessor.lanes)
        if predecessor
        else {entry.lane for entry in genesis.lanes if entry.kind == "utterances"}
    )
    return tuple(sorted((lane.topic, lane.partition) for lane in before | set(seen)))


def wanted(genesis: Genesis, pinned: set[int], window: int) -> list[int]:
    """The windows to pin, in order, before `window` may open: the lag - 1 before it, and it."""
    first = max(genesis.first_window, window - genesis.lag + 1)
    return [w for w in range(first, window + 1) if w not in pinned]

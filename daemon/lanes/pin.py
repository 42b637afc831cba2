"""Pins: what decides a window, fixed before its first record is scored (law 4)."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct

from daemon.ports import LaneId

PREFIX = "pins/"
FIRST = -1  # calibration of a window before anything was learnt


NOBODY = -1  # edition of a gap: no rostered lane has a record there, so nothing is decided


class Pin(Struct, frozen=True):
    """(edition, calibration, rosters): nothing in it comes from the process that writes it.

    Pins are created in order and leave no window out, so that nobody can open one behind them: a
    run of windows that all rostered lanes have passed without a record is one pin, a gap, named
    by its first window; the next pin is named `through` + 1.
    """

    window: int
    edition: int
    calibration: int  # window of the shard whose manifest carries it, or FIRST
    roster: tuple[tuple[str, int], ...]  # utterance lanes, sorted
    labels: tuple[tuple[str, int], ...] = ()  # label lanes, sorted
    gap_through: int | None = None  # the last window of a gap
    version: int = 1

    @property
    def lanes(self) -> tuple[LaneId, ...]:
        return tuple(LaneId(*pair) for pair in self.roster)

    @property
    def label_lanes(self) -> tuple[LaneId, ...]:
        return tuple(LaneId(*pair) for pair in self.labels)

    @property
    def through(self) -> int:
        """The last window that it covers."""
        return self.window if self.gap_through is None else self.gap_through


def name(window: int) -> str:
    """Of the object that holds the pin of a window."""
    return f"{PREFIX}{window:012d}.json"


def roster(before: Iterable[LaneId], seen: Iterable[LaneId]) -> tuple[tuple[str, int], ...]:
    """The predecessor's lanes plus the partitions seen since: a roster never shrinks."""
    return tuple(sorted((lane.topic, lane.partition) for lane in {*before, *seen}))

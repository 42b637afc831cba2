"""Genesis: what the first process fixes for ever before any record is decided on (law 4)."""

from __future__ import annotations

from msgspec import Struct

from daemon.ports import EXIT_CONFIG, EXIT_STATE, Fatal, LaneId, LaneInfo

NAME = "genesis.json"


class LaneEntry(Struct, frozen=True):
    """One lane of the first roster."""

    topic: str
    partition: int
    kind: str  # "utterances" | "labels" | "erasures"
    topic_id: str
    start: int

    @property
    def lane(self) -> LaneId:
        return LaneId(self.topic, self.partition)


class Genesis(Struct, frozen=True):
    """To change any of this is another deployment, with another store prefix."""

    lanes: tuple[LaneEntry, ...]  # sorted by (topic, partition)
    period_ms: int
    grace: int
    label_wait: int
    lag: int
    first_window: int
    version: int = 1

    def entry(self, lane: LaneId) -> LaneEntry | None:
        return next((entry for entry in self.lanes if entry.lane == lane), None)


def check_lag(*, grace: int, label_wait: int, lag: int) -> None:
    """Refuse a lag under which waits could form a circle (law 4).

    Lanes wait for the calibration of `W - lag`; that one waits for label parts up to
    `W - lag + label_wait`, which idle lanes close on evidence `grace` windows younger; a new
    partition costs one window more. Tight: one less got 23 to 54 of 60 simulated worlds stuck.
    """
    least = 2 + grace + label_wait
    if lag < least:
        raise Fatal(
            f"stream.lag is {lag}, but grace {grace} and label_wait {label_wait} need {least}",
            code=EXIT_CONFIG,
            hint="with less, idle lanes, labels and learning can wait for each other for ever",
        )


def make(
    infos: tuple[LaneInfo, ...],
    *,
    period_ms: int,
    grace: int,
    label_wait: int,
    lag: int,
    first_window: int,
) -> Genesis:
    """The genesis of a stream. `first_window`: that of the smallest time at the start offsets."""
    check_lag(grace=grace, label_wait=label_wait, lag=lag)
    entries = [
        LaneEntry(i.lane.topic, i.lane.partition, i.kind, i.topic_id, i.start)
        for i in sorted(infos, key=lambda info: info.lane)
    ]
    return Genesis(tuple(entries), period_ms, grace, label_wait, lag, first_window)


def check_source(genesis: Genesis, infos: tuple[LaneInfo, ...]) -> None:
    """The source still serves the topics that the genesis knows, under their ids and as they were.

    A topic of utterances may come later; one of labels or erasures may not: pins tell by the
    genesis which parts they wait for as such (law 8).
    """
    kinds = {entry.topic: entry.kind for entry in genesis.lanes}
    for one in infos:
        before = kinds.get(one.lane.topic, "utterances")
        if one.kind != before:
            raise Fatal(
                f"topic {one.lane.topic} has {one.kind}, and this store was begun "
                + (f"with it as {before}" if one.lane.topic in kinds else "without it"),
                code=EXIT_STATE,
                hint="topics of labels and erasures are fixed at the first start: leave it out, or "
                "use another store",
            )
    served = {info.lane: info for info in infos}
    for entry in genesis.lanes:
        info = served.get(entry.lane)
        if info is not None and info.topic_id != entry.topic_id:
            raise Fatal(
                f"topic {entry.topic} has another id than the genesis of this store",
                code=EXIT_STATE,
                hint="the topic was made anew: its records are another log, use another store",
            )

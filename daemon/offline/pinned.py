"""Selecting under another store's pins: the rules of a window are those that decided it there.

Each window of the file has the edition and the calibration that the store's pin names, so nothing
is learnt from the file. Rows lie in the lanes that they name, or all in the first one: the same
texts are kept, but which record of a text is shown is the first by lane and position.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from daemon.commands.session import Session, load
from daemon.config import keyfile
from daemon.config.settings import Stream, period_text
from daemon.console import Console
from daemon.lanes.genesis import Genesis
from daemon.lanes.pin import FIRST, PREFIX, Pin
from daemon.lanes.progress import Progress
from daemon.learning.calibration import Calibration
from daemon.offline import asking, recorded
from daemon.offline.dataset import DataSet, at
from daemon.offline.folder import Folder
from daemon.offline.numbers import Windows
from daemon.policy import Policy
from daemon.ports import EXIT_CONFIG, EXIT_STATE, Clock, Fatal, LaneId, LaneInfo, Store
from daemon.recording.keeping import topics_of
from daemon.recording.writer import Topic
from daemon.registry import bundle
from daemon.registry.registry import Registry
from daemon.stores import local


class Obeying(Registry):
    """A registry whose calibrations are another one's."""

    def __init__(self, store: Store, origin: Registry) -> None:
        super().__init__(store)
        self._origin = origin

    def calibration(self, window: int) -> Calibration:
        """What the other store learnt up to a window. Raises Missing."""
        return super().calibration(window) if window == FIRST else self._origin.calibration(window)


def lanes_of(
    genesis: Genesis, known: Sequence[LaneId], path: str | None
) -> Callable[[bytes], LaneId]:
    """The lane of a row: what it says at `path`, as topic/partition; else the first lane."""
    first = next(entry.lane for entry in genesis.lanes if entry.kind == "utterances")
    names = {str(lane): lane for lane in known}

    def lane_of(value: bytes) -> LaneId:
        if path is None:
            return first
        lane = names.get(str(at(value, path)))
        if lane is None:
            raise Fatal(
                f"a row names no lane of the store at {path}",
                code=EXIT_STATE,
                hint="a lane is written as topic/partition; `sluice registry` lists them",
            )
        return lane

    return lane_of


def topics(genesis: Genesis, progress: Progress) -> tuple[Topic, ...]:
    """Every lane that a pin may name, as a recording has it."""
    of = {entry.topic: entry for entry in genesis.lanes}
    infos = [LaneInfo(lane, of[lane.topic].kind, of[lane.topic].topic_id, 0) for lane in
             progress.lanes()]  # fmt: skip
    return topics_of(infos, {entry.lane: entry.start for entry in genesis.lanes})


def check(windows: Iterable[int], decided: Iterable[int]) -> None:
    """Raises Fatal where rows are of windows that nobody pinned."""
    known = set(decided)
    missing = [window for window in windows if window not in known]
    if missing:
        raise Fatal(
            f"{len(missing)} windows of the file have no pin, the first is {missing[0]}",
            code=EXIT_STATE,
            hint="the store decided nothing there: are the times those of its records?",
        )


def prepare(
    arguments: argparse.Namespace, folder: Folder, console: Console, clock: Clock
) -> tuple[Session, int]:
    """The folder with recording and decisions, and a session that obeys; and the rows of the file.

    Raises Fatal, ConfigError.
    """
    origin = Session(load(Path(arguments.pins)), console, clock)
    origin.check()
    registry = origin.registry
    progress, genesis = registry.start(), registry.genesis
    assert genesis is not None, "the session was checked"
    policy = mapping(registry, arguments.map)
    if arguments.windows not in (None, Windows(period_ms=genesis.period_ms)):
        raise Fatal(
            "--windows is not the period of the store",
            code=EXIT_CONFIG,
            hint=f"its windows are {period_text(genesis.period_ms)}; --windows may be left out",
        )
    rows = DataSet(Path(arguments.file), policy.record.id, asking.where(arguments.where))
    count = rows.count
    if policy.record.event_time is None:
        raise Fatal(
            "windows want times, and policy.record.event_time says of none",
            code=EXIT_CONFIG,
            hint="--map event_time=FIELD names the milliseconds since 1970 that say the window",
        )
    spoken = [lane for lane in progress.lanes() if lane not in progress.label_lanes]
    placed = recorded.by_time(
        rows,
        policy.record.event_time,
        lanes_of(genesis, spoken, arguments.lane),
        {entry.lane: entry.start for entry in genesis.lanes},
    )
    check(recorded.sizes(placed, genesis.period_ms), pinned(registry))
    folder.claim([rows.digest, rows.where, genesis, policy.record.event_time, arguments.lane])
    stream = Stream(genesis.period_ms, genesis.grace, genesis.label_wait, genesis.lag)
    key = keyfile.find(origin.config.keys, os.environ)
    folder.configure(policy, stream, key, arguments.threads or origin.threads)
    if not folder.recorded:
        recorded.write(folder.recording, topics(genesis, progress), placed)
    store = local.build(local.Options(str(folder.store)))
    bundle.copy_decisions(registry.store, store)
    session = Session(load(folder.config), console, clock, _registry=Obeying(store, registry))
    return session, count


def mapping(registry: Registry, changes: Sequence[str] | None) -> Policy:
    """The newest edition's policy, with another place of the time. Raises Fatal."""
    registry.read_editions()
    policy = registry.editions[max(registry.editions)].policy
    if any(not change.startswith("event_time=") for change in changes or ()):
        raise Fatal(
            "--map and --pins: records are read as the editions of the store say",
            code=EXIT_CONFIG,
            hint="only event_time may be mapped here",
        )
    if policy.epoch != "constant":
        raise Fatal(
            "--pins: the store refuses texts that earlier shards hold, which this file cannot know",
            code=EXIT_STATE,
            hint="only stores with policy.epoch: constant can be obeyed",
        )
    return asking.mapped(policy, changes)


def pinned(registry: Registry) -> set[int]:
    """Windows that the store has decided."""
    decoder = msgspec.json.Decoder(Pin)
    found = (decoder.decode(registry.store.get(name)) for name in registry.store.list(PREFIX))
    return {pin.window for pin in found if pin.gap_through is None}

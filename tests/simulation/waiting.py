"""A model of who waits for whom: the real bookkeeping over lanes that are lists of windows.

Parts, pins and shards are entries of one shared log. Each replica has the real `Progress`, and
has seen a prefix of the log; every rule that decides is the daemon's own.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any, cast

from daemon.edition import Edition
from daemon.genesis import Genesis, LaneEntry
from daemon.pin import Pin
from daemon.pinning import Pinning
from daemon.policy import Policy
from daemon.ports import LaneId
from daemon.progress import Covered, Progress
from daemon.window import NO_TIME, window_of

PERIOD_MS = 10
EDITION = Edition(0, "c", ("a",), Policy(), None, 0)


@dataclass(frozen=True)
class Waiting:
    """A world: for each lane the windows of its records, in order."""

    genesis: Genesis
    lanes: dict[LaneId, tuple[int, ...]]
    replicas: int
    appear: dict[LaneId, int] = field(default_factory=dict)  # new partitions: turns until seen


def random_waiting(seed: int, *, lag_less: int = 0, new_partitions: bool = True) -> Waiting:
    """2 to 5 lanes, label lanes, gaps of 40 windows, idle lanes, one or two replicas."""
    rng = random.Random(seed)
    grace, label_wait = rng.choice([0, 1, 1, 2]), rng.choice([0, 0, 1, 2])
    lag = 2 + grace + label_wait - lag_less
    gap, start = rng.choice([0, 0, 40]), 3
    lanes: dict[LaneId, tuple[int, ...]] = {}
    entries: list[LaneEntry] = []
    fresh: dict[LaneId, int] = {}

    def windows(first: int) -> tuple[int, ...]:
        found = []
        for index in range(rng.choice([2, 6, 10, 16])):
            if rng.random() < 0.6:
                shift = gap if index > 4 else 0
                found += [first + index + shift] * rng.randint(1, 2)
        return tuple(found)

    for number in range(rng.randint(1, 4)):
        lane = LaneId("u", number)
        lanes[lane] = (start, *windows(start)) if number == 0 else windows(start)
        entries.append(LaneEntry("u", number, "utterances", "id", 0))
    for number in range(rng.choice([0, 0, 1, 2])):
        lane = LaneId("l", number)
        lanes[lane] = windows(start)
        entries.append(LaneEntry("l", number, "labels", "id", 0))
    if new_partitions and rng.random() < 0.6:
        lane = LaneId("u", 9)
        lanes[lane] = windows(start + rng.choice([0, 2, 12, 60]))
        fresh[lane] = rng.randint(0, 60)
    genesis = Genesis(tuple(sorted(entries, key=lambda e: e.lane)), PERIOD_MS, grace, label_wait, lag, start)
    return Waiting(genesis, lanes, rng.choice([1, 2]), fresh)


@dataclass
class _Store:
    """What is durable, in the order in which it became so."""

    log: list[Covered | Pin | int] = field(default_factory=list)  # part, pin, or shard
    names: dict[object, Any] = field(default_factory=dict)

    def create(self, name: object, value: Any) -> Any:
        if name not in self.names:
            self.names[name] = value
            self.log.append(value)
        return self.names[name]


class _Registry:
    """As much of a registry as `Pinning` asks for."""

    def __init__(self, genesis: Genesis, store: _Store) -> None:
        self.genesis, self.store = genesis, store
        self.progress = Progress(genesis)
        self.editions = {0: EDITION}
        self._read = 0

    def read_editions(self) -> bool:
        return False

    def create_pin(self, pin: Pin) -> Pin:
        won = cast(Pin, self.store.create(("pin", pin.window), pin))
        self.progress.pin(won)
        return won

    def refresh(self) -> bool:
        new = self.store.log[self._read :]
        self._read = len(self.store.log)
        for entry in new:
            if isinstance(entry, Covered):
                self.progress.cover(entry)
            elif isinstance(entry, Pin):
                self.progress.pin(entry)
            else:
                self.progress.shard(entry)
        return bool(new)


@dataclass
class _Lane:
    lane: LaneId
    windows: tuple[int, ...]
    labels: bool
    lowest: int
    at: int = 0  # next record
    start: int = 0
    time_ms: int = NO_TIME
    open: int = -1


class _Replica:
    """One process and the lanes that it owns."""

    def __init__(self, world: Waiting, store: _Store) -> None:
        self.world, self.store = world, store
        self.registry = _Registry(world.genesis, store)
        self.pinning = Pinning(cast(Any, self.registry), cast(Any, None))
        self.lanes: list[_Lane] = []

    @property
    def progress(self) -> Progress:
        return self.registry.progress

    def gain(self, lane: LaneId) -> None:
        """As `daemon.start.stand` does for a lane without a part."""
        entry = self.world.genesis.entry(lane)
        first = self.world.genesis.first_window
        lowest = first if entry else max(first, max(self.progress.pins, default=-1) + 1)
        if entry is None:
            self.progress.seen.add(lane)
        labels = entry is not None and entry.kind == "labels"
        self.lanes.append(_Lane(lane, self.world.lanes[lane], labels, lowest))

    def move(self, lane: _Lane) -> bool:
        """Take the lane's next record, or what must come before it; False: it waits."""
        if lane.at >= len(lane.windows):
            return False
        time_ms = max(lane.time_ms, lane.windows[lane.at] * PERIOD_MS + PERIOD_MS // 2)
        window = max(window_of(time_ms, PERIOD_MS), lane.lowest, lane.open)
        if window != lane.open:
            lane.time_ms = time_ms
            self.cover(lane, window - 1)
            if not lane.labels:
                pin = self.pinning.pin(window)
                if pin is None:
                    return False
                if lane.lane not in pin.lanes:
                    self.cover(lane, window)
                    return True
            lane.open = window
        lane.at, lane.time_ms = lane.at + 1, time_ms
        return True

    def cover(self, lane: _Lane, through: int) -> bool:
        """Make parts up to a window durable, as `daemon.lane.Lane.cover`."""
        if lane.open >= 0 and lane.open <= through:
            self._part(lane, lane.open, lane.open)
        if lane.open < 0 and lane.lowest <= through:
            self._part(lane, lane.lowest, through)
            return True
        return lane.lowest > through

    def _part(self, lane: _Lane, window: int, through: int) -> None:
        records = 0 if lane.labels else lane.at - lane.start
        part = Covered(lane.lane, window, through, lane.start, lane.at, lane.time_ms, records)
        self.store.create(("part", lane.lane, window), part)
        self.progress.cover(part)
        lane.open, lane.start, lane.lowest = -1, lane.at, through + 1

    def close_idle(self, lane: _Lane) -> bool:
        """Close on evidence what a lane without a record may close."""
        through = self.progress.evidence(lane.lane)
        if lane.at < len(lane.windows) or through < lane.lowest:
            return False
        self.cover(lane, through)
        return True

    def settle(self) -> bool:
        window = self.progress.next_shard()
        if window is None:
            return False
        self.store.create(("shard", window), window)
        self.progress.shard(window)
        return True


@dataclass(frozen=True)
class Run:
    """How a world ended when nobody could move any more."""

    unread: int
    pins: dict[int, Pin]  # of windows with records
    shards: tuple[int, ...]
    unsettled: tuple[int, ...]  # windows with records, all parts there, and no shard


def run(world: Waiting, schedule: int) -> Run:
    """Random turns until a whole round moves nothing and nothing is left to be seen."""
    rng = random.Random(schedule)
    store = _Store()
    replicas = [_Replica(world, store) for _ in range(world.replicas)]
    for lane in sorted(world.lanes):
        if lane not in world.appear:
            rng.choice(replicas).gain(lane)
    waits = {lane: rng.randint(0, 2 * turns) for lane, turns in world.appear.items()}
    turn, quiet = 0, False
    while not quiet or waits:
        turn, quiet = turn + 1, True
        for lane in [lane for lane, until in waits.items() if until <= turn]:
            del waits[lane]
            rng.choice(replicas).gain(lane)
            quiet = False
        turns = [(replica, lane) for replica in replicas for lane in replica.lanes]
        rng.shuffle(turns)
        for replica, owned in turns:
            if rng.random() < 0.3:
                quiet = False  # somebody else is faster
                continue
            moved = replica.move(owned) or replica.close_idle(owned) or replica.settle()
            quiet = quiet and not moved
        for replica in replicas:
            if (quiet or rng.random() < 0.4) and replica.registry.refresh():
                quiet = False
    return _result(world, replicas, store)


def _result(world: Waiting, replicas: list[_Replica], store: _Store) -> Run:
    parts = [v for k, v in store.names.items() if isinstance(k, tuple) and k[0] == "part"]
    busy = {part.window for part in parts if part.records}
    pins = {k[1]: v for k, v in store.names.items() if k[0] == "pin" and k[1] in busy}
    shards = tuple(sorted(k[1] for k in store.names if k[0] == "shard"))
    progress = replicas[0].progress
    unsettled = tuple(
        w
        for w in sorted(busy - set(shards))
        if w in pins
        and progress.covered(pins[w].lanes, w)
        and progress.covered(progress.label_lanes, w + world.genesis.label_wait)
    )
    unread = sum(len(lane.windows) - lane.at for r in replicas for lane in r.lanes)
    return Run(unread, pins, shards, unsettled)

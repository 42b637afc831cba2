"""Worlds in which only waiting is left: the real loop, lanes, pins and registry, without scoring.

Parts are their manifests, shards are empty: what is left decides who waits for whom. Replicas
are loops over one store; whose turn it is, and when a partition is seen, is drawn from a seed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast
from unittest import mock

import msgspec

from daemon import tables
from daemon.clock import ManualClock
from daemon.config.settings import Process
from daemon.lanes import part as parts
from daemon.lanes.gather import Gathering
from daemon.lanes.genesis import Genesis, LaneEntry
from daemon.lanes.part import Part
from daemon.lanes.window import Segment
from daemon.learning.calibration import Calibration, Counts
from daemon.learning.edition import Edition
from daemon.loop import Loop
from daemon.policy import Policy
from daemon.ports import Batch, LaneId
from daemon.registry.registry import Registry
from daemon.running import performing
from daemon.shards import shard as shards
from daemon.shards.shard import Labelled, ShardManifest
from daemon.stores.memory import MemoryStore
from tests.streams import ListSource, Record

PERIOD_MS = 10
EDITION = Edition(0, "c", ("a",), Policy(), None, 0)
MANIFEST = ShardManifest(
    0, 0, "c", "p", -1, (), (), (), 0, "", "", "", "", None, {}, {}, {}, {}, {}, 0, Labelled(),
    None, {}, {}, Calibration(-1),
)  # fmt: skip


@dataclass(frozen=True)
class Waiting:
    """A world: for each lane the windows of its records, in order."""

    genesis: Genesis
    lanes: dict[LaneId, tuple[int, ...]]
    replicas: int
    fresh: tuple[LaneId, ...] = ()  # partitions that appear while the run goes on


def random_waiting(seed: int, *, lag_less: int = 0, new_partitions: bool = True) -> Waiting:
    """1 to 4 lanes, label lanes, gaps of 40 windows, idle lanes, one or two replicas."""
    rng = random.Random(seed)
    grace, label_wait = rng.choice([0, 1, 1, 2]), rng.choice([0, 0, 1, 2])
    lag = 2 + grace + label_wait - lag_less
    gap, start = rng.choice([0, 0, 40]), 3
    lanes: dict[LaneId, tuple[int, ...]] = {}
    entries: list[LaneEntry] = []

    def windows(first: int) -> tuple[int, ...]:
        found: list[int] = []
        for index in range(rng.choice([2, 6, 10, 16])):
            if rng.random() < 0.6:
                found += [first + index + (gap if index > 4 else 0)] * rng.randint(1, 2)
        return tuple(found)

    for number in range(rng.randint(1, 4)):
        lane = LaneId("u", number)
        lanes[lane] = (start, *windows(start)) if number == 0 else windows(start)
        entries.append(LaneEntry("u", number, "utterances", "id-u", 0))
    for number in range(rng.choice([0, 0, 1, 2])):
        lane = LaneId("l", number)
        lanes[lane] = windows(start)
        entries.append(LaneEntry("l", number, "labels", "id-l", 0))
    fresh = [LaneId("u", 9)] if new_partitions and rng.random() < 0.6 else []
    for lane in fresh:
        lanes[lane] = windows(start + rng.choice([0, 2, 12, 60]))
    ordered = tuple(sorted(entries, key=lambda entry: entry.lane))
    genesis = Genesis(ordered, PERIOD_MS, grace, label_wait, lag, start)
    return Waiting(genesis, lanes, rng.choice([1, 2]), tuple(fresh))


class _Counted(Gathering):
    """The open window of a lane, of which only the number of records matters."""

    def __init__(self, rules: Any, scores: Any) -> None:
        self.rules, self.scores, self.records = rules, (), 0
        self._ledger = cast(Any, self)

    def _settle(self) -> None:
        """Nothing is offered."""

    def taus(self) -> tuple[dict[str, int], dict[str, int], dict[str, int]]:
        return {}, {}, {}

    def rows(self) -> dict[str, list[Any]]:
        return {}

    def finish(self) -> tuple[bytes, str]:
        return b"", ""

    def counts(self) -> Counts:
        return Counts(records=self.records)


class _Engines:
    """Rules say which pin they come from; nothing is scored."""

    key = bytes(32)

    def of(self, edition: Edition) -> Any:
        grading = SimpleNamespace(names=())
        return SimpleNamespace(model=SimpleNamespace(engine="none"), grading=grading)

    def rules(self, window: int, edition: Edition, calibration: Calibration) -> Any:
        policy = SimpleNamespace(pool=1)
        return SimpleNamespace(
            window=window, edition=edition, calibration=calibration.window, policy=policy
        )


class _Settler:
    """Makes the shard that is due, empty."""

    scoring = False
    scored = 0

    def __init__(self, registry: Registry, pinning: Any) -> None:
        self._registry, self._pinning = registry, pinning

    def settle(self) -> ShardManifest | None:
        progress = self._registry.progress
        assert progress is not None
        window = progress.next_shard()
        if window is None or self._pinning.open(window) is None:
            return None
        made = msgspec.structs.replace(
            MANIFEST, window=window, calibration=Calibration(window), counts={"records": 0}
        )
        self._registry.store.create(shards.manifest_name(window), tables.canonical(made))
        progress.shard(window)
        return made


class _Pipeline:
    """Counts at once what it is sent."""

    def send(self, lane: Any, batch: Batch, segment: Segment) -> None:
        lane.take(int(batch.positions[segment.end - 1]) + 1, segment.time_ms)
        lane.open.records += segment.end - segment.first
        lane.taken -= 1

    def drain(self) -> bool:
        return False

    def drop(self) -> None:
        """Nothing is ever on its way."""


class Replica(Loop):
    """The real loop with nothing to score."""

    def __init__(self, source: ListSource, registry: Registry) -> None:
        process = Process(batch_records=3, poll_records=5, read_ahead=0)
        engines = cast(Any, _Engines())
        super().__init__(source, registry, engines, ManualClock(), process, lambda *_: None)
        self.performer.settler = cast(Any, _Settler(registry, self.pinning))
        self._pipeline = self._standing.pipeline = cast(Any, _Pipeline())

    def turn(self) -> bool:
        """Time passes where nothing can be done: an idle process looks once a second."""
        moved = super().turn()
        if not moved:
            self.clock.sleep(1.0)
        return moved


class _Source(ListSource):
    """A live one: it never says that a lane is complete."""

    def finished(self, lane: LaneId) -> bool:
        return False

    def unread(self) -> int:
        """Records of the lanes seen so far that nobody could take."""
        return sum(len(r) for lane, r in self.records.items() if lane not in self.hidden)


@contextmanager
def light_parts() -> Iterator[None]:
    """Parts are stored as their manifests alone."""

    def encode(part: Part) -> bytes:
        return tables.canonical(part.manifest)

    def read(data: bytes, name: str = "") -> parts.PartManifest:
        return msgspec.json.decode(data, type=parts.PartManifest)

    with (
        mock.patch.object(parts, "encode", encode),
        mock.patch.object(parts, "read_manifest", read),
        mock.patch.object(parts, "seal", lambda part: part),
        mock.patch.object(performing, "Gathering", _Counted),
    ):
        yield


@dataclass
class Run:
    """How a world ended when nobody could move any more."""

    unread: int  # records that no lane could take
    pins: dict[int, bytes] = field(default_factory=dict)  # of windows with records
    shards: tuple[int, ...] = ()
    lost: tuple[int, ...] = ()  # windows with records, older than a shard, without one


def one_lane(first_window: int) -> Genesis:
    """The genesis of one utterance lane."""
    entries = (LaneEntry("u", 0, "utterances", "id-u", 0),)
    return Genesis(entries, PERIOD_MS, 1, 0, 3, first_window)


def replicas_of(
    world: Waiting, owned: list[set[LaneId]], *, seed: int = 0, appear: int = 0
) -> tuple[MemoryStore, list[Replica]]:
    """A store, and a replica for each set of lanes; `appear`: answers until new ones are seen."""
    rng, store = random.Random(seed), MemoryStore()
    store.create("genesis.json", tables.canonical(world.genesis))
    store.create("editions/000000.json", tables.canonical(EDITION))
    kinds = {entry.lane: entry.kind for entry in world.genesis.lanes}
    replicas = []
    for lanes in owned:
        rows: dict[LaneId, list[Record]] = {
            lane: [(w * PERIOD_MS + PERIOD_MS // 2, b"{}") for w in world.lanes[lane]]
            for lane in sorted(lanes)
        }
        waits = {lane: appear or rng.randint(1, 80) for lane in world.fresh if lane in lanes}
        source = _Source(rows, kinds, rng.randrange(1 << 30), appear=waits)
        registry = Registry(store)
        registry.read_editions()
        registry.start()
        replicas.append(Replica(source, registry))
    return store, replicas


def run(world: Waiting, schedule: int) -> Run:
    """Turns in a random order until a whole round moves nothing and nothing is new."""
    rng = random.Random(schedule)
    owned: list[set[LaneId]] = [set() for _ in range(world.replicas)]
    for lane in sorted(world.lanes):
        rng.choice(owned).add(lane)
    store, replicas = replicas_of(world, owned, seed=rng.randrange(1 << 30))
    rounds, objects = 0, 0
    while rounds < 2:  # in which nothing happened
        for _ in range(rng.randint(0, 9)):
            rng.choice(replicas).turn()
        moved = [replica.turn() for replica in replicas]
        waits = any(cast(_Source, replica.source).hidden for replica in replicas)
        quiet = not any(moved) and not waits and len(store._names) == objects
        rounds, objects = rounds + 1 if quiet else 0, len(store._names)
    return result(store, replicas)


def result(store: MemoryStore, replicas: list[Replica]) -> Run:
    """What became of the records, now that nobody can move."""
    records: Counter[int] = Counter()
    for name in store.list("parts/"):
        manifest = parts.read_manifest(store.get(name))
        if manifest.kind == "utterances" and manifest.counts.records:
            records[manifest.window] += manifest.counts.records
    made = tuple(int(n.split("/")[1]) for n in store.list("shards/"))
    pins = {w: store.get(f"pins/{w:012d}.json") for w in records}
    waiting = sum(replica.intake.waiting() for replica in replicas)
    unread = waiting + sum(
        len(r.source.records[lane]) - r.source._at[lane]  # type: ignore[attr-defined]
        for r in replicas
        for lane in r.source.records  # type: ignore[attr-defined]
    )
    lost = tuple(sorted(w for w in records if w not in made and made and w < made[-1]))
    return Run(unread, pins, made, lost)

"""Runs of a case: to the end, turn by turn, or live; and what came out of them."""

from __future__ import annotations

import random
from typing import Any, cast

import msgspec

from daemon.clock import ManualClock
from daemon.loop import Loop
from daemon.ports import LaneId, Polled, Store
from daemon.registry.registry import Registry
from daemon.shards.shard import ShardManifest, windows
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Schedule
from tests.streams import ListSource, World, publish_table


def publish_all(case: Case, store: Store) -> None:
    """The editions of a case, in a new store."""
    registry = Registry(store)
    for number, edition in enumerate(case.editions):
        publish_table(
            registry,
            edition.policy,
            first_window=edition.first_window,
            classes=edition.classes,
            seed=edition.seed,
        )
        assert max(registry.editions) == number


def world_of(case: Case, store: Store) -> World:
    """The case over a store that has its editions."""
    return World(store, case.editions[0].policy, case.stream)


def source_of(case: Case, schedule: Schedule, kind: type[ListSource], **fields: Any) -> ListSource:
    """The lanes of a case, read as a schedule says."""
    return kind(
        case.records,
        case.kinds,
        seed=schedule.seed,
        lanes_at_once=schedule.lanes_at_once,
        step=case.step,
        **fields,
    )


def play(case: Case, schedule: Schedule, *, store: Store | None = None, **source: Any) -> Store:
    """Run a case to its end under a schedule. `source`: fields of `ListSource`."""
    if store is None:
        store = MemoryStore()
        publish_all(case, store)
    loop = world_of(case, store).loop(
        source_of(case, schedule, ListSource, **source),
        batch_records=schedule.batch_records,
        poll_records=schedule.poll_records,
        read_ahead=schedule.read_ahead,
    )
    assert loop.run()
    return store


def turned(loop: Loop) -> bool:
    """A turn. Time passes where nothing moved, but on no wall clock: an idle process looks once a
    second."""
    moved, clock = loop.turn(), cast(ManualClock, loop.clock)
    if not moved:
        clock.advance(1.0)
        clock.jump(-1.0)
    return moved


class Stepper:
    """A process that is moved one turn at a time, as `Loop.run` turns."""

    def __init__(
        self,
        world: World,
        case: Case,
        schedule: Schedule,
        kind: type[ListSource] = ListSource,
        **fields: Any,
    ) -> None:
        self.source = source_of(case, schedule, kind, **fields)
        self.events: list[str] = []
        self.loop = world.loop(
            self.source,
            batch_records=schedule.batch_records,
            poll_records=schedule.poll_records,
            read_ahead=schedule.read_ahead,
            listener=lambda event, facts: self.events.append(event),
        )

    def turn(self) -> bool:
        """False: nothing moved, and nothing was new in the store."""
        return turned(self.loop)

    def ended(self) -> bool:
        """The recording is over for this process, as it sees it."""
        return not self.turn() and self.loop.ending.complete()

    def close(self) -> None:
        """The process goes away; what it had not made durable is lost."""
        self.loop._pipeline.close()


def shards(store: Store) -> dict[int, ShardManifest]:
    """Manifests by window."""
    registry = Registry(store)
    return {window: registry.manifest(window) for window in windows(store.list("shards/"))}


def outcome(store: Store) -> dict[int, tuple[object, ...]]:
    """window -> pin and manifest, without how lanes happened to close their windows."""
    found: dict[int, tuple[object, ...]] = {}
    for window, manifest in shards(store).items():
        pin = store.get(f"pins/{window:012d}.json")
        found[window] = (pin, msgspec.structs.replace(manifest, parts=(), labels=()))
    return found


class LiveSource(ListSource):
    """Records appear while the run goes on, and no lane ever says that it is complete."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.shown = dict.fromkeys(self.records, 0)
        spoken = (lane for lane, rows in sorted(self.records.items()) if rows)
        self.shown[next(lane for lane in spoken if self.kinds[lane] == "utterances")] = 1
        self.growth = random.Random(f"growth {self.seed}")

    def poll(self, limit: int) -> Polled:
        """Some lanes grow, then as `ListSource`."""
        for lane in self.records:
            if self.growth.random() < 0.3:
                self.shown[lane] += self.growth.randint(1, 12)
        return super().poll(limit)

    def _shown(self, lane: LaneId) -> int:
        return min(self.shown[lane], super()._shown(lane))

    def end(self, lane: LaneId) -> int | None:
        """None now and then: a transaction is open."""
        return None if self.growth.random() < 0.2 else super().end(lane)

    def finished(self, lane: LaneId) -> bool:
        return False

    def dry(self) -> bool:
        """Everything was shown and read."""
        return all(self._at[lane] == len(rows) for lane, rows in self.records.items())

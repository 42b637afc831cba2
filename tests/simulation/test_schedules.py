"""A shard is a function of the log and the registry: random worlds under any schedule.

Each test plays one world several ways and compares pins, rows, counts and calibrations of every
window. A failing seed fails again: `random_case(seed)` is the world, `schedules(seed, n)` the ways.
"""

from __future__ import annotations

import random
from typing import cast

import pytest

from daemon.config.settings import Stream
from daemon.lanes.part import read_manifest
from daemon.ports import LaneId, Store
from daemon.registry import bundle
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule, random_case, schedules
from tests.streams import PERIOD_MS, say, small_policy
from tests.worlds import LiveSource, Stepper, outcome, play, publish_all, shards, world_of


def check_all_schedules(seed: int, count: int) -> None:
    case = random_case(seed)
    first, *others = [play(case, schedule) for schedule in schedules(seed, count)]
    expected = outcome(first)
    for other in others:
        assert outcome(other) == expected
    read = sum(manifest.counts["records"] for manifest in shards(first).values())
    assert read == case.utterances, "every record counts in exactly one shard"


@pytest.mark.parametrize("seed", range(36))
def test_any_schedule_gives_the_same_shards(seed: int) -> None:
    """Laws 1, 2, 4, 5 and 7: batches, polls, lanes at once and read-ahead decide nothing."""
    check_all_schedules(seed, 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(36, 336))
def test_any_schedule_gives_the_same_shards_in_hundreds_of_worlds(seed: int) -> None:
    check_all_schedules(seed, 4)


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


class CrashingStore:
    """A store whose process dies at some of its creates, before or after they are durable."""

    def __init__(self, store: Store, rng: random.Random, share: float) -> None:
        self.store, self.rng, self.share, self.crashes = store, rng, share, 0
        self.get, self.list = store.get, store.list

    def create(self, name: str, data: bytes) -> bool:
        dies, before = self.rng.random() < self.share, self.rng.random() < 0.5
        if dies and before:
            self.crashes += 1
            raise Crash
        created = self.store.create(name, data)
        if dies:
            self.crashes += 1
            raise Crash
        return created


def check_crashes(seed: int) -> int:
    case = random_case(seed)
    ways = schedules(seed, 12)
    expected = outcome(play(case, ways[-1]))
    store = MemoryStore()
    publish_all(case, store)
    crashing = CrashingStore(store, random.Random(seed), 0.08)
    for attempt in range(200):
        try:
            play(case, ways[attempt % len(ways)], store=crashing)
        except Crash:
            continue
        break
    assert outcome(store) == expected
    return crashing.crashes


@pytest.mark.parametrize("group", range(4))
def test_crashes_at_any_create_change_nothing(group: int) -> None:
    """Law 6: the next start resumes at the end of each lane's newest part."""
    assert sum(check_crashes(seed) for seed in range(3 * group, 3 * group + 3)) > 3


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 160))
def test_crashes_at_any_create_change_nothing_in_many_worlds(seed: int) -> None:
    check_crashes(seed)


def check_stops(seed: int) -> None:
    case, rng = random_case(seed), random.Random(seed)
    ways = schedules(seed, 9)
    expected = outcome(play(case, ways[-1]))
    store = MemoryStore()
    publish_all(case, store)
    for way in ways * 40:
        stepper = Stepper(world_of(case, store), case, way)
        for _ in range(rng.randint(3, 40)):
            stepper.turn()
        stepper.loop.stop()
        if stepper.ended():
            break
        stepper.close()
    assert outcome(store) == expected


@pytest.mark.parametrize("seed", [200, 201, 202, 203, 204, 205])
def test_stops_and_starts_change_nothing(seed: int) -> None:
    check_stops(seed)


def test_a_restart_still_names_the_empty_part_of_a_silent_lane() -> None:
    """A manifest names every part of its window, whoever makes it and whenever it began."""
    numbers = iter(range(1000))

    def at(windows: list[int]) -> list[tuple[int, bytes | None]]:
        return [(w * PERIOD_MS, say(n := next(numbers), f"say {n}", "music")) for w in windows]

    records = {LaneId("u", 0): at([*range(5, 30), 40, 41]), LaneId("u", 1): at([5, 29, 40, 41])}
    stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
    kinds = dict.fromkeys(records, "utterances")
    case = Case(records, kinds, stream, (Edition(small_policy()),))
    slowly = Schedule(3, 2, 4, 0, 1)
    whole = play(case, slowly)
    store = MemoryStore()
    publish_all(case, store)
    for attempt in range(400):
        process = Stepper(world_of(case, store), case, slowly)
        for _ in range(2 + attempt % 3):
            process.turn()
        done = process.ended()
        process.close()
        if done:
            break
    named = {w: [ref.object for ref in m.parts] for w, m in shards(store).items()}
    assert named == {w: [ref.object for ref in m.parts] for w, m in shards(whole).items()}


def check_rivals(seed: int) -> int:
    """Two processes that both think they own every lane; whose turn it is comes from the seed."""
    case, rng = random_case(seed), random.Random(seed)
    ways = schedules(seed, 5)
    expected = outcome(play(case, ways[2]))
    store = MemoryStore()
    publish_all(case, store)
    rivals = [Stepper(world_of(case, store), case, way) for way in ways[3:]]
    for _ in range(20_000):
        rival = rng.choice(rivals)
        for _ in range(rng.randint(1, 9)):
            rival.turn()
        if all(rival.ended() for rival in rivals):
            break
    for rival in rivals:
        assert rival.ended(), "both come to their end"
        rival.close()
    assert outcome(store) == expected
    return sum(rival.events.count("lost_race") for rival in rivals)


@pytest.mark.parametrize("group", range(4))
def test_two_processes_on_the_same_lanes_make_the_same_shards(group: int) -> None:
    """Law 6: the first object wins, who comes second resumes behind it."""
    assert sum(check_rivals(seed) for seed in range(300 + 2 * group, 302 + 2 * group)) > 0


def test_who_scored_for_a_shard_that_another_made_comes_to_its_end() -> None:
    """The last shard of this world has a second stage, and both processes are at it."""
    check_rivals(425)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(400, 460))
def test_two_processes_make_the_same_shards_in_many_worlds(seed: int) -> None:
    check_rivals(seed)


def live(case: Case, seed: int) -> Store:
    """A live run: records appear meanwhile, idle lanes close on evidence; stopped at the end."""
    store = MemoryStore()
    publish_all(case, store)
    way = schedules(seed, 3)[2]
    stepper = Stepper(world_of(case, store), case, way, kind=LiveSource)
    quiet = 0
    while quiet < 20:
        quiet = 0 if stepper.turn() or not cast(LiveSource, stepper.source).dry() else quiet + 1
    stepper.close()
    return store


def closed_by(store: Store) -> set[str]:
    return {read_manifest(store.get(name)).closed_by for name in store.list("parts/")}


def check_recording(seed: int) -> set[str]:
    case = random_case(seed)
    origin = live(case, seed)
    lanes: tuple[LaneId, ...] = tuple(case.records)
    cuts = bundle.closings(origin, lanes)
    for way in schedules(seed, 2):
        replayed = MemoryStore()
        assert bundle.copy_decisions(origin, replayed) > 0
        play(case, way, store=replayed, recorded=cuts)
        assert outcome(replayed) == outcome(origin)
    return closed_by(origin)


@pytest.mark.parametrize("group", range(4))
def test_a_live_run_is_replayed_as_it_was(group: int) -> None:
    """Laws 3 and 4: the live digest equals the replay digest of that run's recording."""
    found = [check_recording(seed) for seed in range(500 + 3 * group, 503 + 3 * group)]
    assert {"record", "evidence"} <= set.union(*found)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(600, 660))
def test_live_runs_are_replayed_as_they_were_in_many_worlds(seed: int) -> None:
    check_recording(seed)

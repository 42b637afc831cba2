"""The loop on live lanes: the group is heard, nobody starves, lanes are skipped, facts are told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest

from daemon.config.settings import Stream
from daemon.lanes import part as parts
from daemon.lanes.pin import Pin
from daemon.loop import Loop
from daemon.ports import LaneId, Polled, Retry, Store
from daemon.registry import skip
from daemon.registry.registry import Registry
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS
from tests.simulation.test_new_partitions import (
    NEW,
    SLOWLY,
    finish,
    new_store,
    seen_later,
    two_lanes,
)
from tests.streams import PERIOD_MS, ListSource, Record, say, small_policy
from tests.worlds import Stepper, publish_all, shards, source_of, world_of

A, B = LaneId("u", 0), LaneId("u", 1)
TURNS = 3_000  # only a failing test takes so many


def spoken(lane: LaneId, windows: range | list[int], each: int = 4) -> list[Record]:
    """`each` records in each of the windows, spread evenly over its time."""
    first = lane.partition * 10_000
    return [
        (
            window * PERIOD_MS + at * PERIOD_MS // each,
            say(first + window * 20 + at, f"say {window} {at}", "music"),
        )
        for window in windows
        for at in range(each)
    ]


def case_of(records: dict[LaneId, list[Record]], stream: Stream = WAITS) -> Case:
    kinds = dict.fromkeys(records, "utterances")
    return Case(records, kinds, stream, (Edition(small_policy()),))


@dataclass
class Live(ListSource):
    """A group gives us lanes, and none of them ever says that it is complete.

    `mine`: what is ours now; the next answer tells what changed.
    """

    mine: set[LaneId] = field(default_factory=lambda: {A, B})
    ours: set[LaneId] = field(default_factory=set)
    committed: dict[LaneId, int] = field(default_factory=dict)

    def poll(self, limit: int) -> Polled:
        self._told = True
        if self.mine != self.ours:
            gained, lost = sorted(self.mine - self.ours), sorted(self.ours - self.mine)
            self.ours = set(self.mine)
            self._paused -= set(lost)
            return Polled((), tuple(gained), tuple(lost))
        self.hidden = set(self.records) - self.ours
        polled = super().poll(limit)
        self.hidden = set()  # every lane of the stream is seen, ours or not
        return polled

    def finished(self, lane: LaneId) -> bool:
        return False

    def commit(self, positions: dict[LaneId, int]) -> None:
        self.committed |= positions


Listener = Callable[[str, dict[str, Any]], None]


def loop_of(
    case: Case,
    store: Store,
    kind: type[ListSource] = Live,
    listener: Listener = lambda event, facts: None,
    **more: Any,
) -> Loop:
    """A process over a store that gets the case's editions. Each of its turns takes 0.1 s."""
    if not list(store.list("editions/")):
        publish_all(case, store)

    def heard(event: str, facts: dict[str, Any]) -> None:
        if event == "turned":
            loop.clock.advance(0.1)  # type: ignore[attr-defined]
        listener(event, facts)

    source = source_of(case, Schedule(), kind)
    loop = world_of(case, store).loop(source, listener=heard, **more)
    return loop


def until(condition: Callable[[], bool], *loops: Loop, turns: int = TURNS) -> None:
    for _ in range(turns):
        if condition():
            return
        for loop in loops:
            loop.turn()
    pytest.fail(f"it never came: {[{n: x.position for n, x in p.lanes.items()} for p in loops]}")


def until_quiet(*loops: Loop) -> None:
    """Nobody moves any more, for longer than anything is put off that is done now and then."""
    quiet = 0
    for _ in range(TURNS):
        moved = [loop.turn() for loop in loops]  # each of them
        quiet = 0 if any(moved) else quiet + 1
        if quiet > 60:
            return
    pytest.fail("it never rests")


@pytest.mark.parametrize("then", [{A, B}, {B}, set()], ids=["gained", "swapped", "lost"])
def test_the_group_is_heard_while_all_lanes_wait_with_records_in_hand(then: set[LaneId]) -> None:
    """Law 3: lanes waited for one that the group had given us, and that nobody asked for."""
    case = case_of({A: spoken(A, range(5, 45), 10), B: spoken(B, range(5, 45), 10)})
    store = MemoryStore()
    loop = loop_of(case, store, poll_records=20)
    source: Any = loop.source
    source.mine = {A}
    until_quiet(loop)
    assert loop.intake.waiting() >= 20 and loop.intake.head(A) is not None, "A waits for B"
    assert shards(store) == {}
    source.mine = then
    until(lambda: set(loop.lanes) == then, loop, turns=50)
    until_quiet(loop)
    # A's own parts end with window 8, where it waited; with A and B all is read
    end = {2: 44, 1: 9, 0: 5}[len(then)]
    assert sorted(shards(store)) == list(range(5, end))
    loop._pipeline.close()


class Steady(Live):
    """One record in each answer: no turn without work, as in a topic that is never still."""

    def _batch(self, lane: LaneId, limit: int) -> Any:
        return super()._batch(lane, 1)


def known_at(owned: list[set[LaneId]]) -> dict[int, int]:
    """window -> where A stood, ten records a second, when its process knew of the shard."""
    stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=24)
    case = case_of({A: spoken(A, range(5, 45), 10), B: spoken(B, [5])}, stream)
    store, known = MemoryStore(), dict[int, int]()

    def heard(event: str, facts: dict[str, Any]) -> None:
        if event in ("shard", "shard_seen"):
            known.setdefault(facts["manifest"].window, loops[0].lanes[A].time_ms // PERIOD_MS)

    slow: dict[str, Any] = {"batch_records": 1, "poll_records": 1, "read_ahead": 0}
    loops = [loop_of(case, store, Steady, heard, **slow)]
    loops += [loop_of(case, store, Steady, **slow) for _ in owned[1:]]
    for loop, lanes in zip(loops, owned, strict=True):
        loop.source.mine = lanes  # type: ignore[attr-defined]
    until(lambda: A in loops[0].lanes and loops[0].lanes[A].position == 400, *loops)
    for loop in loops:
        loop._pipeline.close()
    return known


@pytest.mark.parametrize("owned", [[{A, B}], [{A}, {B}]], ids=["alone", "another replica"])
def test_steady_traffic_starves_neither_idle_lanes_nor_shards(owned: list[set[LaneId]]) -> None:
    """Law 5: only a turn in which nothing moved looked at idle lanes and at what others had made,
    so shards were known as late as `lag` allowed: 24 windows."""
    known = known_at(owned)
    assert sorted(known)[:30] == list(range(5, 35))
    assert max(at - window for window, at in known.items()) <= 6


def pinned(store: Store) -> list[int]:
    """Windows whose pins name NEW."""
    pins = [msgspec.json.decode(store.get(name), type=Pin) for name in store.list("pins/")]
    return [pin.window for pin in pins if NEW in pin.lanes]


def test_a_partition_that_came_after_the_genesis_can_be_skipped() -> None:
    """An operator was told that there is no such lane, and it held every shard up for ever."""
    case = two_lanes()
    store = new_store(case)
    process = seen_later(case, store)
    while not pinned(store):
        process.turn()
    process.close()  # and nobody else is given NEW

    def others() -> list[int]:
        loop = world_of(case, store).loop(ListSource(case.records, case.kinds, hidden={NEW}))
        until_quiet(loop)
        loop._pipeline.close()
        return sorted(shards(store))

    (held, *_), made = pinned(store), others()
    assert made == list(range(5, held)), "the others wait for it"
    skipped = skip.skip(Registry(store), NEW, held)
    assert (skipped.start, skipped.end, skipped.topic_id) == (0, 0, "id-u")
    # named as its owner would name its first part: of the two the first one wins
    assert (skipped.closed_by, skipped.window, skipped.through) == ("operator", held, held)
    assert held in others()
    finish(Stepper(world_of(case, store), case, SLOWLY))
    counts = [manifest.counts["records"] for manifest in shards(store).values()]
    assert sum(counts) == case.utterances, "what it has to say comes late, and is not lost"


def test_a_lane_ahead_of_our_clock_is_counted_while_it_is_ours() -> None:
    """The alarm of a broker's clock went on for ever in a process that had given the lane away."""
    counts: list[int] = []

    def heard(event: str, facts: dict[str, Any]) -> None:
        if event == "ahead_lanes":
            counts.append(facts["lanes"])

    case = case_of({A: [*spoken(A, range(5, 9)), (10**12 + 10**6, say(1, "too soon"))], B: []})
    loop = loop_of(case, MemoryStore(), listener=heard)
    source, clock = loop.source, loop.clock
    until(lambda: counts == [1], loop)
    for mine, expected in (({B}, [1, 0]), ({A, B}, [1, 0, 1])):
        source.mine = mine  # type: ignore[attr-defined]
        until(lambda now=expected: counts == now, loop)  # type: ignore[misc]
    clock.jump(1_000)  # type: ignore[attr-defined]
    until(lambda: counts == [1, 0, 1, 0], loop)
    loop._pipeline.close()


@pytest.mark.parametrize("silent", [(), (0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("window", [5, 7, 9])
def test_a_part_is_told_once_though_the_answer_of_its_create_was_lost(
    window: int, silent: tuple[int, ...]
) -> None:
    """Law 6: the store had it, and metrics and log never heard of its records. `silent`: which
    reads of the part fail, too."""
    case, store = case_of({A: spoken(A, [5, 6, 7, 9, 10])}), MemoryStore()
    publish_all(case, store)
    lost, read, told = list[str](), list[str](), list[str]()
    create, get = store.create, store.get

    def unheard(name: str, data: bytes) -> bool:
        made = create(name, data)
        if name == parts.name(A, window) and not lost:
            lost.append(name)
            raise Retry("time out")
        return made

    def slow(name: str) -> bytes:
        if lost and name == lost[0]:
            read.append(name)
            if len(read) - 1 in silent:
                raise Retry("time out")
        return get(name)

    def heard(event: str, facts: dict[str, Any]) -> None:
        if event == "part":
            told.append(parts.name(facts["manifest"].lane, facts["manifest"].window))

    store.create, store.get = unheard, slow  # type: ignore[method-assign]
    assert loop_of(case, store, ListSource, heard).run()
    assert lost and len(read) > len(silent)
    assert sorted(told) == list(store.list("parts/"))

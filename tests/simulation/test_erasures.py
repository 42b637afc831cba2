"""Erasures under crashes, rivals and replays: the same versions, the same bytes (laws 6 and 8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial

import msgspec
import pytest

from daemon import tables
from daemon.derived import rolling
from daemon.derived.history import History
from daemon.ports import LaneId, Retry, Store
from daemon.registry import bundle, versions
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.running.erasing import Eraser
from daemon.running.pinning import Pinning
from daemon.running.settle import Settler
from daemon.shards import assemble, erasures, shard
from daemon.stores.memory import MemoryStore
from tests.cases import Schedule, schedules
from tests.erasing import ask, case_of, contents, copied, readable, text_of, versions_of
from tests.streams import KEY
from tests.worlds import Stepper, outcome, play, publish_all, shards, world_of

ASKED = (
    ask(5, id="u500"), ask(7, user="p3"), ask(7, id="u501"), ask(8, id="u502"), ask(8, foo=1),
)  # fmt: skip
CASE = case_of(*ASKED)


@pytest.fixture(scope="module")
def before() -> Store:
    """All shards, one rolled, and no erasure done: whoever comes next begins with the first."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Eraser, "due", lambda self: False)
        store = play(CASE, Schedule())
    history = History(Registry(store), Engines(store, KEY, threads=1))
    rolling.write(history, rolling.roll(history, 6))
    lost = shard.prefix(5) + "rows-of-who-lost-the-race.parquet"
    store.create(lost, store.get(shards(store)[5].rows_object))
    return store


def eraser_of(store: Store) -> Eraser:
    registry = Registry(store)
    registry.start()
    return Eraser(registry, KEY, lambda event, facts: None)


def finish(store: Store) -> None:
    eraser = eraser_of(store)
    while eraser.due():
        pass


@pytest.fixture(scope="module")
def after(before: Store) -> dict[str, bytes]:
    """What is there once all erasures are done."""
    store = copied(before)
    finish(store)
    assert len(contents(store)) > len(contents(before))
    return contents(store)


def test_nothing_that_was_erased_is_left(before: Store, after: dict[str, bytes]) -> None:
    store = MemoryStore()
    for name, data in after.items():
        store.create(name, data)
    for n in (500, 501, 502, 503, 508, 513, 603, 703):
        assert any(text_of(n) in said for _, said in readable(before)), "so this can fail"
        assert not any(text_of(n) in said for _, said in readable(store)), n


class Hooked:
    """A store that does something else before or after one of its calls."""

    def __init__(self, store: Store, at: int, act: Callable[[], None], *, writes: bool) -> None:
        self.store, self.left, self.act, self.writes = store, at, act, writes
        self.list = partial(self._call, store.list, False)
        self.get = partial(self._call, store.get, False)
        self.create = partial(self._call, store.create, True)
        self.efface = partial(self._call, store.efface, True)

    def _call(self, call, write, *given):  # type: ignore[no-untyped-def]
        """The moment between two things that a process does."""
        if write or not self.writes:
            self.left -= 1
            if self.left == 0:
                self.act()
        done = call(*given)
        return iter(list(done)) if isinstance(done, Iterator) else done


class Crash(BaseException):
    """The process is gone: nothing may catch this."""


def dies() -> None:
    raise Crash


def calls(before: Store, *, writes: bool) -> int:
    """How many there are while all is erased."""
    hooked = Hooked(copied(before), 0, dies, writes=writes)
    finish(hooked)
    return -hooked.left


def test_a_death_at_any_write_changes_nothing(before: Store, after: dict[str, bytes]) -> None:
    count = calls(before, writes=True)
    assert count > 20
    for at in range(1, count + 1):
        store = copied(before)
        with pytest.raises(Crash):
            finish(Hooked(store, at, dies, writes=True))
        finish(store)
        assert contents(store) == after, at


def test_a_process_that_dies_again_and_again_comes_to_the_same_end(
    before: Store, after: dict[str, bytes]
) -> None:
    store = copied(before)
    for at in range(1, 200):
        try:
            finish(Hooked(store, 1 + at // 8, dies, writes=True))
        except Crash:
            continue
        break
    assert contents(store) == after


def check_rivals(before: Store, after: dict[str, bytes], *, writes: bool) -> None:
    """Between two calls of one process another does everything."""
    for at in range(1, calls(before, writes=writes)):
        store = copied(before)
        finish(Hooked(store, at, partial(finish, store), writes=writes))
        assert contents(store) == after, at


def test_who_writes_late_brings_nothing_back(before: Store, after: dict[str, bytes]) -> None:
    check_rivals(before, after, writes=True)


@pytest.mark.slow
def test_who_comes_late_at_any_call_brings_nothing_back(
    before: Store, after: dict[str, bytes]
) -> None:
    check_rivals(before, after, writes=False)


class Halting:
    """A process that dies once it has made the third version of a shard, before it is named."""

    def __init__(self, store: Store) -> None:
        self.store, self.get, self.list = store, store.get, store.list
        self.efface = store.efface

    def create(self, name: str, data: bytes) -> bool:
        created = self.store.create(name, data)
        if name == shard.manifest_name(5, 3):
            raise Crash
        return created


def halt(store: Store) -> None:
    with suppress(Crash):
        finish(Halting(store))


@pytest.mark.slow
def test_who_is_a_version_behind_leaves_stubs_that_lead_on(
    before: Store, after: dict[str, bytes]
) -> None:
    for at in range(1, calls(before, writes=False), 4):
        store = copied(before)
        finish(Hooked(store, at, partial(halt, store), writes=False))
        finish(store)
        assert contents(store) == after, at


def test_what_was_rolled_before_is_a_stub(before: Store, after: dict[str, bytes]) -> None:
    names = [name for name in after if name.startswith("rolling/")]
    store = MemoryStore()
    for name in names:
        assert "secret" in dict(readable(before))[name], "so this can fail"
        store.create(name, after[name])
    assert names and not any("secret" in said for _, said in readable(store))


def test_who_was_rolling_meanwhile_leaves_nothing(before: Store) -> None:
    """It read the parts before the erasures, and writes after the last of them."""
    store = copied(before)
    history = History(Registry(store), Engines(store, KEY, threads=1))
    rolled = rolling.roll(history, 5)
    assert text_of(501) in rolled.rows["text"], "so this can fail"
    finish(store)
    with pytest.raises(Retry, match="begin again"):
        rolling.write(history, rolled)
    assert not any(text in dict(readable(store))[rolled.name] for text in rolled.rows["text"])
    again = rolling.roll(history, 5)
    rolling.write(history, again)
    assert again.rows["id"] == tables.decode(store.get(again.name))[0]["id"]


class Blind:
    """A store in which another process makes a shard just after somebody looked for it."""

    def __init__(self, store: Store) -> None:
        self.get, self.create, self.efface = store.get, store.create, store.efface

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        return iter(())


def test_rows_of_another_engine_that_lost_are_a_stub(before: Store) -> None:
    """An erasure may have looked for such rows before they came."""
    store, theirs = copied(before), shards(before)[6]
    history = History(Registry(store), Engines(store, KEY, threads=1))
    parts = tuple(msgspec.structs.replace(ref, engine="another") for ref in theirs.parts)
    name = shard.prefix(6) + "rows-of-another-engine.parquet"
    ours = assemble.assemble(history.inputs(theirs))
    manifest = msgspec.structs.replace(
        ours.manifest, parts=parts, rows_object=name, rows_digest="other"
    )
    settler = Settler(
        Registry(Blind(store)), Pinning(history.registry, history.engines), history.engines
    )
    made = shard.Shard(manifest, ours.rows)
    assert ours.rows["id"] and settler._publish(made) == theirs
    assert erasures.is_stub(tables.decode(store.get(name))[1])


def test_versions_name_no_part_that_depends_on_how_lanes_closed() -> None:
    """Where a lane has no record its parts are runs of windows, in each schedule others."""
    quiet = LaneId("asked", 1)
    records = {**CASE.records, quiet: [ask(7, id="nobody")]}
    case = dataclasses.replace(CASE, records=records, kinds={**CASE.kinds, quiet: "erasures"})
    registry = Registry(play(case, Schedule()))
    found = [versions.newest(registry, window).revision for window in shards(registry.store)]
    named = {name for revision in found for name in revision.erasures}
    assert named and all(registry.part(name).rows["position"] for name in named)


def without_parts(store: Store) -> dict[str, bytes]:
    """Parts and manifests say how lanes happened to close their windows; the rest is equal."""
    kept = ("erased/", "rolling/", "shards/")
    found = {name: data for name, data in contents(store).items() if name.startswith(kept)}
    return {name: data for name, data in found.items() if not name.endswith("manifest.json")}


@pytest.mark.parametrize("number", [0, 2])
def test_any_schedule_gives_the_same_versions(number: int) -> None:
    first = play(CASE, Schedule())
    other = play(CASE, schedules(number, 3)[number])
    assert without_parts(other) == without_parts(first)
    assert outcome(other) == outcome(first) and versions_of(other) == versions_of(first)
    for window in shards(first):
        for each in versions.numbers(first, window):
            one, two = (versions.manifest(store, window, each) for store in (first, other))
            assert one.revision == two.revision


def test_the_replay_of_a_recorded_run_makes_every_version() -> None:
    origin = play(CASE, schedules(5, 3)[2])
    cuts = bundle.closings(origin, tuple(CASE.records))
    replayed = MemoryStore()
    bundle.copy_decisions(origin, replayed)
    play(CASE, Schedule(), store=replayed, recorded=cuts)
    assert without_parts(replayed) == without_parts(origin)
    assert len(versions_of(replayed)) > len(shards(replayed))


def test_two_processes_make_each_version_once() -> None:
    """Both read, close, make shards and erase; turns as they come."""
    expected = play(CASE, Schedule())
    store = MemoryStore()
    publish_all(CASE, store)
    rivals = [Stepper(world_of(CASE, store), CASE, way) for way in schedules(3, 4)[2:]]
    for _ in range(4_000):
        for rival in rivals:
            rival.turn()
        if all(rival.ended() for rival in rivals):
            break
    for rival in rivals:
        assert rival.ended()
        rival.close()
    assert without_parts(store) == without_parts(expected)
    assert outcome(store) == outcome(expected)

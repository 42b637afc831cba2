"""A stretch of a live run, with what was learnt before it, is replayed as it was (laws 4, 5, 8)."""

from __future__ import annotations

import random

import pytest

from daemon.ports import Fatal
from daemon.registry import bundle, excerpt, versions
from daemon.registry.registry import Registry
from daemon.running.erasing import Eraser
from daemon.stores.memory import MemoryStore
from tests.cases import Schedule, random_case, schedules
from tests.erasing import ask, case_of
from tests.simulation.test_schedules import live
from tests.worlds import outcome, play


def check_excerpt(seed: int) -> int:
    """Of a random stretch; how many objects of earlier shards it needed."""
    case, rng = random_case(seed, windows=9), random.Random(seed)
    origin = live(case, seed)
    lived = outcome(origin)
    windows = sorted(lived)
    first, last = sorted(rng.choices(windows, k=2))
    taken = excerpt.excerpt(Registry(origin), first, rng.choice([last, None]))
    recorded = MemoryStore()
    bundle.copy_decisions(origin, recorded)
    carried = excerpt.carry(taken, origin, recorded)
    replayed = MemoryStore()
    bundle.copy_decisions(recorded, replayed)
    way = schedules(seed, 4)[rng.randrange(4)]
    play(case, way, store=replayed, recorded=taken.closings)
    again = outcome(replayed)
    assert {w: o for w, o in again.items() if w >= first} == {
        w: o for w, o in lived.items() if first <= w <= taken.last
    }
    return carried


@pytest.mark.parametrize("group", range(5))
def test_a_stretch_of_a_run_is_replayed_as_it_was(group: int) -> None:
    assert sum(check_excerpt(seed) for seed in range(4 * group, 4 * group + 4)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(700, 800))
def test_stretches_of_runs_are_replayed_as_they_were_in_many_worlds(seed: int) -> None:
    check_excerpt(seed)


def test_the_whole_run_needs_nothing_that_was_learnt_before() -> None:
    case = random_case(3)
    origin = live(case, 3)
    taken = excerpt.excerpt(Registry(origin), None, None)
    assert taken.taught == ()
    assert taken.closings == bundle.closings(origin, tuple(sorted(case.records)))


def test_what_was_learnt_elsewhere_does_not_mix() -> None:
    """A store that made the shard itself, and otherwise, is another lineage."""
    recorded, own = MemoryStore(), MemoryStore()
    recorded.create("taught/shards/000000000005/manifest.json", b"theirs")
    own.create("shards/000000000005/manifest.json", b"ours")
    with pytest.raises(Fatal, match=r"decisions of its own .shards/000000000005"):
        bundle.copy_decisions(recorded, own)


def test_a_replay_that_erased_what_came_before_it_goes_on_after_a_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It has emptied rows that the recording brought: that is no other lineage."""
    case = case_of(ask(7, id="u501"), ask(8, user="p3"))
    with monkeypatch.context() as patch:
        patch.setattr(Eraser, "due", lambda self: False)
        origin = play(case, Schedule())
    taken, recorded = excerpt.excerpt(Registry(origin), 6, None), MemoryStore()
    bundle.copy_decisions(origin, recorded)
    excerpt.carry(taken, origin, recorded)
    store = MemoryStore()
    bundle.copy_decisions(recorded, store)
    play(case, Schedule(), store=store, recorded=taken.closings)
    assert versions.numbers(store, 5) == [1, 2, 3], "so this can fail"
    assert bundle.copy_decisions(recorded, store) == 0

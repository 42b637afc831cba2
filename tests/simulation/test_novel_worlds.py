"""Worlds in which lanes and assembler refuse what was emitted: no schedule, crash or rival shows.

The random cases of this folder with the shortest waits: lanes know of all shards but the last.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from daemon.config.settings import Stream
from tests import cases
from tests.cases import Case, Edition, Schedule
from tests.simulation import test_excerpts, test_schedules
from tests.streams import PERIOD_MS
from tests.worlds import play, shards

SHORT = Stream(period_ms=PERIOD_MS, grace=0, label_wait=0, lag=2)


def novel_case(seed: int, **changes: Any) -> Case:
    """A random case with epoch `window` in every edition."""
    case = cases.random_case(seed, **{"windows": 8, **changes})
    editions = [
        Edition(
            msgspec.structs.replace(
                edition.policy, epoch="window", rolling=None, capacity_rows=4, pool_rows=10
            ),
            edition.first_window,
            edition.classes,
            edition.seed,
        )
        for edition in case.editions
    ]
    return Case(case.records, case.kinds, SHORT, tuple(editions), case.step)


@pytest.fixture(autouse=True)
def novel_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The checks of this folder, over other worlds."""
    for module in (test_schedules, test_excerpts):
        monkeypatch.setattr(module, "random_case", novel_case)


def test_lanes_and_assembler_have_something_to_refuse() -> None:
    found = [shards(play(novel_case(seed), Schedule())).values() for seed in range(4)]
    made = [manifest for each in found for manifest in each]
    assert sum(m.counts.get("already_emitted", 0) for m in made) > 20
    assert sum(m.novelty.repeats for m in made if m.novelty) > 5


@pytest.mark.parametrize("seed", range(2))
def test_any_schedule_gives_the_same_shards(seed: int) -> None:
    test_schedules.check_all_schedules(seed, 2)


def test_crashes_at_any_create_change_nothing() -> None:
    """Also between a run of hashes and the manifest that names it."""
    assert test_schedules.check_crashes(1) > 0


def test_two_processes_make_the_same_shards() -> None:
    assert test_schedules.check_rivals(302) > 0


@pytest.mark.parametrize("seed", [501])
def test_a_live_run_is_replayed_as_it_was(seed: int) -> None:
    test_schedules.check_recording(seed)


@pytest.mark.parametrize("seed", range(2))
def test_a_stretch_brings_what_was_known(seed: int) -> None:
    test_excerpts.check_excerpt(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_060))
def test_nothing_shows_in_many_worlds(seed: int) -> None:
    test_schedules.check_all_schedules(seed, 4)
    test_schedules.check_crashes(seed)
    test_schedules.check_stops(seed)
    test_schedules.check_rivals(seed)
    test_schedules.check_recording(seed)
    test_excerpts.check_excerpt(seed)

"""Nothing waits in a circle: lag >= 2 + grace + label_wait, and every world has one set of pins.

Idle lanes wait for evidence, shards for labels, lanes for learning, pins for rosters. The two
circles of the second review are met here with the real loop over hundreds of worlds.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from daemon.lanes.genesis import check_lag
from daemon.ports import Fatal
from tests.simulation.waiting import light_parts, random_waiting, run


@pytest.fixture(autouse=True)
def _light() -> Iterator[None]:
    with light_parts():
        yield


def stuck(seeds: range, *, lag_less: int, new_partitions: bool) -> list[int]:
    """Worlds in which some schedule leaves a record that nobody may take."""
    found = []
    for seed in seeds:
        world = random_waiting(seed, lag_less=lag_less, new_partitions=new_partitions)
        if any(run(world, schedule).unread for schedule in range(3)):
            found.append(seed)
    return found


def check_one_set_of_pins(seeds: range) -> None:
    for seed in seeds:
        world = random_waiting(seed, new_partitions=False)
        first, *others = [run(world, schedule) for schedule in range(3)]
        assert first.unread == 0, f"world {seed} is stuck"
        assert first.lost == (), f"world {seed} has records in no shard"
        for other in others:
            assert (other.pins, other.shards) == (first.pins, first.shards), f"world {seed}"


@pytest.mark.parametrize("group", range(4))
def test_no_world_is_stuck_and_each_has_one_set_of_pins(group: int) -> None:
    """A1 and A2: no fallback, so calibrations in pins do not depend on who was fast."""
    check_one_set_of_pins(range(60 * group, 60 * group + 60))


@pytest.mark.slow
@pytest.mark.parametrize("group", range(4, 20))
def test_a_thousand_worlds_are_not_stuck(group: int) -> None:
    check_one_set_of_pins(range(60 * group, 60 * group + 60))


def test_with_two_windows_less_idle_lanes_and_learning_wait_for_each_other() -> None:
    """A2: so the laws above can fail."""
    assert len(stuck(range(30), lag_less=2, new_partitions=False)) > 5


def test_with_one_window_less_a_new_partition_can_stop_everything() -> None:
    """A9: what the last of the two windows is for."""
    assert stuck(range(60), lag_less=1, new_partitions=True)


@pytest.mark.parametrize("grace", [0, 1, 2])
@pytest.mark.parametrize("label_wait", [0, 1, 2])
def test_a_smaller_lag_is_refused(grace: int, label_wait: int) -> None:
    check_lag(grace=grace, label_wait=label_wait, lag=2 + grace + label_wait)
    with pytest.raises(Fatal, match=f"need {2 + grace + label_wait}"):
        check_lag(grace=grace, label_wait=label_wait, lag=1 + grace + label_wait)

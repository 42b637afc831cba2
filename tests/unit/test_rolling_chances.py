"""A rolling shard says with which chance each row is in it: totals over those are unbiased."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import msgspec
import numpy as np
import pytest

from buffers import draw
from buffers.base import NEVER
from daemon.derived import ways
from daemon.derived.history import History
from daemon.derived.rolling import roll
from daemon.derived.ways import Way
from daemon.policy import Arms, Groups, Kind, Learning, Policy, Rolling
from daemon.ports import LaneId
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards.pool import First
from scoring.types import GRID
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS
from tests.streams import CLASSES, KEY, PERIOD_MS, Record, say, small_policy
from tests.worlds import play

LANE = LaneId("u", 0)


def rolled(said: dict[int, list[tuple[str, str]]], *editions: Edition) -> dict[str, list[Any]]:
    """The rows of the newest window, of (text, label) by window."""
    records: list[Record] = []
    for window, rows in said.items():
        for at, (text, label) in enumerate(rows):
            value = say(len(records), text, label)
            records.append((window * PERIOD_MS + at, value))
    case = Case({LANE: records}, {LANE: "utterances"}, WAITS, editions)
    registry = Registry(play(case, Schedule()))
    return roll(History(registry, Engines(registry.store, KEY, threads=1)), max(said)).rows


def policy(rows: int, rolling: Rolling, **changes: Any) -> Policy:
    return small_policy(
        select=Kind("uniform"), capacity_rows=rows, rolling=rolling, arms=Arms(1, 1, 1),
        groups=Groups(support=3, limit=5, traffic_exponent=1.0, floor_rows=0), **changes,
    )  # fmt: skip


@pytest.mark.parametrize("half_life", [None, 2])
def test_totals_are_unbiased_where_traffic_drifts(half_life: int | None) -> None:
    """Horvitz-Thompson: 50 texts of the class that is heavy since window 8, in windows 7 to 10.

    Its quota grows, so older windows turned away most of what the newer ones let through.
    """
    settings = Rolling(capacity_rows=60, windows=4, half_life_windows=half_life)
    drifting = policy(60, settings, learning=Learning(memory_windows=1, minimum_rows=8))
    alarms = []
    for seed in range(12):
        said = {
            window: [
                (f"s{seed} {n}", CLASSES[n % 4])
                for n in range(200)
                for _ in range(6 if CLASSES[n % 4] == ("music" if window < 6 else "alarm") else 1)
            ]
            for window in range(4, 11)
        }
        rows = rolled(said, Edition(drifting))
        chances = rows["inclusion_selected"]
        named = zip(rows["group"], chances, strict=True)
        alarms.append(sum(1 / chance for name, chance in named if name == "alarm"))
        for weight, tau, chance in zip(rows["weight"], rows["tau"], chances, strict=True):
            assert chance == pytest.approx(1 - math.exp(-weight * (tau or math.inf)))
    error = np.std(alarms, ddof=1) / len(alarms) ** 0.5
    assert abs(np.mean(alarms) - 50) < 3 * error and error < 2, (np.mean(alarms), error)


def test_rows_are_certain_where_the_last_window_turned_nothing_away() -> None:
    """Whichever window's row is shown: the one before, smaller, had turned most texts away."""
    small = policy(12, Rolling(capacity_rows=16, windows=6))
    large = msgspec.structs.replace(small, rolling=Rolling(capacity_rows=2_000, windows=6))
    texts = [(f"say {n}", CLASSES[n % 4]) for n in range(200)]
    rows = rolled({5: texts, 6: texts}, Edition(small), Edition(large, first_window=6))
    assert len(rows["id"]) == 200 and set(rows["window"]) == {5, 6}
    assert set(rows["inclusion_selected"]) == {1.0} and set(rows["tau"]) == {None}


def bound(weight: int, tau: int) -> float:
    """What -ln of the draw has to be below."""
    return math.inf if tau == NEVER else weight / GRID * math.exp(tau / draw.RANK_UNIT)


def test_the_chance_is_that_of_any_way() -> None:
    """Against a million draws: one draw in all windows, another one in `(other)`."""
    rng = np.random.default_rng(7)
    spent = {drawn: rng.exponential(size=1_000_000) for drawn in range(3)}
    unit = draw.RANK_UNIT
    for _ in range(40):
        tau = int(rng.integers(-3 * unit, unit)) if rng.random() < 0.5 else NEVER
        own = []
        for drawn in rng.permutation([0, 0, 0, 1])[: rng.integers(1, 5)].tolist():
            first = int(rng.integers(-3 * unit, unit)) if rng.random() < 0.5 else NEVER
            before = int(rng.choice([drawn, drawn, 2])) if drawn == 1 else drawn
            came = First(int(rng.integers(1, GRID + 1)), first, before, waited=False)
            own.append(Way(drawn, came, int(rng.integers(1, GRID + 1)), int(rng.integers(unit))))
        shown = np.zeros(1_000_000, bool)
        for way in own:
            plain = tau if tau == NEVER else tau - way.decay
            through = spent[way.first.key_low] < bound(way.first.weight, way.first.log_tau)
            shown |= through & (spent[way.drawn] < bound(way.weight, plain))
        assert ways.chance(own, tau) == pytest.approx(shown.mean(), abs=0.003)


def test_a_wider_rolling_tau_is_never_a_smaller_chance() -> None:
    unit = draw.RANK_UNIT
    own = [Way(0, First(GRID, -unit, 0, waited=False), GRID // 2, unit),
           Way(0, First(GRID, NEVER, 0, waited=False), GRID, 3 * unit)]  # fmt: skip
    taus = [*range(-4 * unit, 4 * unit, unit // 3), NEVER]
    for smaller, larger in pairwise(taus):
        assert ways.chance(own, smaller) <= ways.chance(own, larger)
        assert ways.widest(own, smaller, own[0]) <= ways.widest(own, larger, own[0])
    assert ways.chance(own, NEVER) == 1.0 and ways.widest(own, NEVER, own[1]) == NEVER

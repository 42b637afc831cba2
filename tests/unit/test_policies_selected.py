"""Every policy through lanes, pool and merge: who is kept depends on the set of records alone."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable
from functools import lru_cache
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.policy import Groups, Kind, Policy, Quarantine
from daemon.ports import Store
from scoring.kinds import load, names
from scoring.types import CODES, GRID, Reason, Spread, Terms
from scoring.types import Policy as Select
from tests.cases import LABELS, Edition, random_case, schedules
from tests.contracts.test_policies import column
from tests.selection import LAST, labelled, lane_split, ledger_rows, run, selected
from tests.streams import CLASSES, say, small_policy
from tests.unit.test_late_labels import told
from tests.unit.test_sampling import sample
from tests.worlds import outcome, play, shards

ASKED: dict[str, dict[str, Any]] = {
    "band": {"score": "el2n", "refuse": True},
    "mixture": {"scores": ["entropy", "el2n"]},
    "softmax": {"score": "el2n", "temperature": 0.5},
    "coverage": {"score": "el2n", "strata": 5},
    "top": {"score": "margin", "keep": 0.3},
}
SELECTS = [Kind(kind, ASKED.get(kind, {})) for kind in names("scoring.policies")]
each_policy = pytest.mark.parametrize("select", SELECTS, ids=lambda select: select.kind)
BY = Groups(by=("label", "argmax"), limit=9)


def kept(store: Store, window: int = 5) -> list[Any]:
    columns = ("text", "group", "label", "log_rank", "weight", "multiplicity")
    return sorted(tuple(str(row[name]) for name in columns) for row in selected(store, window))


def twice(values: list[bytes], lanes: int) -> Any:
    """Window 5 teaches what window 9 is decided by."""
    records = lane_split(values, lanes)
    for lane, later in lane_split(values, lanes, LAST).items():
        records[lane] += later
    return records


@lru_cache(maxsize=64)
def both(kind: str, identity: Any, lanes: int, seed: int) -> list[list[Any]]:
    """Who is kept under the published calibration, and under one learnt from the stream."""
    select = next(select for select in SELECTS if select.kind == kind)
    policy = small_policy(identity=identity, select=select, groups=BY, capacity_rows=14)
    values = labelled(90, 40)
    random.Random(seed).shuffle(values)
    store = run(twice(values, lanes), policy)
    assert not shards(store)[5].cold and not shards(store)[LAST].cold
    assert shards(store)[LAST].calibration_used == 5
    return [kept(store, window) for window in (5, LAST)]


@each_policy
@pytest.mark.parametrize("identity", ["id", "text"])
@settings(max_examples=4, deadline=None)
@given(lanes=st.integers(1, 6), seed=st.integers(1, 1 << 32))
def test_neither_lanes_nor_order_change_who_is_kept(
    select: Kind, identity: Any, lanes: int, seed: int
) -> None:
    """Law 2: a selection is of a set of records."""
    first = both(select.kind, identity, 1, 0)
    assert both(select.kind, identity, lanes, seed) == first
    assert all(len(rows) >= 5 for rows in first)


@each_policy
def test_a_label_that_comes_late_counts_as_one_that_came_in_time(select: Kind) -> None:
    """Law 8: with the same weight, hence the same rank, and refused ones come back."""
    policy = small_policy(
        identity="id", select=select, groups=BY, capacity_rows=30, pool_rows=120,
        quarantine=Quarantine(assumed_rate=0.3, margin=1.0),
    )  # fmt: skip
    labels = {n: CLASSES[n * 5 % 4] for n in range(100)}
    sooner = lane_split([say(n, f"say {n}", labels[n]) for n in range(100)], 3)
    later = lane_split([say(n, f"say {n}") for n in range(100)], 3)
    later[LABELS] = told(labels)
    in_time, in_the_end = kept(run(sooner, policy)), kept(run(later, policy))
    assert in_time == in_the_end and len(in_time) > 10


@each_policy
@pytest.mark.parametrize("seed", range(2))
def test_any_schedule_gives_the_same_shards(select: Kind, seed: int) -> None:
    """Laws 1, 5 and 7, with rubbish, late records, answers and changes of edition."""
    case = random_case(900 + seed)
    text = next(iter(case.editions)).policy.identity == "text"
    editions = tuple(
        Edition(_with(e.policy, select, BY if text else e.policy.groups), *_rest(e))
        for e in case.editions
    )
    case = dataclasses.replace(case, editions=editions)
    first, other = (outcome(play(case, schedule)) for schedule in schedules(seed, 2))
    assert first == other


def _with(policy: Policy, select: Kind, groups: Groups) -> Policy:
    return msgspec.structs.replace(policy, select=select, groups=groups)


def _rest(edition: Edition) -> tuple[int, tuple[str, ...], int]:
    return edition.first_window, edition.classes, edition.seed


def test_rows_outside_a_band_are_counted_and_never_kept() -> None:
    select = Kind("band", {"score": "entropy", "refuse": True, "quarantine": False})
    policy = small_policy(identity="id", select=select, groups=BY, capacity_rows=200)
    store = run(lane_split(labelled(100), 2), policy)
    rows = ledger_rows(store, 5)
    outside = [row for row in rows if row["reason"] == CODES[Reason.OUTSIDE_BAND]]
    assert shards(store)[5].counts["outside_band"] == len(outside) > 0
    inside = {row["score_entropy"] for row in rows if row["reason"] == 0}
    edges = {row["score_entropy"] for row in outside}
    assert not any(min(inside) < edge < max(inside) for edge in edges)
    assert len(selected(store)) == len(rows) - len(outside)


def of(kind: str, **options: Any) -> Select:
    return cast(Select, load("scoring.policies", kind, options))


SHAPES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "even": lambda u: u * 4096,
    "crowded": lambda u: np.minimum(-np.log1p(-u) * 500, 4096),
}


@pytest.mark.parametrize("shape", sorted(SHAPES))
@pytest.mark.parametrize("kind", ["softmax", "coverage", "band", "top", "mixture"])
def test_totals_over_inclusion_are_unbiased_under_its_weights(kind: str, shape: str) -> None:
    """Horvitz-Thompson with the weights of the policy: within three standard errors."""
    n, runs, rng = 1_000, 300, np.random.default_rng(8)
    steps = SHAPES[shape](rng.random(n)).astype(int)
    policy = of(kind)
    weights = policy.weigh(column("entropy", steps.tolist()), _learnt(policy, steps)).weights
    assert len(set(weights.tolist())) > 1
    groups = rng.integers(0, 4, n)
    value = 1 + steps / GRID
    ids = rng.integers(0, 1 << 64, (n, 2), np.uint64)
    found = np.zeros(runs)
    for number in range(runs):
        rows, share = sample(ids, groups, weights.astype(np.int64), 150, b"run %d" % number)
        found[number] = (value[rows] / share).sum()
    error = found.std() / runs**0.5
    assert abs(found.mean() - value.sum()) < 3 * error + 1e-9
    assert error < 0.2 * value.sum()


def _learnt(policy: Select, steps: np.ndarray) -> Terms:
    """What a calibration of these very rows says."""
    low, high = (int(q) for q in np.quantile(steps, (0.05, 0.95)))
    places = np.clip((steps - low) * 20 // (high - low), 0, 19)
    masses = tuple(np.bincount(places, minlength=20).tolist())
    cut = int(np.quantile(steps, 0.5))
    spread = Spread(low, high, len(steps), int(steps.std()), cut, masses)
    return Terms((spread,) * len(policy.reads), None, cold=False)


def test_coverage_keeps_as_many_of_a_rare_stratum_as_of_a_crowded_one() -> None:
    """Nine in ten rows are easy: by chance they were nine in ten of those kept."""
    rng = np.random.default_rng(3)
    steps = np.concatenate([rng.integers(0, 1000, 9_000), rng.integers(1000, 4000, 1_000)])
    spread = Spread(0, 4000, 10_000, 1, 0, tuple(np.bincount(steps // 1000).tolist()))
    policy = of("coverage", strata=4)
    said = Terms((spread,), None, cold=False)
    weights = policy.weigh(column("entropy", steps.tolist()), said).weights
    ids = rng.integers(0, 1 << 64, (len(steps), 2), np.uint64)
    rows, _ = sample(ids, np.zeros(len(steps), np.int64), weights.astype(np.int64), 400, b"k")
    counts = np.bincount(steps[rows] // 1000, minlength=4)
    assert counts.sum() == 400
    assert counts.min() > 70 and counts.max() < 130, "about a hundred each"

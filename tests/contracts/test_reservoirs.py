"""What every reservoir owes: a module in buffers/ with `build` is one, and is tested here."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import buffers
from buffers.base import NEVER, TARGET_SUM, Kept, Quotas, Reservoir

Build = Callable[[int, Quotas], Reservoir]
MODULES = [
    importlib.import_module(f"buffers.{m.name}") for m in pkgutil.iter_modules(buffers.__path__)
]
KINDS = [module for module in MODULES if hasattr(module, "build")]
kinds = pytest.mark.parametrize("build", [pytest.param(m.build, id=m.__name__) for m in KINDS])
laws = settings(deadline=None, max_examples=80)


@dataclass(frozen=True)
class World:
    """Offers in the order of the log: (group, log-rank, identity) per record."""

    quotas: Quotas
    capacity: int
    offers: list[tuple[int, int, int]]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    groups = draw(st.integers(1, 4))
    column = st.lists(st.integers(0, 5), min_size=groups, max_size=groups)
    targets = [draw(st.integers(1, 9)) for _ in range(groups - 1)]
    quotas = Quotas(
        np.array([*targets, TARGET_SUM - sum(targets)], np.int64),
        np.array(draw(column), np.int64),
        np.array(draw(column), np.int64) * draw(st.sampled_from([1, 1000])),
        np.array(draw(column), np.uint64),
    )
    keys = draw(
        st.lists(  # few ranks and identities: ties and repeats are the rule
            st.tuples(st.integers(0, groups - 1), st.integers(-3, 3), st.integers(0, 9)),
            min_size=1, max_size=16, unique_by=lambda key: (key[0], key[2]),
        )
    )  # fmt: skip
    offers = draw(st.lists(st.sampled_from(keys), max_size=40))
    return World(quotas, draw(st.integers(0, 12)), offers)


def offer(reservoir: Reservoir, world: World, rows: Sequence[int]) -> None:
    """One batch: these records of the log, in this order."""
    some = [world.offers[row] for row in rows]
    reservoir.offer_many(
        np.array([key[0] for key in some], np.int32),
        np.array([key[1] for key in some], np.int64),
        np.array([divmod(key[2], 3) for key in some], np.uint64).reshape(-1, 2),
        np.array(rows, np.int64),
        [f"record {row}" for row in rows],
    )


def state(reservoir: Reservoir) -> dict[str, Any]:
    kept = reservoir.items()
    columns = {f.name: getattr(kept, f.name) for f in fields(Kept)}
    lists = {name: np.asarray(column).tolist() for name, column in columns.items()}
    return lists | {"taus": reservoir.thresholds().tolist()}


def at_once(build: Build, world: World) -> Reservoir:
    reservoir = build(world.capacity, world.quotas)
    offer(reservoir, world, range(len(world.offers)))
    return reservoir


def in_batches(
    build: Build, world: World, rows: list[int], data: st.DataObject, *, look: bool
) -> Reservoir:
    reservoir = build(world.capacity, world.quotas)
    while rows:
        size = data.draw(st.integers(1, len(rows)))
        offer(reservoir, world, rows[:size])
        rows = rows[size:]
        if look and data.draw(st.booleans()):
            reservoir.items(), reservoir.thresholds()
    return reservoir


def test_the_kinds_are_found() -> None:
    names = {module.__name__ for module in KINDS}
    assert {"buffers.balanced", "buffers.uniform", "buffers.newest"} <= names


@kinds
@laws
@given(worlds(), st.data())
def test_order_batches_and_looking_change_nothing(
    build: Build, world: World, data: st.DataObject
) -> None:
    rows = data.draw(st.permutations(range(len(world.offers))))
    assert state(in_batches(build, world, rows, data, look=True)) == state(at_once(build, world))


@kinds
@laws
@given(worlds(), st.data())
def test_any_split_into_lanes_merges_to_the_same(
    build: Build, world: World, data: st.DataObject
) -> None:
    lanes = data.draw(st.integers(1, 4))
    home = [data.draw(st.integers(0, lanes - 1)) for _ in world.offers]
    parts = [
        in_batches(build, world, [r for r, h in enumerate(home) if h == lane], data, look=False)
        for lane in range(lanes)
    ]
    untouched = [state(part) for part in parts[1:]]
    flat = build(world.capacity, world.quotas)  # as from parts that were written and read again
    for part in parts:
        kept = part.items()
        flat.offer_many(
            kept.groups, kept.log_ranks, kept.ids, kept.orders, kept.items, kept.multiplicity
        )
        flat.items()
    taus = np.minimum.reduce([flat.thresholds(), *(part.thresholds() for part in parts)])
    whole = state(at_once(build, world))
    assert state(flat) | {"taus": taus.tolist()} == whole
    if lanes > 1:
        parts[0].merge(parts[1])
        assert [state(part) for part in parts[1:]] == untouched
        parts = [parts[0], *parts[2:]]
    while len(parts) > 1:  # any tree
        first, second = data.draw(st.permutations(range(len(parts))))[:2]
        parts[first].merge(parts[second])
        del parts[second]
    assert state(parts[0]) == whole


@kinds
def test_crowded_lanes_one_record_at_a_time(build: Build) -> None:
    """Far more keys than room, so most is turned away at the door and in merges."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        ranks = rng.integers(-30, 30, 20)  # one for all groups, as draws of an identity are
        said = zip(rng.integers(0, 3, 60).tolist(), rng.integers(0, 20, 60).tolist(), strict=True)
        world = World(even(3), 8, [(group, int(ranks[i]), i) for group, i in said])
        lanes = [build(8, world.quotas) for _ in range(3)]
        for row in rng.permutation(60).tolist():
            offer(lanes[row % 3], world, [row])
            lanes[row % 3].thresholds()
        lanes[1].merge(lanes[2])
        lanes[0].merge(lanes[1])
        assert state(lanes[0]) == state(at_once(build, world))


@kinds
@laws
@given(worlds())
def test_rows_are_within_capacity_and_in_canonical_order(build: Build, world: World) -> None:
    kept = at_once(build, world).items()
    assert len(kept.items) <= world.capacity
    rows = list(zip(kept.groups.tolist(), kept.log_ranks.tolist(), kept.ids.tolist(), strict=True))
    assert rows == sorted(rows)
    assert kept.items == [f"record {order}" for order in kept.orders]
    assert kept.multiplicity.dtype == kept.orders.dtype == kept.log_ranks.dtype == np.int64
    assert kept.groups.dtype == np.int32
    assert kept.ids.shape == (len(rows), 2)


@kinds
@laws
@given(worlds())
def test_with_room_for_all_nothing_is_turned_away(build: Build, world: World) -> None:
    room = replace(world.quotas, caps=np.full_like(world.quotas.caps, 1000))
    reservoir = at_once(build, World(room, 1000, world.offers))
    kept = reservoir.items()
    assert kept.multiplicity.sum() == len(world.offers)
    seen = {(g, r, *divmod(i, 3)) for g, r, i in world.offers}
    rows = zip(kept.groups.tolist(), kept.log_ranks.tolist(), kept.ids.tolist(), strict=True)
    assert {(g, r, high, low) for g, r, (high, low) in rows} == seen
    assert set(reservoir.thresholds().tolist()) == {NEVER}


class Once(Sequence[str]):
    """Items that tell which of them were read."""

    def __init__(self, n: int) -> None:
        self.n, self.read = n, list[int]()

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> Any:
        self.read.append(index)
        return f"record {index}"


@kinds
def test_items_that_cannot_stay_are_not_read(build: Build) -> None:
    world = World(even(2), 3, [(i % 2, i // 2, i) for i in range(40)])
    reservoir = at_once(build, world)
    before, items = state(reservoir), Once(4)
    groups, ids = np.array([0, 1, 0, 1], np.int32), np.arange(100, 108, dtype=np.uint64)
    worse = np.full(4, 1000, np.int64)
    reservoir.offer_many(groups, worse, ids.reshape(4, 2), np.arange(-4, 0), items)
    assert state(reservoir) == before
    assert items.read == []


def even(groups: int) -> Quotas:
    targets = np.full(groups, TARGET_SUM // groups, np.int64)
    caps = np.full(groups, 1 << 40)
    return Quotas(targets, np.zeros_like(targets), caps, np.arange(groups).astype(np.uint64))


@kinds
def test_rows_given_out_are_copies(build: Build) -> None:
    reservoir = at_once(build, World(even(2), 3, [(0, 1, 1), (1, 0, 2), (1, 2, 3), (0, 4, 4)]))
    before, kept = state(reservoir), reservoir.items()
    for column in (kept.groups, kept.log_ranks, kept.ids, kept.multiplicity, kept.orders):
        column[:] = 0
    kept.items.clear()
    reservoir.thresholds()[:] = 0
    assert state(reservoir) == before


@kinds
def test_a_reservoir_goes_on_after_it_was_merged_elsewhere(build: Build) -> None:
    world = World(even(1), 5, [(0, i % 6, i % 6) for i in range(30)])
    one, other = build(5, world.quotas), build(5, world.quotas)
    offer(other, world, range(10))
    before = state(other)
    one.merge(other)
    offer(other, world, range(10, 30))
    assert state(one) == before
    assert state(other) == state(at_once(build, world))


@kinds
def test_items_may_be_any_objects(build: Build) -> None:
    reservoir = build(4, even(1))
    items: list[Any] = [(1, 2), [3, 4], None, np.zeros(2)]
    ids = np.arange(8, dtype=np.uint64).reshape(4, 2)
    column = np.arange(4)
    reservoir.offer_many(np.zeros(4, np.int32), column, ids, column, items)
    assert all(a is b for a, b in zip(reservoir.items().items, items, strict=True))


@kinds
@pytest.mark.parametrize("group", [-1, 2])
def test_an_unknown_group_is_refused(build: Build, group: int) -> None:
    with pytest.raises(ValueError, match="group"):
        offer(build(3, even(2)), World(even(2), 3, [(0, 0, 0), (group, 0, 0)]), [0, 1])


@kinds
@pytest.mark.parametrize("short", range(6))
def test_ragged_columns_are_refused(build: Build, short: int) -> None:
    ones = np.ones(2, np.int64)
    columns: list[Any] = [ones.astype(np.int32), ones, np.ones((2, 2), np.uint64), ones, "ab", ones]
    columns[short] = columns[short][:1]
    with pytest.raises(ValueError, match="length"):
        build(3, even(2)).offer_many(*columns)


@kinds
def test_only_likes_are_merged(build: Build) -> None:
    reservoir = build(3, even(2))
    others = [module.build(3, even(2)) for module in KINDS if module.build is not build]
    for other in [build(4, even(2)), build(3, even(3)), *others]:
        with pytest.raises(ValueError, match="merged"):
            reservoir.merge(other)


@kinds
def test_quotas_that_cannot_be_filled_are_refused(build: Build) -> None:
    with pytest.raises(ValueError, match="targets"):
        build(3, replace(even(2), targets=np.zeros(2, np.int64)))
    with pytest.raises(ValueError, match="capacity"):
        build(-1, even(2))

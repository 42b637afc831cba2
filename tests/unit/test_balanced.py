"""The balanced reservoir against its definition, the traps of law 2, and what chance owes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers.balanced import Balanced
from buffers.base import NEVER, TARGET_SUM, Kept, Quotas
from buffers.bottom import HELD
from buffers.waterfill import allocate

Offer = tuple[int, int, int, int]  # group, log-rank, identity, order
Row = tuple[int, int, int, int, int]  # group, log-rank, identity, multiplicity, first order


@dataclass(frozen=True)
class World:
    quotas: Quotas
    capacity: int
    offers: list[Offer]


def make(columns: list[tuple[int, int, int, int]]) -> Quotas:
    targets, floors, caps, ties = np.array(columns, np.int64).reshape(-1, 4).T
    return Quotas(targets, floors, caps, ties.astype(np.uint64))


@st.composite
def worlds(pick: st.DrawFn) -> World:
    small = st.integers(0, 6)  # floors above caps are as likely as below
    target = st.one_of(st.integers(1, 4), st.integers(1, TARGET_SUM))
    groups = pick(
        st.lists(st.tuples(target, small, small, st.integers(0, 1)), min_size=1, max_size=5)
    )
    key = st.tuples(st.integers(0, len(groups) - 1), st.integers(-2, 2), st.integers(0, 12))
    keys = pick(st.lists(key, min_size=1, max_size=30, unique_by=lambda k: (k[0], k[2])))
    said = pick(st.lists(st.sampled_from(keys), max_size=60))
    orders = pick(st.permutations(range(len(said))))
    capacity = pick(st.one_of(st.sampled_from([0, 1, len(keys)]), st.integers(0, 20)))
    offers = [(*key, order) for key, order in zip(said, orders, strict=True)]
    return World(make(groups), capacity, offers)


def definition(world: World) -> tuple[list[Row], list[int]]:
    """Rows and taus by the words of law 2: every slot of every group, in one list."""
    said: dict[tuple[int, int, int], list[int]] = {}
    for *key, order in world.offers:
        said.setdefault((key[0], key[1], key[2]), []).append(order)
    slots, quotas = [], world.quotas
    for g in range(len(quotas.targets)):
        for j, key in enumerate(sorted(k for k in said if k[0] == g), start=1):
            level = (
                (0, Fraction(j))
                if j <= quotas.floors[g]
                else (1, Fraction(j, int(quotas.targets[g])))
            )
            if j <= quotas.caps[g]:
                slots.append((*level, int(quotas.ties[g]), g, key))
    kept = {slot[-1] for slot in sorted(slots)[: world.capacity]}
    rows = [(*key, len(said[key]), min(said[key])) for key in sorted(kept)]
    away = [key for key in said if key not in kept]
    return rows, [
        min((rank for group, rank, _ in away if group == g), default=NEVER)
        for g in range(len(quotas.targets))
    ]


def offer(reservoir: Balanced, offers: Sequence[Offer]) -> None:
    groups, ranks, numbers, orders = np.array(offers, np.int64).reshape(-1, 4).T
    ids = np.stack([numbers // 5, numbers % 5], axis=1).astype(np.uint64)
    items = [f"record {order}" for order in orders]
    reservoir.offer_many(groups.astype(np.int32), ranks, ids, orders, items)


def absorbed(world: World, offers: Sequence[Offer] | None = None, batch: int = 7) -> Balanced:
    reservoir = Balanced(world.capacity, world.quotas)
    offers = world.offers if offers is None else offers
    for start in range(0, len(offers), batch):
        offer(reservoir, offers[start : start + batch])
        reservoir.thresholds()  # forces what waits to be sorted and cut
    return reservoir


def rows_of(kept: Kept) -> list[Row]:
    assert kept.items == [f"record {order}" for order in kept.orders]
    numbers = kept.ids[:, 0] * 5 + kept.ids[:, 1]  # in the order of the identities
    columns = (kept.groups, kept.log_ranks, numbers, kept.multiplicity, kept.orders)
    return list(zip(*(column.tolist() for column in columns), strict=True))


def state(reservoir: Balanced) -> tuple[list[Row], list[int]]:
    return rows_of(reservoir.items()), reservoir.thresholds().tolist()


@settings(deadline=None, max_examples=400)
@given(worlds(), st.integers(1, 40))
def test_it_keeps_what_the_definition_says(world: World, batch: int) -> None:
    assert state(absorbed(world, batch=batch)) == definition(world)


@settings(deadline=None, max_examples=200)
@given(worlds(), st.integers(1, 5), st.randoms(use_true_random=False))
def test_lanes_merge_to_what_the_definition_says(world: World, lanes: int, dice: Any) -> None:
    home = [dice.randrange(lanes) for _ in world.offers]
    parts = [
        absorbed(world, [o for o, h in zip(world.offers, home, strict=True) if h == lane])
        for lane in range(lanes)
    ]
    while len(parts) > 1:
        dice.shuffle(parts)
        parts[-1].merge(parts.pop(0))
    assert state(parts[0]) == definition(world)


# Traps. Each is written down wrongly on purpose, and must depend on the order of arrival in some
# world: so the laws above can fail.


def some_worlds(count: int = 60) -> list[World]:
    rng = np.random.default_rng(12)
    out = []
    for _ in range(count):
        g = int(rng.integers(1, 4))
        quotas = make([(int(rng.integers(1, 9)), int(rng.integers(0, 2)), 9, i) for i in range(g)])
        keys = [(int(rng.integers(g)), int(rng.integers(2)), i) for i in range(14)]
        said = [keys[int(i)] for i in rng.integers(14, size=40)]
        out.append(World(quotas, 6, [(*key, order) for order, key in enumerate(said)]))
    return out


def one_by_one(world: World, offers: Sequence[Offer], *, by_position: bool) -> list[Row]:
    """A reservoir as one first writes it; ties by position, or rightly by identity."""
    kept: dict[tuple[int, int, int], list[int]] = {}
    groups = range(len(world.quotas.targets))
    for group, rank, number, order in offers:
        row = kept.setdefault((group, rank, number), [0, order])
        row[0], row[1] = row[0] + 1, min(row[1], order)
        mine = [[k for k in kept if k[0] == g] for g in groups]
        owned = allocate(np.array([len(m) for m in mine]), world.quotas, world.capacity)
        for g in groups:
            mine[g].sort(key=lambda k: (k[1], kept[k][1] if by_position else k[2]))
            for key in mine[g][owned[g] :]:
                del kept[key]
    return sorted((*key, *row) for key, row in kept.items())


def depends_on_order(worlds: list[World], run: Callable[[World, list[Offer]], Any]) -> int:
    """In how many worlds one of five shuffles of the same records gives something else."""
    rng = np.random.default_rng(13)
    differ = 0
    for world in worlds:
        shuffles = [[world.offers[i] for i in rng.permutation(len(world.offers))] for _ in range(5)]
        results = [run(world, offers) for offers in shuffles]
        differ += any(result != results[0] for result in results)
    return differ


def test_trap_ties_by_position() -> None:
    worlds = some_worlds()
    wrong = depends_on_order(worlds, lambda w, o: one_by_one(w, o, by_position=True))
    right = depends_on_order(worlds, lambda w, o: one_by_one(w, o, by_position=False))
    assert (wrong > 0, right) == (True, 0)
    for world in worlds:
        rows = one_by_one(world, world.offers, by_position=False)
        assert rows == state(absorbed(world))[0]


def test_trap_groups_that_come_first() -> None:
    """The first group seen gets a place of its own, later ones share the other."""

    def first_come(world: World, offers: list[Offer]) -> list[Row]:
        seen = offers[0][0]
        grouped = [(int(group != seen), *rest) for group, *rest in offers]
        quotas = make([(3, 0, 9, 0), (1, 1, 9, 1)])
        return state(absorbed(replace(world, quotas=quotas), grouped))[0]

    assert depends_on_order(some_worlds(), first_come) > 0
    assert depends_on_order(some_worlds(), lambda w, o: state(absorbed(w, o))) == 0


def test_trap_taus_from_rows() -> None:
    """What a merge drops is not all that was turned away: lanes' taus count."""
    wrong = 0
    for world in some_worlds():
        lanes = [absorbed(world, world.offers[lane::3]) for lane in range(3)]
        merged = Balanced(world.capacity, world.quotas)
        for lane in lanes:
            offer(merged, [(g, r, i, o) for g, r, i, _, o in state(lane)[0]])
        taus = np.minimum.reduce([part.thresholds() for part in [merged, *lanes]])
        assert taus.tolist() == definition(world)[1]
        wrong += merged.thresholds().tolist() != taus.tolist()
    assert wrong > 0


def test_a_key_with_two_ranks_is_two_keys() -> None:
    """So ranks must be functions of the key: weights that vary between its records break that."""
    world = World(make([(1, 0, 9, 0)]), 2, [(0, 1, 7, 0), (0, 2, 7, 1), (0, 3, 8, 2)])
    assert [row[2] for row in state(absorbed(world))[0]] == [7, 7]


# At size.


def even(groups: int) -> Quotas:
    return make([(TARGET_SUM // groups, 1, 1 << 40, i) for i in range(groups)])


def test_many_rows_wait_and_are_cut_as_few_are() -> None:
    """Past the size at which waiting rows are sorted; lanes and repeats as in small worlds."""
    rng = np.random.default_rng(3)
    n, keys = 60_000, 25_000
    number = rng.integers(0, keys, n)
    rank, group = rng.integers(-(10**6), 10**6, keys), rng.integers(0, 4, keys)
    offers = np.stack([group[number], rank[number], number, rng.permutation(n)], axis=1)
    world = World(even(4), 3_000, [])
    lanes = [Balanced(world.capacity, world.quotas) for _ in range(3)]
    for start in range(0, n, 1000):
        offer(lanes[start // 1000 % 3], offers[start : start + 1000])
    lanes[0].merge(lanes[2])
    lanes[1].merge(lanes[0])
    full = World(world.quotas, world.capacity, [tuple(row) for row in offers.tolist()])
    assert state(lanes[1]) == definition(full)


class Source(list[int]):
    """Items of a batch, of which one can tell whether they are still held."""


def test_few_batches_are_held_however_little_of_each_may_stay() -> None:
    reservoir, batch = Balanced(50, even(1)), 4096
    alive: list[weakref.ref[Source]] = []
    for number in range(100):
        items = Source(range(batch))
        alive.append(weakref.ref(items))
        ids = np.full((batch, 2), number, np.uint64)
        ids[:, 1] = np.arange(batch)
        ranks = np.arange(batch) * 1000 - number  # one new best row per batch
        reservoir.offer_many(np.zeros(batch, np.int32), ranks, ids, ranks, items)
    del items
    assert sum(ref() is not None for ref in alive) * batch <= HELD


@pytest.mark.parametrize("column", ["targets", "floors", "caps", "ties"])
def test_other_quotas_are_not_merged(column: str) -> None:
    quotas = even(2)
    changed = getattr(quotas, column).copy()
    changed[1] -= 1
    with pytest.raises(ValueError, match="merged"):
        Balanced(3, quotas).merge(Balanced(3, replace(quotas, **{column: changed})))

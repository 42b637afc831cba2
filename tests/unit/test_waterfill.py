"""Water-filling against its definition: the list of all slots, compared as fractions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers.base import TARGET_SUM, Quotas
from buffers.waterfill import allocate, check, equal

Slot = tuple[int, Fraction, int, int]


def slot_key(quotas: Quotas, g: int, j: int) -> Slot:
    """The key of slot j (from 1) of group g, as law 2 states it."""
    tie = int(quotas.ties[g])
    if j <= quotas.floors[g]:
        return 0, Fraction(j), tie, g
    return 1, Fraction(j, int(quotas.targets[g])), tie, g


def brute_force(counts: np.ndarray, quotas: Quotas, capacity: int) -> list[int]:
    slots = sorted(
        slot_key(quotas, g, j)
        for g in range(len(counts))
        for j in range(1, min(int(counts[g]), int(quotas.caps[g])) + 1)
    )
    owners = [slot[3] for slot in slots[:capacity]]
    return [owners.count(g) for g in range(len(counts))]


def make(columns: list[tuple[int, int, int, int]]) -> Quotas:
    targets, floors, caps, ties = (
        np.array([row[i] for row in columns], np.int64) for i in range(4)
    )
    return Quotas(targets, floors, caps, ties.astype(np.uint64))


TARGETS = st.one_of(st.integers(1, 8), st.integers(1, TARGET_SUM), st.just(TARGET_SUM))
SMALL = st.integers(0, 12)
GROUP = st.tuples(TARGETS, SMALL, SMALL, st.integers(0, 2))


@settings(deadline=None, max_examples=400)
@given(st.lists(st.tuples(GROUP, st.integers(0, 14)), max_size=7), st.integers(0, 60))
def test_it_is_the_capacity_smallest_slots(
    groups: list[tuple[tuple[int, int, int, int], int]], capacity: int
) -> None:
    quotas = make([group for group, _ in groups])
    counts = np.array([count for _, count in groups], np.int64)
    assert allocate(counts, quotas, capacity).tolist() == brute_force(counts, quotas, capacity)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(GROUP, st.integers(0, 14), st.integers(0, 5)), min_size=1, max_size=6),
    st.integers(0, 40),
)
def test_what_turned_a_key_away_once_never_owns_more(
    groups: list[tuple[tuple[int, int, int, int], int, int]], capacity: int
) -> None:
    quotas = make([group for group, _, _ in groups])
    before = np.array([count for _, count, _ in groups], np.int64)
    after = before + np.array([more for _, _, more in groups], np.int64)
    owned, owned_later = allocate(before, quotas, capacity), allocate(after, quotas, capacity)
    short = owned < before
    assert np.all(owned_later[short] <= owned[short])


def is_the_smallest(rows: np.ndarray, counts: np.ndarray, quotas: Quotas, capacity: int) -> bool:
    """Whether every owned slot stands before every free one: enough at any size."""
    slots = np.minimum(counts, quotas.caps)
    if slots.sum() <= capacity:
        return bool(np.array_equal(rows, slots))
    groups = range(len(counts))
    last = max(slot_key(quotas, g, int(rows[g])) for g in groups if rows[g] > 0)
    free = min(slot_key(quotas, g, int(rows[g]) + 1) for g in groups if rows[g] < slots[g])
    return rows.sum() == capacity and last < free


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("capacity", [7, 2_000, 1_000_000])
def test_many_groups_and_rows(seed: int, capacity: int) -> None:
    rng = np.random.default_rng(seed)
    g = 500
    share = rng.pareto(1.0, g) + 1e-6 if seed % 2 else np.ones(g)
    targets = np.maximum(share / share.sum() * TARGET_SUM, 1).astype(np.int64)
    caps = rng.integers(0, 10**6, g) if seed % 3 else np.full(g, 1 << 60)
    quotas = Quotas(targets, rng.integers(0, 4000, g), caps, rng.integers(0, 9, g).astype("u8"))
    counts = rng.integers(0, 10 ** rng.integers(1, 8, g))
    assert is_the_smallest(allocate(counts, quotas, capacity), counts, quotas, capacity)


def test_a_group_as_wide_as_all_beside_the_narrowest() -> None:
    quotas = make([(TARGET_SUM, 0, 1 << 40, 5), (1, 0, 1 << 40, 4)])
    counts = np.full(2, (1 << 42) - 1)
    assert allocate(counts, quotas, TARGET_SUM).tolist() == [TARGET_SUM - 1, 1]  # tie: 4 before 5


@pytest.mark.parametrize("ties", [(0, 1), (1, 0)])
@pytest.mark.parametrize("narrow", [400_000, 1_000_000])
def test_slots_as_near_to_each_other_as_can_be(narrow: int, ties: tuple[int, int]) -> None:
    """(n - 1)/n and n/(n + 1) differ by 1/(n (n + 1)); the one that is less goes first."""
    wide = narrow + 1
    quotas = make([(narrow, 0, 1 << 40, ties[0]), (wide, 0, 1 << 40, ties[1])])
    counts = np.full(2, 1 << 40)
    for capacity in range(2 * narrow - 6, 2 * narrow + 4):
        assert is_the_smallest(allocate(counts, quotas, capacity), counts, quotas, capacity)


def test_it_changes_nothing_it_was_given() -> None:
    quotas = make([(3, 1, 9, 0), (5, 0, 9, 0)])
    counts = np.array([4, 4], np.int64)
    allocate(counts, quotas, 3)
    assert counts.tolist() == [4, 4]
    assert equal(quotas, make([(3, 1, 9, 0), (5, 0, 9, 0)]))


@pytest.mark.parametrize(
    "wrong",
    [(0, 0, 1, 0), (TARGET_SUM + 1, 0, 1, 0), (1, -1, 1, 0), (1, 0, -1, 0)],
)
def test_quotas_that_cannot_be_filled_are_refused(wrong: tuple[int, int, int, int]) -> None:
    check(make([(1, 0, 0, 0)]), 0)
    with pytest.raises(ValueError, match=r"targets|negative"):
        check(make([wrong]), 1)


def test_a_negative_capacity_and_ragged_quotas_are_refused() -> None:
    good = make([(1, 0, 1, 0)])
    with pytest.raises(ValueError, match="capacity"):
        check(good, -1)
    with pytest.raises(ValueError, match="length"):
        check(Quotas(good.targets, good.floors, good.caps, np.zeros(2, np.uint64)), 1)


@pytest.mark.parametrize("column", range(4))
def test_equal_quotas_are_equal_in_every_column(column: int) -> None:
    other = [3, 1, 9, 2]
    other[column] += 1
    a, b, c, d = other
    assert not equal(make([(3, 1, 9, 2)]), make([(a, b, c, d)]))

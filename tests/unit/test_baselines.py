"""What the baselines keep, by their definitions."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers.base import NEVER, TARGET_SUM, Quotas, Reservoir
from buffers.newest import Newest
from buffers.uniform import Uniform

GROUPS = 3
Key = tuple[int, int, int]  # log-rank, identity, group
KEYS = st.tuples(st.integers(-3, 3), st.integers(0, 6), st.integers(0, GROUPS - 1))
STREAMS = st.lists(KEYS, max_size=30)


def quotas() -> Quotas:
    """Caps of nothing: a baseline must not look at them."""
    none = np.zeros(GROUPS, np.int64)
    return Quotas(np.full(GROUPS, TARGET_SUM // GROUPS), none, none, none.astype(np.uint64))


def offered(reservoir: Reservoir, stream: list[Key], batch: int) -> Reservoir:
    for start in range(0, len(stream), batch):
        ranks, numbers, groups = np.array(stream[start : start + batch], np.int64).T
        ids = np.stack([numbers // 2, numbers % 2], axis=1).astype(np.uint64)
        orders = np.arange(start, start + len(ranks))
        reservoir.offer_many(groups.astype(np.int32), ranks, ids, orders, orders.tolist())
        reservoir.thresholds()
    return reservoir


def keys_of(reservoir: Reservoir) -> list[Key]:
    kept = reservoir.items()
    numbers = kept.ids[:, 0] * 2 + kept.ids[:, 1]
    columns = (kept.log_ranks.tolist(), numbers.tolist(), kept.groups.tolist())
    return list(zip(*columns, strict=True))


@settings(deadline=None, max_examples=200)
@given(STREAMS, st.integers(0, 12), st.integers(1, 9))
def test_uniform_keeps_the_smallest_ranks_of_all_groups(
    stream: list[Key], capacity: int, batch: int
) -> None:
    reservoir = offered(Uniform(capacity, quotas()), stream, batch)
    distinct = sorted(set(stream))
    assert sorted(keys_of(reservoir)) == distinct[:capacity]
    assert all(
        count == stream.count(key) and first == stream.index(key)
        for key, count, first in zip(
            keys_of(reservoir),
            reservoir.items().multiplicity,
            reservoir.items().items,
            strict=True,
        )
    )
    tau = distinct[capacity][0] if len(distinct) > capacity else NEVER
    assert reservoir.thresholds().tolist() == [tau] * GROUPS


@settings(deadline=None, max_examples=200)
@given(STREAMS, st.integers(0, 12), st.integers(1, 9))
def test_newest_keeps_the_last_records(stream: list[Key], capacity: int, batch: int) -> None:
    reservoir = offered(Newest(capacity, quotas()), stream, batch)
    first = max(len(stream) - capacity, 0)
    assert sorted(reservoir.items().items) == list(range(first, len(stream)))
    assert sorted(keys_of(reservoir)) == sorted(stream[first:])
    assert set(reservoir.items().multiplicity.tolist()) <= {1}
    assert reservoir.thresholds().tolist() == [
        min((rank for rank, _, group in stream[:first] if group == g), default=NEVER)
        for g in range(GROUPS)
    ]

"""A baseline: the smallest ranks over all groups, so groups stay as traffic has them.

With equal weights a uniform sample of distinct keys; with others a weighted one. Quotas are
ignored but for the number of groups.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from buffers import columns, waterfill
from buffers.base import Ids, Int64s, Items, Kept, Quotas, Reservoir
from buffers.bottom import BottomK


class Uniform:
    """A `Reservoir` of the `capacity` smallest (log-rank, identity, group)."""

    def __init__(self, capacity: int, quotas: Quotas) -> None:
        """ValueError as in `Balanced`, so that kinds can be exchanged."""
        waterfill.check(quotas, capacity)
        self.capacity, self.groups = capacity, len(quotas.targets)
        self.bottom = BottomK(1, self.groups, self._share, capacity)

    def offer_many(
        self,
        groups: npt.NDArray[np.int32],
        log_ranks: Int64s,
        ids: Ids,
        orders: Int64s,
        items: Items,
        multiplicity: Int64s | None = None,
    ) -> None:
        """As the protocol says. ValueError for an unknown group or columns of other lengths."""
        one = np.zeros(len(groups), np.int32)
        self.bottom.offer(
            columns.offers(one, log_ranks, groups, log_ranks, ids, orders, items, multiplicity)
        )

    def items(self) -> Kept:
        """Rows in canonical order: copies."""
        return columns.kept(self.bottom.rows())

    def thresholds(self) -> Int64s:
        """(g,) the one tau of them all: a group's own would be conditioned on its luck."""
        return np.repeat(self.bottom.bounds(), self.groups)

    def merge(self, other: Reservoir) -> None:
        """As the protocol says. ValueError for another kind, capacity or number of groups."""
        if not (
            isinstance(other, Uniform)
            and other.capacity == self.capacity
            and other.groups == self.groups
        ):
            raise ValueError("only reservoirs of one kind, capacity and groups can be merged")
        self.bottom.merge(other.bottom)

    def _share(self, counts: Int64s) -> Int64s:
        return np.minimum(counts, self.capacity)


def build(capacity: int, quotas: Quotas) -> Reservoir:
    """The kind `uniform`."""
    return Uniform(capacity, quotas)

"""A baseline: the records with the largest orders, as a queue of bounded length keeps them.

What is kept is a record, not a key: a text said twice lately is two rows, each counted once.
Quotas are ignored but for the number of groups.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from buffers import columns, waterfill
from buffers.base import Ids, Int64s, Items, Kept, Quotas, Reservoir
from buffers.bottom import BottomK


class Newest:
    """A `Reservoir` of the `capacity` largest orders."""

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
        newest_first = ~orders  # -orders - 1 has no overflow
        self.bottom.offer(
            columns.offers(one, newest_first, groups, log_ranks, ids, orders, items, multiplicity)
        )

    def items(self) -> Kept:
        """Rows in canonical order: copies."""
        return columns.kept(self.bottom.rows())

    def thresholds(self) -> Int64s:
        """(g,) as the protocol says; it gives no inclusion probability, as chance had no part."""
        return self.bottom.taus()

    def merge(self, other: Reservoir) -> None:
        """As the protocol says. ValueError for another kind, capacity or number of groups."""
        if not (
            isinstance(other, Newest)
            and other.capacity == self.capacity
            and other.groups == self.groups
        ):
            raise ValueError("only reservoirs of one kind, capacity and groups can be merged")
        self.bottom.merge(other.bottom)

    def _share(self, counts: Int64s) -> Int64s:
        return np.minimum(counts, self.capacity)


def build(capacity: int, quotas: Quotas) -> Reservoir:
    """The kind `newest`."""
    return Newest(capacity, quotas)

"""The product: the smallest ranks of every group, water-filled to one capacity (law 2).

A group that is rare keeps all it has, a group that is frequent keeps its best; what the one
leaves the others share by their targets. Rows, multiplicities, shown items and taus are functions
of the set of offers, if group and rank are functions of the key (identity, group).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from buffers import columns, waterfill
from buffers.base import Ids, Int64s, Items, Kept, Quotas, Reservoir
from buffers.bottom import BottomK


class Balanced:
    """A `Reservoir` of at most `capacity` rows in all, shared out by `quotas`."""

    def __init__(self, capacity: int, quotas: Quotas) -> None:
        """ValueError for quotas that cannot be filled exactly."""
        waterfill.check(quotas, capacity)
        self.capacity, self.quotas = capacity, quotas
        groups = len(quotas.targets)
        self.bottom = BottomK(groups, groups, self._share, capacity)

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
        self.bottom.offer(
            columns.offers(groups, log_ranks, groups, log_ranks, ids, orders, items, multiplicity)
        )

    def items(self) -> Kept:
        """Rows in canonical order: copies."""
        return columns.kept(self.bottom.rows())

    def thresholds(self) -> Int64s:
        """(g,) tau of each group: given it, a row was kept with `draw.inclusion`."""
        return self.bottom.taus()

    def merge(self, other: Reservoir) -> None:
        """As the protocol says. ValueError for another kind, capacity or quotas."""
        if not (
            isinstance(other, Balanced)
            and other.capacity == self.capacity
            and waterfill.equal(other.quotas, self.quotas)
        ):
            raise ValueError("only reservoirs of one kind, capacity and quotas can be merged")
        self.bottom.merge(other.bottom)

    def _share(self, counts: Int64s) -> Int64s:
        return waterfill.allocate(counts, self.quotas, self.capacity)


def build(capacity: int, quotas: Quotas) -> Reservoir:
    """The kind `balanced`."""
    return Balanced(capacity, quotas)

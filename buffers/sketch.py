"""What all kinds of reservoirs are made of: a bottom-k machine behind the protocol.

A kind says how its rows compete: within what, by which rank, and for how much.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from buffers import columns, waterfill
from buffers.base import Ids, Int64s, Items, Kept, Quotas, Reservoir
from buffers.bottom import BottomK


class Sketch:
    """A `Reservoir` of at most `capacity` rows: the smallest (log-rank, identity, group) of all.

    Of the quotas it reads only how many groups there are.
    """

    stratified = False  # rows compete within their group, not with all others

    def __init__(self, capacity: int, quotas: Quotas) -> None:
        """ValueError for quotas that cannot be filled exactly: kinds can be exchanged."""
        waterfill.check(quotas, capacity)
        self.capacity, self.quotas = capacity, quotas
        groups = len(quotas.targets)
        self.bottom = BottomK(groups if self.stratified else 1, groups, self.share, capacity)

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
        strata = groups if self.stratified else np.zeros(len(groups), np.int32)
        ranks = self.ranks(log_ranks, orders)
        self.bottom.offer(
            columns.offers(strata, ranks, groups, log_ranks, ids, orders, items, multiplicity)
        )

    def items(self) -> Kept:
        """Rows in canonical order: copies."""
        return columns.kept(self.bottom.rows())

    def thresholds(self) -> Int64s:
        """(g,) tau of each group: the smallest log-rank that it ever turned away."""
        return self.bottom.taus()

    def merge(self, other: Reservoir) -> None:
        """As the protocol says. ValueError for another kind, capacity or quotas."""
        if not (
            isinstance(other, Sketch)
            and type(other) is type(self)
            and other.capacity == self.capacity
            and self.alike(other.quotas)
        ):
            raise ValueError("only reservoirs of one kind, capacity and quotas can be merged")
        self.bottom.merge(other.bottom)

    def ranks(self, log_ranks: Int64s, orders: Int64s) -> Int64s:
        """(n,) what offered rows compete by; small is good."""
        return log_ranks

    def share(self, counts: Int64s) -> Int64s:
        """Distinct keys by stratum -> keys that each may own, `capacity` in all."""
        return np.minimum(counts, self.capacity)

    def alike(self, quotas: Quotas) -> bool:
        """Whether these quotas would keep the same rows."""
        return len(quotas.targets) == len(self.quotas.targets)

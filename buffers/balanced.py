"""The product: the smallest ranks of every group, water-filled to one capacity (law 2).

A group that is rare keeps all it has, a group that is frequent keeps its best; what the one
leaves the others share by their targets. Rows, multiplicities, shown items and taus are functions
of the set of offers, if group and rank are functions of the key (identity, group). Given its tau, a
row was kept with `draw.inclusion`.
"""

from __future__ import annotations

from buffers import waterfill
from buffers.base import Int64s, Quotas, Reservoir
from buffers.sketch import Sketch


class Balanced(Sketch):
    """A `Reservoir` of at most `capacity` rows in all, shared out by `quotas`."""

    stratified = True

    def share(self, counts: Int64s) -> Int64s:
        return waterfill.allocate(counts, self.quotas, self.capacity)

    def alike(self, quotas: Quotas) -> bool:
        return waterfill.equal(quotas, self.quotas)


def build(capacity: int, quotas: Quotas) -> Reservoir:
    """The kind `balanced`."""
    return Balanced(capacity, quotas)

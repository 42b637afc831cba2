"""A baseline: the records with the largest orders, as a queue of bounded length keeps them.

What is kept is a record, not a key: a text said twice lately is two rows, each counted once.
Quotas are ignored but for the number of groups. Its taus give no inclusion probability, as chance
had no part.
"""

from __future__ import annotations

from buffers.base import Int64s, Quotas, Reservoir
from buffers.sketch import Sketch


class Newest(Sketch):
    """A `Reservoir` of the `capacity` largest orders."""

    def ranks(self, log_ranks: Int64s, orders: Int64s) -> Int64s:
        return ~orders  # newest first; -orders - 1 has no overflow


def build(capacity: int, quotas: Quotas) -> Reservoir:
    """The kind `newest`."""
    return Newest(capacity, quotas)

"""A baseline: the smallest ranks over all groups, so groups stay as traffic has them.

With equal weights a uniform sample of distinct keys; with others a weighted one. Quotas are
ignored but for the number of groups.
"""

from __future__ import annotations

import numpy as np

from buffers.base import Int64s, Quotas, Reservoir
from buffers.sketch import Sketch


class Uniform(Sketch):
    """A `Reservoir` of the `capacity` smallest (log-rank, identity, group)."""

    def thresholds(self) -> Int64s:
        """(g,) the one tau of them all: a group's own would be conditioned on its luck."""
        return np.repeat(self.bottom.bounds(), len(self.quotas.targets))


def build(capacity: int, quotas: Quotas) -> Reservoir:
    """The kind `uniform`."""
    return Uniform(capacity, quotas)

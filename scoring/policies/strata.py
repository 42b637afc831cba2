"""Strata of equal width between two quantiles: one rule, for what is learnt and what is weighed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]


def stratum_of(values: npt.NDArray[np.integer], low: int, high: int, count: int) -> Int64s:
    """(n,) grid steps -> (n,) stratum, 0 to count - 1.

    What lies below `low` belongs to the first one, what lies at `high` or above to the last, so
    every row is in one. Of a span shorter than `count` some strata are empty. high > low.
    """
    place: Int64s = (values.astype(np.int64) - low) * count // (high - low)
    return np.clip(place, 0, count - 1)

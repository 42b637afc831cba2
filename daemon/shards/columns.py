"""Rows of parts as columns: joined, named, picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from daemon.lanes.part import Part

LANE_BITS = 48  # an order is lane index << 48 | position
Columns = dict[str, list[Any]]


def concat(parts: Sequence[Part]) -> Columns:
    """Rows of the parts of one window, with lane, order and whether an erasure left them bare.

    Parts are sorted by lane.
    """
    columns: Columns = {"lane": [], "order": [], "erased": []}
    for index, part in enumerate(parts):
        count = len(part.rows["position"])
        columns["lane"] += [str(part.manifest.lane)] * count
        columns["order"] += [index << LANE_BITS | p for p in part.rows["position"]]
        columns["erased"] += [p in part.manifest.erased for p in part.rows["position"]]
        for name, values in part.rows.items():
            columns.setdefault(name, []).extend(values)
    return columns


def plain_name(columns: Columns, row: int, by: Sequence[str]) -> str:
    """The first of the policy's sources that a row has; as daemon.lanes.gather names groups."""
    sources = {"label": "label", "hypothesis": "intent", "argmax": "argmax"}
    return next((n for n in (columns[sources[s]][row] for s in by) if n), "")


def ids_of(columns: Columns, rows: Sequence[int], high: str, low: str) -> npt.NDArray[np.uint64]:
    pairs = [(columns[high][r], columns[low][r]) for r in rows]
    return np.array(pairs, np.uint64).reshape(-1, 2)


def column_of(columns: Columns, rows: Sequence[int], name: str, dtype: Any) -> npt.NDArray[Any]:
    return np.array([columns[name][r] for r in rows], dtype)

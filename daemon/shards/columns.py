"""Rows of parts as columns: joined, named, picked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from daemon.lanes.part import Part
from scoring.types import NO_LABEL, UNKNOWN_LABEL, Scored

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


def scored_of(
    columns: Columns, rows: Sequence[int], classes: Sequence[str], names: Sequence[str]
) -> Scored:
    """Rows as policies read them, with the scores of these names."""
    index = {name: at for at, name in enumerate(classes)}
    labels = [columns["label"][row] for row in rows]
    known = [NO_LABEL if one is None else index.get(one, UNKNOWN_LABEL) for one in labels]
    return Scored(
        np.array([index[columns["argmax"][row]] for row in rows], np.int32),
        np.array(known, np.int32),
        {n: column_of(columns, rows, f"score_{n}", np.int16) for n in names},
        column_of(columns, rows, "believed", np.int16),
        np.zeros((len(rows), 0), np.float32),  # policies read none
    )

"""What a reservoir is: kept rows by group, smallest ranks first, in columns.

Knows no speech. A row is (group, log-rank, identity, order, item): the group and the rank are
functions of the key (identity, group) and constants of the window (law 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

TARGET_SUM = 1 << 20  # integer targets of all groups sum to this
NEVER = np.iinfo(np.int64).max  # tau of a group that evicted nothing

Int64s = npt.NDArray[np.int64]
Ids = npt.NDArray[np.uint64]  # (n, 2): 128 bits of identity, high word first


@dataclass(frozen=True, slots=True, eq=False)
class Quotas:
    """What each of g groups may own; constant for the window. Arrays of length g."""

    targets: Int64s  # >= 1, sum TARGET_SUM
    floors: Int64s  # rows owned before targets speak
    caps: Int64s  # rows never exceeded, even by a floor
    ties: Ids | Int64s  # (g,) uint64 hash of the group's name: breaks equal slot keys


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """Rows in canonical order: (group, log_rank, id high, id low). All columns of length n."""

    groups: npt.NDArray[np.int32]
    log_ranks: Int64s  # ln(rank) in steps of 2**-40: small is good
    ids: Ids  # (n, 2)
    multiplicity: Int64s  # records offered with this key
    orders: Int64s  # smallest order offered with this key; its item is the one shown
    items: list[Any]


class Items(Protocol):
    """Offered items by place. Each is read at most once, and only if it may stay."""

    def __len__(self) -> int: ...

    def __getitem__(self, place: int, /) -> Any: ...


class Reservoir(Protocol):
    """Keeps rows under a capacity, whatever the order, split or repetition of the offers.

    `offer_many` is called once per batch; `items` may be called at any time and changes nothing.
    Equal sets of offers give equal `items`, whatever their order or batches (ties by identity).
    """

    def offer_many(
        self,
        groups: npt.NDArray[np.int32],
        log_ranks: Int64s,
        ids: Ids,
        orders: Int64s,
        items: Items,
        multiplicity: Int64s | None = None,
    ) -> None:
        """Offer n rows. `items[i]` is read only for rows that may stay (it may be lazy)."""

    def items(self) -> Kept: ...

    def thresholds(self) -> Int64s:
        """(g,) tau: the smallest log-rank each group ever turned away, NEVER if none."""

    def merge(self, other: Reservoir) -> None:
        """Absorb another reservoir of the same quotas and capacity over other records."""

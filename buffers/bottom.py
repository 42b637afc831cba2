"""The machine under every kind: per stratum the smallest keys, as many as it may own.

Bottom-k sketches merge exactly, in any order (Cohen and Kaplan 2008). Why this stays exact
across strata, with exact multiplicities: what a stratum may own depends on counts of distinct
keys alone; more keys only lower the level, so once it owns less than it has seen, it never owns
more again. A key that was turned away therefore never comes back, and one that is kept was
never turned away.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers import columns
from buffers.base import NEVER, Int64s, Items

PENDING = 8192  # rows that wait at least before all are sorted
HELD = 1 << 16  # offered rows whose items may be held, unread, until then


class BottomK:
    """Rows that are kept, and rows that wait until it pays to sort them."""

    def __init__(
        self, strata: int, groups: int, share: Callable[[Int64s], Int64s], capacity: int
    ) -> None:
        """`share`: distinct keys by stratum -> keys that each may own, `capacity` in all."""
        self._share = share
        self._patience = max(capacity, PENDING)
        self._bounds = np.full(strata, NEVER)  # smallest rank that each stratum turned away
        self._taus = np.full(groups, NEVER)  # smallest log-rank of each group turned away
        self._kept = columns.empty()  # sorted; multiplicities are raised in place
        self._pending: list[columns.Block] = []
        self._sources: list[Items] = []  # of the items that wait
        self._waiting = self._held = 0
        self._index()

    def offer(self, block: columns.Block) -> None:
        """Take in what may stay. ValueError for a group that is not one of the quotas'."""
        groups = block.groups
        if not len(block):
            return
        if groups.min() < 0 or groups.max() >= len(self._taus):
            raise ValueError("an offer of an unknown group")
        # A rank equal to the bound may stand before the evicted key; sorting will tell.
        may_stay = block.ranks <= self._bounds[block.strata]
        away = np.flatnonzero(~may_stay)
        np.minimum.at(self._taus, groups[away], block.log_ranks[away])
        rows = np.flatnonzero(may_stay)
        rows = rows[~self._count_repeats(block, rows)]
        if len(rows):
            self._sources.append(block.items)
            self._held += len(block)  # one row that waits keeps its whole batch in memory
            self._wait(columns.wait(block, rows, len(self._sources) - 1))

    def rows(self) -> columns.Block:
        """What is kept now. Not to be changed."""
        self._compact()
        return self._kept

    def bounds(self) -> Int64s:
        """(strata,) smallest rank ever turned away, NEVER if none."""
        self._compact()
        return self._bounds.copy()

    def taus(self) -> Int64s:
        """(groups,) smallest log-rank ever turned away, NEVER if none."""
        self._compact()
        return self._taus.copy()

    def merge(self, other: BottomK) -> None:
        """Absorb what another one kept and turned away of other records."""
        np.minimum(self._bounds, other.bounds(), out=self._bounds)
        np.minimum(self._taus, other.taus(), out=self._taus)
        self._pending.append(other.rows())
        self._compact()  # at once: the other one goes on to change its rows in place

    def _wait(self, block: columns.Block) -> None:
        self._pending.append(block)
        self._waiting += len(block)
        if self._waiting >= self._patience or self._held >= HELD:
            self._compact()

    def _compact(self) -> None:
        """Sort, fold repeats, turn away what is beyond each stratum's share."""
        if not self._pending:
            return
        block = columns.fold(columns.concat([self._kept, *self._pending]))
        self._pending, self._waiting, self._held = [], 0, 0
        strata = block.strata
        counts = np.bincount(strata, minlength=len(self._bounds))
        starts = np.cumsum(counts) - counts
        place = np.arange(len(block)) - starts[strata]
        stays = place < self._share(counts)[strata]
        away = np.flatnonzero(~stays)
        np.minimum.at(self._bounds, strata[away], block.ranks[away])
        np.minimum.at(self._taus, block.groups[away], block.log_ranks[away])
        # only now is an item read: of a batch, few rows outlast the sort
        self._kept = columns.read(columns.take(block, np.flatnonzero(stays)), self._sources)
        self._sources = []
        self._index()

    def _index(self) -> None:
        """Kept rows by the high word of their identity."""
        high = self._kept.ids[:, 0]
        self._by_id = np.argsort(high, kind="stable")
        self._high = high[self._by_id]

    def _count_repeats(
        self, block: columns.Block, rows: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.bool_]:
        """Which of `rows` repeat a kept key later in order: counted, and done with.

        Only saves work (most of live traffic repeats): a repeat that is missed here is folded.
        """
        kept = self._kept
        if not len(kept):
            return np.zeros(len(rows), bool)
        ids = block.ids[rows]
        place = np.minimum(np.searchsorted(self._high, ids[:, 0]), len(kept) - 1)
        found = self._by_id[place]
        repeats: npt.NDArray[Any] = (
            (kept.ids[found] == ids).all(axis=1)
            & (kept.ranks[found] == block.ranks[rows])
            & (kept.groups[found] == block.groups[rows])
            & (kept.orders[found] <= block.orders[rows])
        )
        np.add.at(kept.multiplicity, found[repeats], block.multiplicity[rows[repeats]])
        return repeats

"""Offers and kept rows as columns of equal length, and what is done to whole columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers.base import Ids, Int64s, Items, Kept

Int32s = npt.NDArray[np.int32]
ROW_BITS = 32
READ = -1  # an origin: the item was read


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """n rows. Rows compete within a stratum, by (rank, identity, group).

    The stratum is a function of the group.
    """

    strata: Int32s
    ranks: Int64s  # small is good
    groups: Int32s
    log_ranks: Int64s
    ids: Ids  # (n, 2)
    orders: Int64s
    multiplicity: Int64s
    items: Items  # offered, or read; None where not read yet
    origins: Int64s  # where an item that was not read yet stands: source << ROW_BITS | row

    def __len__(self) -> int:
        return len(self.ranks)


def offers(
    strata: Int32s,
    ranks: Int64s,
    groups: Int32s,
    log_ranks: Int64s,
    ids: Ids,
    orders: Int64s,
    items: Items,
    multiplicity: Int64s | None,
) -> Block:
    """What `Reservoir.offer_many` was given, not copied. ValueError if lengths differ."""
    if multiplicity is None:
        multiplicity = np.ones(len(groups), np.int64)
    origins = np.arange(len(groups), dtype=np.int64)
    block = Block(strata, ranks, groups, log_ranks, ids, orders, multiplicity, items, origins)
    lengths = {len(log_ranks), len(orders), len(multiplicity), len(items)}
    if lengths != {len(groups)} or ids.shape != (len(groups), 2):
        raise ValueError("the columns of an offer differ in length")
    return block


def empty() -> Block:
    """No rows."""
    none32, none64 = np.zeros(0, np.int32), np.zeros(0, np.int64)
    ids = np.zeros((0, 2), np.uint64)
    return Block(none32, none64, none32, none64, ids, none64, none64, np.zeros(0, object), none64)


def wait(block: Block, rows: npt.NDArray[np.intp], source: int) -> Block:
    """Copies of some offered rows; their items are not read yet, and stay with the source."""
    unread = replace(block, items=np.full(len(block), None, object))
    taken = take(unread, rows)
    return replace(taken, origins=taken.origins | (source << ROW_BITS))


def read(block: Block, sources: Sequence[Items]) -> Block:
    """The block with every item read from where it stands. `block.items` is changed."""
    items = np.asarray(block.items, object)
    unread = np.flatnonzero(block.origins != READ)
    for row, origin in zip(unread.tolist(), block.origins[unread].tolist(), strict=True):
        items[row] = sources[origin >> ROW_BITS][origin & (1 << ROW_BITS) - 1]
    return replace(block, items=items, origins=np.full(len(block), READ, np.int64))


def take(block: Block, rows: npt.NDArray[np.intp]) -> Block:
    """Copies of some rows."""
    return Block(
        block.strata[rows],
        block.ranks[rows],
        block.groups[rows],
        block.log_ranks[rows],
        block.ids[rows],
        block.orders[rows],
        block.multiplicity[rows],
        np.asarray(block.items, object)[rows],
        block.origins[rows],
    )


def concat(blocks: Sequence[Block]) -> Block:
    """One block of copies. All blocks come from `take` or `empty`."""
    return Block(
        np.concatenate([block.strata for block in blocks]),
        np.concatenate([block.ranks for block in blocks]),
        np.concatenate([block.groups for block in blocks]),
        np.concatenate([block.log_ranks for block in blocks]),
        np.concatenate([block.ids for block in blocks]),
        np.concatenate([block.orders for block in blocks]),
        np.concatenate([block.multiplicity for block in blocks]),
        np.concatenate([np.asarray(block.items, object) for block in blocks]),
        np.concatenate([block.origins for block in blocks]),
    )


def sort(block: Block) -> npt.NDArray[np.intp]:
    """Row numbers by (stratum, rank, identity, group, order): no two distinct offers are equal."""
    rows = np.lexsort((block.ranks, block.strata))
    # Equal ranks are mostly repeats and few: only they pay for the whole key. They already
    # stand in the places that the full order gives them as a set.
    same = _repeats(block.ranks[rows]) & _repeats(block.strata[rows])
    tied = np.zeros(len(rows), bool)
    tied[1:] = same
    tied[:-1] |= same
    some = rows[tied]
    ids = block.ids[some]
    key = (
        block.orders[some], block.groups[some], ids[:, 1], ids[:, 0],
        block.ranks[some], block.strata[some],
    )  # fmt: skip
    rows[tied] = some[np.lexsort(key)]
    return rows


def fold(block: Block) -> Block:
    """Sorted rows, one per key: the first by order is shown, with all its repeats counted."""
    rows = sort(block)
    if not len(rows):
        return take(block, rows)
    ids = block.ids[rows]
    first = np.ones(len(rows), bool)
    first[1:] = ~(
        _repeats(block.ranks[rows])
        & _repeats(block.groups[rows])
        & _repeats(ids[:, 0])
        & _repeats(ids[:, 1])
    )
    starts = np.flatnonzero(first)
    records = np.add.reduceat(block.multiplicity[rows], starts)
    return replace(take(block, rows[starts]), multiplicity=records)


def kept(block: Block) -> Kept:
    """Copies in canonical order."""
    low, high = block.ids[:, 1], block.ids[:, 0]
    rows = np.lexsort((block.orders, low, high, block.log_ranks, block.groups))
    out = take(block, rows)
    return Kept(
        groups=out.groups,
        log_ranks=out.log_ranks,
        ids=out.ids,
        multiplicity=out.multiplicity,
        orders=out.orders,
        items=np.asarray(out.items, object).tolist(),
    )


def _repeats(column: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """(n - 1,) whether a row equals the one before it."""
    equal: npt.NDArray[np.bool_] = column[1:] == column[:-1]
    return equal

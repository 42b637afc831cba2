"""Batches of texts of exactly equal length: no padding, so no work and no bits from neighbours.

Half of the tokens of an arrival-order batch of utterances are padding; exact lengths have none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from itertools import chain
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from scoring.types import Ints

BUDGET = 512  # tokens per call: 1.5 KiB a token-row at width 384 still fits a 1 MiB L2

Int64s = npt.NDArray[np.int64]
Result = TypeVar("Result")
Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Texts of one length."""

    rows: Int64s  # (r,) where these texts stood, ascending
    ids: Int64s  # (r, length) token ids


def rows_for(length: int, budget: int) -> int:
    """How many texts of `length` tokens one call takes: a function of the length alone."""
    return max(1, budget // length)


def group(ids: Sequence[Sequence[int]], budget: int = BUDGET) -> list[Batch]:
    """n non-empty id lists -> batches by ascending length, then arrival; each row in one batch."""
    lengths = np.fromiter(map(len, ids), np.int64, len(ids))
    order = np.argsort(lengths, kind="stable")
    total = int(lengths.sum())
    flat = np.fromiter(chain.from_iterable([ids[i] for i in order]), np.int64, total)
    return list(_cut(order, flat, lengths[order], budget))


def lengths_of(ids: Sequence[Sequence[int]]) -> Ints:
    """(n,) how many tokens each text has."""
    return np.fromiter(map(len, ids), np.int32, len(ids))


def _cut(order: Int64s, flat: Int64s, lengths: Int64s, budget: int) -> Iterator[Batch]:
    start = token = 0
    while start < len(order):
        length = int(lengths[start])
        stop = int(np.searchsorted(lengths, length, side="right"))
        step = rows_for(length, budget)
        for first in range(start, stop, step):
            rows = order[first : min(first + step, stop)]
            end = token + len(rows) * length
            yield Batch(rows, flat[token:end].reshape(len(rows), length))
            token = end
        start = stop


def each(
    batches: Sequence[Batch], call: Callable[[Batch], Result], pool: Executor | None
) -> list[Result]:
    """`call` on every batch, in the pool if there is one; results in the order of the batches.

    The largest batches start first, so that no thread ends alone on a long one.
    """
    if pool is None or len(batches) <= 1:
        return [call(batch) for batch in batches]
    order = sorted(range(len(batches)), key=lambda i: -batches[i].ids.size)
    futures = {i: pool.submit(call, batches[i]) for i in order}
    return [futures[i].result() for i in range(len(batches))]


def scatter(
    batches: Sequence[Batch], parts: Sequence[npt.NDArray[Scalar]], n: int
) -> npt.NDArray[Scalar]:
    """One array per batch, rows first -> (n, ...) in the order in which the texts came."""
    whole = np.empty((n, *parts[0].shape[1:]), dtype=parts[0].dtype)
    for batch, part in zip(batches, parts, strict=True):
        whole[batch.rows] = part
    return whole

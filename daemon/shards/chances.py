"""Inclusion probabilities: with which chance a row came through all stages, given the others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from buffers import draw
from daemon.shards.cascade import Stage
from daemon.shards.pool import Pooled


def of_rows(
    pool: Pooled, rows: Sequence[int], taus: Sequence[int], stage: Stage | None
) -> list[float]:
    """Inclusion probabilities of rows of both stages, and of the candidates between them.

    Both use one draw: 1 - exp(-min(w1 tau1, w2 tau2)). A late label that moves a row into or out
    of `(other)` changes its key, so its second draw is another one.
    """
    columns = pool.columns
    stayed = [pool.first[row] for row in pool.stay]
    survived = chances_of([one.weight for one in stayed], [one.log_tau for one in stayed])
    best: dict[tuple[str, int, int], float] = {}
    for row, chance in zip(pool.stay, survived.tolist(), strict=True):
        # a late label may make two candidates one: either of them brings the key through
        key = (columns["group"][row], columns["key_hi"][row], columns["key_lo"][row])
        best[key] = max(chance, best.get(key, 0.0))
    last = chances_of([columns["weight"][row] for row in rows], taus)
    if stage is not None:
        bounds = [stage.first[row] for row in rows]
        last = np.minimum(last, chances_of([w for w, _ in bounds], [tau for _, tau in bounds]))
    final = last.tolist()
    out = []
    for row, second in zip(rows, final, strict=True):
        key = (columns["group"][row], columns["key_hi"][row], columns["key_lo"][row])
        same = pool.first[row].key_low == columns["key_lo"][row]
        out.append(min(best[key], second) if same else best[key] * second)
    return out


def chances_of(weights: Sequence[int], taus: Sequence[int]) -> npt.NDArray[np.float64]:
    """(n,) inclusion probabilities of rows of these weights, given their groups' log-rank taus."""
    return draw.inclusion(np.array(weights, np.int64), np.array(taus, np.int64))

"""What repeats of a text say of its labels, of rows in memory: as `daemon.shards.pool` hears them.

The same candidates as the merge of all lanes has: the best of what was accepted, and of what was
refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import Ids, Int64s, Kept
from daemon.lanes.arms import build_pool
from daemon.learning.rules import Rules
from daemon.offline.terms import Candidates
from daemon.shards.agreement import ALONE, Agreement, Standing, agree, noise_of, standings
from scoring.types import CODES, GRID, NO_LABEL, Reason, Weighed


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Candidates are known by the first of their rows."""

    stands: dict[int, Standing]  # by candidate: accepted and refused ones
    agreement: Agreement
    back: Int64s  # rows, repeats and all, of suspects that it brings back


def heard(
    candidates: Candidates,
    weighed: Weighed,
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
    capacity: int,
) -> Heard:
    """`keys`: (n, 2) of rows, told apart by name where groups do not. `weighed`: of rows alone."""
    rows, counts = [], []
    even = np.full(len(groups), GRID, np.int16)
    accepted = weighed.reasons == 0
    for chosen, weights in ((accepted, weighed.weights), (~accepted, even)):
        kept = _best(np.flatnonzero(chosen), weights, keys, groups, rules, capacity)
        rows += kept.orders.tolist()
        counts += kept.multiplicity.tolist()
    stands = _standings(candidates, rows, counts, keys, groups, rules)
    none, limit = np.empty(0, np.int64), rules.terms.suspect_below
    if limit is None:
        return Heard(stands, ALONE, none)
    agreement = agree(list(stands.values()), noise_of(rules))
    suspect = weighed.reasons == CODES[Reason.SUSPECT]
    back = {
        _place(row, keys, groups)
        for row, one in stands.items()
        if suspect[row] and agreement.clears(one, limit)
    }
    doubted = np.flatnonzero(suspect).tolist() if back else []
    again = [row for row in doubted if _place(row, keys, groups) in back]
    return Heard(stands, agreement, np.array(again, np.int64))


def _best(
    rows: Int64s,
    weights: npt.NDArray[np.int16],
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
    capacity: int,
) -> Kept:
    """The candidates that lanes together keep of these rows."""
    box = build_pool(rules, max(rules.policy.pool, capacity))
    if len(rows):
        drawn = draw.draw(keys[rows], "select", rules.epoch, rules.key)
        ranks = draw.log_rank(drawn, weights[rows])
        box.offer_many(groups[rows], ranks, keys[rows], rows, range(len(rows)))
    return box.items()


def _place(row: int, keys: Ids, groups: npt.NDArray[np.int32]) -> tuple[int, int, int]:
    """What is kept once."""
    return int(keys[row, 0]), int(keys[row, 1]), int(groups[row])


def _standings(
    candidates: Candidates,
    rows: list[int],
    counts: list[int],
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
) -> dict[int, Standing]:
    names = [candidates.names[row] for row in rows]
    labels = candidates.scored.labels[rows].tolist()
    classes = rules.edition.classes
    columns = {
        # a label that is no class is known by its name alone, where groups are of labels
        "label": [
            None if k == NO_LABEL else classes[k] if k >= 0 else n
            for n, k in zip(names, labels, strict=True)
        ],
        "intent": names,
        "argmax": names,
        "plausibility": candidates.scored.plausibility[rows].tolist(),
        "group": [rules.groups[group] for group in groups[rows].tolist()],
        "key_hi": keys[rows, 0].tolist(),
        "key_lo": keys[rows, 1].tolist(),
        "said": counts,
    }
    found = standings(columns, range(len(rows)), rules)
    return {rows[at]: one for at, one in found.items()}

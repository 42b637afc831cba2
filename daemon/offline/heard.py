"""The candidates of rows in memory, and what repeats of a text say of their labels.

As `daemon.shards.pool` has and hears them: the best of what was accepted, and of what was refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER, Ids, Int64s, Reservoir
from daemon.lanes.arms import build_pool
from daemon.learning.rules import Rules
from daemon.offline.terms import Candidates
from daemon.shards.agreement import ALONE, Agreement, Standing, agree, noise_of, standings
from scoring.types import CODES, GRID, NO_LABEL, Reason, Weighed


@dataclass(frozen=True, slots=True, eq=False)
class Heard:
    """Candidates are known by the first of their rows."""

    pool: Reservoir  # of what was accepted
    waiting: Reservoir  # of what was refused
    stands: dict[int, Standing]  # by candidate: accepted and refused ones
    agreement: Agreement
    back: Int64s  # places among the items of `waiting`: suspects that it brings back
    others: list[Standing]  # labels of their texts that are no candidates, and nobody doubts


def heard(
    candidates: Candidates,
    weighed: Weighed,
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
    capacity: int,
) -> Heard:
    """`keys`: (n, 2) of rows, told apart by name where groups do not. `weighed`: of rows alone."""
    even = np.full(len(groups), GRID, np.int16)
    accepted = np.flatnonzero(weighed.reasons == 0)
    refused = np.flatnonzero(weighed.reasons != 0)
    pool = _best(accepted, weighed.weights, keys, groups, rules, capacity)
    waiting = _best(refused, even, keys, groups, rules, capacity)
    waits = waiting.items()
    rows = np.concatenate([pool.items().orders, waits.orders])
    counts = np.concatenate([pool.items().multiplicity, waits.multiplicity])
    stands = _standings(candidates, rows.tolist(), counts.tolist(), keys, groups, rules)
    limit = rules.terms.suspect_below
    said = _others(candidates, weighed, stands, (pool, waiting), keys, groups, rules)
    if limit is None:
        others = ALONE.accepted(said, limit)
        return Heard(pool, waiting, stands, ALONE, np.empty(0, np.int64), others)
    agreement = agree(list(stands.values()), noise_of(rules)).counting(one for one, _ in said)
    suspect = (weighed.reasons[waits.orders] == CODES[Reason.SUSPECT]).tolist()
    back = [
        at
        for at, (row, doubted) in enumerate(zip(waits.orders.tolist(), suspect, strict=True))
        if doubted and row in stands and agreement.clears(stands[row], limit)
    ]
    others = agreement.accepted(said, limit)
    return Heard(pool, waiting, stands, agreement, np.array(back, np.int64), others)


def _others(
    candidates: Candidates,
    weighed: Weighed,
    stands: Mapping[int, Standing],
    boxes: tuple[Reservoir, Reservoir],
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
) -> list[tuple[Standing, int]]:
    """As `daemon.shards.rivals` finds them in ledgers: with the codes of their reasons."""
    found: list[tuple[Standing, int]] = []
    texts = np.array(sorted({one.text[0] for one in stands.values()}), np.uint64)
    by_label, labels = rules.policy.groups.by[0] == "label", candidates.scored.labels
    offers = (weighed.reasons == 0, weighed.reasons != 0)
    for box, offered in zip(boxes, offers, strict=True):
        if rules.cold or not rules.by_chance or (box.thresholds() == NEVER).all():
            continue
        of_text = np.flatnonzero(offered & np.isin(keys[:, 0], texts))
        own = np.column_stack([groups[of_text].astype(np.uint64), keys[of_text]])
        _, first, counts = np.unique(own, axis=0, return_index=True, return_counts=True)
        kept = np.isin(of_text[first], box.items().orders)
        rows, said = of_text[first][~kept].tolist(), counts[~kept].tolist()
        for row, one in _standings(candidates, rows, said, keys, groups, rules).items():
            if by_label or labels[row] >= 0:
                found.append((one, int(weighed.reasons[row])))
    return found


def _best(
    rows: Int64s,
    weights: npt.NDArray[np.int16],
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
    capacity: int,
) -> Reservoir:
    """The candidates that lanes together keep of these rows."""
    box = build_pool(rules, max(rules.policy.pool, capacity))
    if len(rows):
        drawn = draw.draw(keys[rows], "select", rules.epoch, rules.key)
        ranks = draw.log_rank(drawn, weights[rows])
        box.offer_many(groups[rows], ranks, keys[rows], rows, range(len(rows)))
    return box


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

"""The global pool of a window: rows of all parts in one bottom-k, late labels applied (law 8).

Sets of rows merge idempotently, counts do not, so parts are merged flat and never merges of
merges. A label that came late changes what needs it: scores, plausibility, weight, group, rank.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import Reservoir
from daemon.lanes.arms import EPOCH, build_pool
from daemon.lanes.part import Part
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from scoring import scorer
from scoring.types import CODES, GRID, UNKNOWN_LABEL, Reason

LANE_BITS = 48  # an order is lane index << 48 | position
Columns = dict[str, list[Any]]
LateLabels = Mapping[tuple[int, int], tuple[str, str]]  # id identity -> (label, source)


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The pool of a window after late labels."""

    columns: Columns  # rows of all parts, with `lane`, `order` and `reason` (0: accepted)
    stay: list[int]  # pool rows that may be selected
    suspects: list[int]  # pool rows that a late label made suspect
    weights: list[int]  # of every row, as the lanes weighed it
    doubts: list[int]  # weight in the review arm, by the plausibility that the lanes saw
    keys: list[int]  # low word of every row's key, before late labels
    groups: dict[int, str]  # of pool rows, as the lanes grouped them
    taus: dict[str, int]  # by group: smallest log-rank that lanes or this merge turned away
    relabelled: int


def pooled(parts: Sequence[Part], grading: Grading, rules: Rules, late: LateLabels) -> Pooled:
    """Merge the pools of all lanes' parts of one window. Parts sorted by lane."""
    columns = concat(parts)
    columns["reason"] = [0] * len(columns["order"])
    pool = build_pool(rules, rules.policy.pool)
    offer(pool, columns, [r for r, arm in enumerate(columns["arm"]) if arm == "pool"], rules)
    taus = lowest(pool, [p.manifest.pool_taus for p in parts], rules)
    weights, keys = list(columns["weight"]), list(columns["key_lo"])
    doubts = [max(1, GRID - max(0, p)) for p in columns["plausibility"]]
    kept = pool.items()
    for row, count in zip(kept.items, kept.multiplicity.tolist(), strict=True):
        columns["multiplicity"][row] = count
    groups = {row: columns["group"][row] for row in kept.items}
    changed = relabel(columns, late, grading, rules)
    suspect = CODES[Reason.SUSPECT]
    return Pooled(
        columns,
        [row for row in kept.items if columns["reason"][row] == 0],
        [row for row in kept.items if columns["reason"][row] == suspect],
        weights,
        doubts,
        keys,
        groups,
        taus,
        len(changed & set(kept.items)),
    )


def concat(parts: Sequence[Part]) -> Columns:
    """Rows of the parts of one window, with their lane and order. Parts sorted by lane."""
    columns: Columns = {"lane": [], "order": []}
    for index, part in enumerate(parts):
        count = len(part.rows["position"])
        columns["lane"] += [str(part.manifest.lane)] * count
        columns["order"] += [index << LANE_BITS | p for p in part.rows["position"]]
        for name, values in part.rows.items():
            columns.setdefault(name, []).extend(values)
    return columns


def plain_name(columns: Columns, row: int, by: Sequence[str]) -> str:
    """The first of the policy's sources that a row has; as daemon.lanes.gather names groups."""
    sources = {"label": "label", "hypothesis": "intent", "argmax": "argmax"}
    return next((n for n in (columns[sources[s]][row] for s in by) if n), "")


def _ids(columns: Columns, rows: Sequence[int], high: str, low: str) -> npt.NDArray[np.uint64]:
    pairs = [(columns[high][r], columns[low][r]) for r in rows]
    return np.array(pairs, np.uint64).reshape(-1, 2)


def _column(columns: Columns, rows: Sequence[int], name: str, dtype: Any) -> npt.NDArray[Any]:
    return np.array([columns[name][r] for r in rows], dtype)


def offer(reservoir: Reservoir, columns: Columns, rows: Sequence[int], rules: Rules) -> None:
    """Offer merged rows by their stored keys and ranks."""
    index = rules.index
    reservoir.offer_many(
        np.array([index.get(columns["group"][r], 0) for r in rows], np.int32),
        _column(columns, rows, "log_rank", np.int64),
        _ids(columns, rows, "key_hi", "key_lo"),
        _column(columns, rows, "order", np.int64),
        rows,
        _column(columns, rows, "multiplicity", np.int64),
    )


def relabel(columns: Columns, late: LateLabels, grading: Grading, rules: Rules) -> set[int]:
    """Apply late labels to every row of their utterance; returns the rows that changed.

    Scores that need the label, plausibility, weight, group and rank follow, from the stored top
    probabilities: one code path with labels that came in the record.
    """
    ids = zip(columns["id_hi"], columns["id_lo"], strict=True)
    rows = [row for row, identity in enumerate(ids) if identity in late]
    if not rows:
        return set()
    classes = {name: i for i, name in enumerate(rules.edition.classes)}
    by, index = rules.policy.groups.by, rules.index
    before = [plain_name(columns, row, by) for row in rows]
    for row in rows:
        identity = (columns["id_hi"][row], columns["id_lo"][row])
        columns["label"][row], columns["label_source"][row] = late[identity]
    labels = [classes.get(columns["label"][row], UNKNOWN_LABEL) for row in rows]
    tops = [
        np.stack([np.frombuffer(columns[name][row], np.uint16) for row in rows])
        for name in ("top_index", "top_share")
    ]
    outputs = scorer.recall(tops[0], tops[1], len(classes), np.array(labels, np.int32))
    scored = scorer.grade(outputs, grading.recallable)
    kept = {f"score_{s}": [columns[f"score_{s}"][r] for r in rows] for s in grading.names}
    for name, values in scored.scores.items():
        kept[f"score_{name}"] = values.tolist()
    weighed = grading.policy.weigh(grading.regraded(scored, kept), rules.terms)
    for i, row in enumerate(rows):
        for name, column in kept.items():
            columns[name][row] = column[i]
        columns["plausibility"][row] = int(scored.plausibility[i])
        columns["reason"][row] = int(weighed.reasons[i])
        columns["weight"][row] = int(weighed.weights[i])
        _regroup(columns, row, before[i], rules, index, by)
    return set(rows)


def _regroup(
    columns: Columns,
    row: int,
    before: str,
    rules: Rules,
    index: dict[str, int],
    by: Sequence[str],
) -> None:
    """The key follows the group: (identity, group) is what is kept once."""
    name = plain_name(columns, row, by)
    group = 0 if rules.cold else index.get(name, 0)
    by_id = columns["arm"][row] in ("audit", "random")
    if not by_id:
        old = index.get(columns["group"][row], 0)
        columns["key_lo"][row] ^= rules.mask(old, before) ^ rules.mask(group, name)
        columns["group"][row] = rules.groups[group]
        # review rows keep the rank that their arm gave them
        if columns["weight"][row] and columns["arm"][row] == "pool":
            drawn = draw.draw(_ids(columns, [row], "key_hi", "key_lo"), "select", EPOCH, rules.key)
            weight = np.array([columns["weight"][row]], np.int16)
            columns["log_rank"][row] = int(draw.log_rank(drawn, weight)[0])


def lowest(
    reservoir: Reservoir, known: Sequence[Mapping[str, int]], rules: Rules
) -> dict[str, int]:
    """tau by group: what this merge turned away, and what the lanes did before it."""
    taus = dict(zip(rules.groups, reservoir.thresholds().tolist(), strict=True))
    for lane in known:
        for group, tau in lane.items():
            taus[group] = min(taus[group], tau)
    return taus

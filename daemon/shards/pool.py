"""The candidates of a window: rows of all parts in bottom-ks, late labels applied (law 8).

Sets of rows merge idempotently, counts do not, so parts are merged flat and never merges of
merges. What the policy refused waits beside the pool: a label that came late changes what needs
it (scores, plausibility, weight, group, rank), and may bring a row back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER, Reservoir
from daemon.lanes.arms import EPOCH, build_pool
from daemon.lanes.part import Part
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import late as lateness
from daemon.shards.late import Columns, Late, Resolved
from scoring import scorer
from scoring.types import CODES, GRID, Reason

REFUSED = len(CODES)  # by the policy, in the lane; which of its reasons is for the ledger
LANE_BITS = 48  # an order is lane index << 48 | position


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """How a candidate came through the first stage: with which weight, under which tau."""

    weight: int
    log_tau: int
    key_low: int  # before late labels
    waited: bool  # refused by the policy at first


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The candidates of a window after late labels."""

    columns: Columns  # rows of all parts, with `lane`, `order`, `reason` (0: accepted), `changed`
    first: dict[int, First]  # by row: every candidate
    stay: list[int]  # candidates that may be selected
    suspects: list[int]  # candidates that a late label made suspect
    doubts: list[int]  # weight in the review arm, by the plausibility that the lanes saw
    taus: dict[str, int]  # by group: smallest log-rank that lanes or this merge turned away
    late: int  # labels that spoke for a candidate, or for a row of an arm
    outside: int  # labels of other records of the window: they change nothing
    lost: int  # labels of candidates that a more plausible one put aside


def pooled(parts: Sequence[Part], grading: Grading, rules: Rules, late: Late) -> Pooled:
    """Merge the candidates of all lanes' parts of one window. Parts sorted by lane."""
    columns = concat(parts)
    count = len(columns["order"])
    columns["reason"], columns["changed"] = [0] * count, [False] * count
    doubts = [max(1, GRID - max(0, p)) for p in columns["plausibility"]]
    first, taus = _merge(columns, "pool", [p.manifest.pool_taus for p in parts], rules)
    waiting, _ = _merge(columns, "waiting", [p.manifest.waiting_taus for p in parts], rules)
    first |= waiting
    for row, one in first.items():
        columns["reason"][row] = REFUSED if one.waited else 0
    resolved = lateness.resolve(columns, late, rules)
    _relabel(columns, resolved, grading, rules)
    reasons = columns["reason"]
    spoken = {
        i for row, ids in resolved.heard.items()
        if row in first or columns["arm"][row] not in ("pool", "waiting") for i in ids
    }  # fmt: skip
    return Pooled(
        columns,
        first,
        [row for row in first if reasons[row] == 0],
        [r for r in first if reasons[r] == CODES[Reason.SUSPECT] and columns["changed"][r]],
        doubts,
        taus,
        len(spoken),
        len(late.by_id) - len(spoken),
        sum(resolved.lost[row] for row in first if row in resolved.lost),
    )


def _merge(
    columns: Columns, arm: str, known: Sequence[Mapping[str, int]], rules: Rules
) -> tuple[dict[int, First], dict[str, int]]:
    """The global bottom-k of one arm's rows, multiplicities summed, and taus by group."""
    reservoir = build_pool(rules, rules.policy.pool)
    offer(reservoir, columns, [r for r, a in enumerate(columns["arm"]) if a == arm], rules)
    taus = lowest(reservoir, known, rules)
    kept, waited = reservoir.items(), arm == "waiting"
    first = {}
    for row, count in zip(kept.items, kept.multiplicity.tolist(), strict=True):
        columns["multiplicity"][row] = count
        weight = GRID if waited else columns["weight"][row]
        tau = taus.get(columns["group"][row], NEVER)
        first[row] = First(weight, tau, columns["key_lo"][row], waited)
    return first, taus


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


def _relabel(columns: Columns, resolved: Resolved, grading: Grading, rules: Rules) -> None:
    """Give rows their late labels.

    Scores that need the label, plausibility, weight, group and rank follow, from the stored top
    probabilities: one code path with labels that came in the record.
    """
    by, index = rules.policy.groups.by, rules.index
    # a label that says what the record said changes nothing: recalled scores could by a step
    rows = [r for r, (label, _) in resolved.labels.items() if label != columns["label"][r]]
    before = [plain_name(columns, row, by) for row in rows]
    for row, (label, source) in resolved.labels.items():
        columns["label"][row], columns["label_source"][row] = label, source
    if not rows:
        return
    outputs = lateness.recalled(columns, rows, [columns["label"][r] for r in rows], rules)
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
        columns["changed"][row] = True
        _regroup(columns, row, before[i], rules, index, by)


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
        if columns["weight"][row] and columns["arm"][row] != "review":
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

"""The candidates of a window: rows of all parts in bottom-ks, late labels applied (law 8).

Sets of rows merge idempotently, counts do not, so parts are merged flat and never merges of
merges. What the policy refused waits beside the pool: a label that came late changes what needs
it (scores, plausibility, weight, group, rank), and may bring a row back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from buffers.base import NEVER, Reservoir
from daemon.lanes.arms import ARMS, build_arm, build_pool
from daemon.lanes.part import Part
from daemon.learning import emitted
from daemon.learning.emitted import Known
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import late as lateness
from daemon.shards import rivals as outside
from daemon.shards.agreement import Agreement, Standing
from daemon.shards.columns import Columns, column_of, concat, ids_of
from daemon.shards.heard import REFUSED, heard
from daemon.shards.late import Late
from daemon.shards.relabel import relabel
from daemon.shards.rivals import Rivals
from scoring.types import CODES, GRID, Reason


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """How a candidate came through the first stage: with which weight, under which tau."""

    weight: int
    log_tau: int
    key_low: int  # before late labels
    waited: bool  # refused by the policy at first


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """The global bottom-k of an arm, by the keys that the lanes gave."""

    rows: list[int]
    weights: list[int]  # as the lanes ranked them
    log_tau: int  # smallest log-rank turned away
    log_last: int | None  # largest log-rank kept; None: nothing was


@dataclass(frozen=True, slots=True, eq=False)
class Pooled:
    """The candidates of a window after late labels."""

    columns: Columns  # rows of all parts, with `lane`, `order`, `reason` (0: accepted), `changed`
    first: dict[int, First]  # by row: every candidate
    stay: list[int]  # candidates that may be selected
    suspects: list[int]  # candidates that a late label made suspect
    arms: dict[str, Arm]
    taus: dict[str, int]  # by group: smallest log-rank that lanes or this merge turned away
    late: int  # labels that spoke for a candidate, or for a row of an arm
    outside: int  # labels of other records of the window: they change nothing
    lost: int  # labels of candidates that a more plausible one put aside
    repeats: list[int]  # candidates that an earlier shard has emitted, as the lanes could not know
    agreement: Agreement  # of the labels of one text
    back: list[int]  # suspects whose label it believes: of `stay`, but for those of `repeats`
    others: list[Standing]  # labels of their texts that lanes turned away, and nobody doubts


def pooled(
    parts: Sequence[Part],
    grading: Grading,
    rules: Rules,
    late: Late,
    known: Known = emitted.NOTHING,
    rivals: Rivals = outside.NOBODY,
) -> Pooled:
    """Merge the candidates of all lanes' parts of one window. Parts sorted by lane.

    `rivals`: what the ledgers say of the candidates' texts.
    `known`: what shards emitted up to the one before. They draw by other epochs, so taking it out
    before the second stage leaves a fair sample of the rest, as quarantine by late labels does.
    """
    columns = concat(parts)
    count = len(columns["order"])
    columns["reason"], columns["changed"] = [0] * count, [False] * count
    # before labels change keys: what a lane turned away under one key must not come in again
    arms = {arm: _arm(columns, arm, parts, rules) for arm in ARMS}
    first, taus = _merge(columns, "pool", [p.manifest.pool_taus for p in parts], rules)
    waiting, _ = _merge(columns, "waiting", [p.manifest.waiting_taus for p in parts], rules)
    first |= waiting
    for row, one in first.items():
        columns["reason"][row] = REFUSED if one.waited else 0
    kept = {_key(columns, row, one, rules.index) for row, one in first.items()}
    resolved = lateness.resolve(columns, late, rules)
    columns["said"] = list(columns["multiplicity"])  # of labels that came in records
    relabel(columns, resolved, grading, rules)
    agreement, back, others = heard(columns, first, kept, rivals, late, grading, rules)
    reasons = columns["reason"]
    for row in np.flatnonzero(known.contains(np.array(columns["key_hi"], np.uint64))).tolist():
        if reasons[row] == 0:
            reasons[row] = CODES[Reason.ALREADY_EMITTED]
    shown = {*first, *(row for arm in arms.values() for row in arm.rows)}
    spoken = {i for row, ids in resolved.heard.items() if row in shown for i in ids}
    return Pooled(
        columns,
        first,
        [row for row in first if reasons[row] == 0],
        [r for r in first if reasons[r] == CODES[Reason.SUSPECT] and columns["changed"][r]],
        arms,
        taus,
        len(spoken),
        len(late.by_id) - len(spoken),
        sum(resolved.lost[row] for row in first if row in resolved.lost),
        [row for row in first if reasons[row] == CODES[Reason.ALREADY_EMITTED]],
        agreement,
        back,
        others,
    )


def _key(columns: Columns, row: int, one: First, index: Mapping[str, int]) -> outside.Key:
    group = index.get(columns["group"][row], 0)
    return one.waited, group, columns["key_hi"][row], one.key_low


def _arm(columns: Columns, arm: str, parts: Sequence[Part], rules: Rules) -> Arm:
    reservoir = build_arm(rules, arm)
    offer(reservoir, columns, [r for r, a in enumerate(columns["arm"]) if a == arm], rules)
    known = [p.manifest.arm_taus.get(arm, NEVER) for p in parts]
    tau = min([int(reservoir.thresholds().min(initial=NEVER)), *known])
    kept = reservoir.items()
    weights = [GRID] * len(kept.items)
    if arm == "review":
        weights = [doubt(columns["plausibility"][row]) for row in kept.items]
    last = int(kept.log_ranks.max()) if len(kept.items) else None
    return Arm(list(kept.items), weights, tau, last)


def doubt(plausibility: int) -> int:
    """Weight in the review arm, as daemon.lanes.gather gives it."""
    return max(1, GRID - max(0, plausibility))


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


def offer(reservoir: Reservoir, columns: Columns, rows: Sequence[int], rules: Rules) -> None:
    """Offer merged rows by their stored keys and ranks."""
    index = rules.index
    reservoir.offer_many(
        np.array([index.get(columns["group"][r], 0) for r in rows], np.int32),
        column_of(columns, rows, "log_rank", np.int64),
        ids_of(columns, rows, "key_hi", "key_lo"),
        column_of(columns, rows, "order", np.int64),
        rows,
        column_of(columns, rows, "multiplicity", np.int64),
    )


def lowest(
    reservoir: Reservoir, known: Sequence[Mapping[str, int]], rules: Rules
) -> dict[str, int]:
    """tau by group: what this merge turned away, and what the lanes did before it."""
    taus = dict(zip(rules.groups, reservoir.thresholds().tolist(), strict=True))
    for lane in known:
        for group, tau in lane.items():
            taus[group] = min(taus[group], tau)
    return taus

"""The merge of a window's parts into a selection: flat, order-free, late labels applied (law 8).

Stages: rows of all parts -> the global pool -> late labels -> quarantine, final group and rank ->
water-filling -> contradictions to review. Sets of rows merge idempotently, counts do not, so
parts are merged flat and never merges of merges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER, Reservoir
from daemon.engines import Engine, build_pool
from daemon.gather import ARMS, EPOCH, build_arm
from daemon.part import Part
from daemon.rules import Rules
from scoring import scorer
from scoring.types import CODES, GRID, UNKNOWN_LABEL, Reason

LANE_BITS = 48  # an order is lane index << 48 | position
Columns = dict[str, list[Any]]
LateLabels = Mapping[tuple[int, int], tuple[str, str]]  # id identity -> (label, source)


@dataclass(slots=True, eq=False)
class Taken:
    """A row and the arms that took it."""

    row: int  # index into the merged columns
    arms: dict[str, float] = field(default_factory=dict)  # arm -> inclusion probability
    multiplicity: int = 1
    tau: int = NEVER  # of its group in the selection


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The outcome of a window."""

    columns: Columns  # rows of all parts, relabelled, with `lane` and `order`
    taken: list[Taken]  # in order of (lane, position)
    taus: dict[str, int]  # group -> log-rank of the selection
    contradictions: int
    relabelled: int
    rates: dict[str, int]  # arm -> log-rank tau


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
    """The first of the policy's sources that a row has; as daemon.gather names groups."""
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


def relabel(columns: Columns, late: LateLabels, engine: Engine, rules: Rules) -> set[int]:
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
    scored = scorer.grade(outputs, engine.recallable)
    kept = {f"score_{s}": [columns[f"score_{s}"][r] for r in rows] for s in engine.scores}
    for name, values in scored.scores.items():
        kept[f"score_{name}"] = values.tolist()
    weighed = engine.policy.weigh(engine.regraded(scored, kept), rules.terms)
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
        if columns["weight"][row]:
            drawn = draw.draw(_ids(columns, [row], "key_hi", "key_lo"), "select", EPOCH, rules.key)
            weight = np.array([columns["weight"][row]], np.int16)
            columns["log_rank"][row] = int(draw.log_rank(drawn, weight)[0])


def merge(
    parts: Sequence[Part], engine: Engine, rules: Rules, late: LateLabels
) -> Merged:
    """All lanes' parts of one window into one selection."""
    columns = concat(parts)
    columns["reason"] = [0] * len(columns["order"])
    pool = build_pool(rules, rules.policy.pool)
    offer(pool, columns, [r for r, arm in enumerate(columns["arm"]) if arm == "pool"], rules)
    first_taus = _lower(pool, [p.manifest.pool_taus for p in parts], rules)
    first_weights = list(columns["weight"])
    kept = pool.items()
    for row, count, order in zip(
        kept.items, kept.multiplicity.tolist(), kept.orders.tolist(), strict=True
    ):
        columns["multiplicity"][row], columns["order"][row] = count, order
    first_groups = {row: columns["group"][row] for row in kept.items}
    changed = relabel(columns, late, engine, rules)
    final = build_pool(rules, rules.policy.capacity_rows)
    stay = [row for row in kept.items if columns["reason"][row] == 0]
    offer(final, columns, stay, rules)
    # rows that only this second cut turned away count; what the lanes turned away counts too
    second_taus = _lower(final, [], rules)
    selected = final.items()
    losers = _contradictions(columns, selected.items, rules)
    taken: dict[int, Taken] = {}
    for row, count in zip(selected.items, selected.multiplicity.tolist(), strict=True):
        if row in losers:
            continue
        first = _chance(first_weights[row], first_taus.get(first_groups[row], NEVER))
        second = _chance(columns["weight"][row], second_taus.get(columns["group"][row], NEVER))
        tau = min(
            first_taus.get(first_groups[row], NEVER),
            second_taus.get(columns["group"][row], NEVER),
        )
        # both stages use one draw: 1 - exp(-min(w1 tau1, w2 tau2))
        taken[columns["order"][row]] = Taken(row, {"selected": min(first, second)}, count, tau)
    suspects = [r for r in kept.items if columns["reason"][r] == CODES[Reason.SUSPECT]]
    rates = _arms(parts, columns, rules, taken, sorted(losers), suspects)
    taus = {g: min(first_taus.get(g, NEVER), second_taus.get(g, NEVER)) for g in rules.groups}
    return Merged(
        columns,
        [taken[order] for order in sorted(taken)],
        {g: t for g, t in taus.items() if t != NEVER},
        len(losers),
        len(changed & set(kept.items)),
        rates,
    )


def _lower(reservoir: Reservoir, known: Sequence[Mapping[str, int]], rules: Rules) -> dict[str, int]:
    """tau by group: what this merge turned away, and what the lanes did before it."""
    taus = dict(zip(rules.groups, reservoir.thresholds().tolist(), strict=True))
    for lane in known:
        for group, tau in lane.items():
            taus[group] = min(taus[group], tau)
    return taus


def _chance(weight: int, tau: int) -> float:
    return float(draw.inclusion(np.array([weight]), np.array([tau], np.int64))[0])


def _contradictions(columns: Columns, selected: Sequence[int], rules: Rules) -> set[int]:
    """Of one text under several groups only the most plausible stays: not back-filled."""
    if rules.policy.identity != "text":
        return set()
    by, index = rules.policy.groups.by, rules.index
    best: dict[tuple[int, int], tuple[tuple[int, int, str], int]] = {}
    losers = set()
    for row in selected:
        name, group = plain_name(columns, row, by), index.get(columns["group"][row], 0)
        text = (columns["key_hi"][row], columns["key_lo"][row] ^ rules.mask(group, name))
        # a label that cannot be judged is less plausible than any that can
        rank = (-columns["plausibility"][row], draw.name_hash(rules.key, name), name)
        held = best.get(text)
        if held is None or rank < held[0]:
            best[text] = (rank, row)
            if held is not None:
                losers.add(held[1])
        else:
            losers.add(row)
    return losers


def _arms(
    parts: Sequence[Part],
    columns: Columns,
    rules: Rules,
    taken: dict[int, Taken],
    losers: Sequence[int],
    suspects: Sequence[int],
) -> dict[str, int]:
    """Merge the audit, random and review arms into `taken`; returns their taus."""
    rates = {}
    for arm in ARMS:
        reservoir = build_arm(rules, arm)
        offer(reservoir, columns, [r for r, a in enumerate(columns["arm"]) if a == arm], rules)
        known = [p.manifest.arm_taus.get(arm, NEVER) for p in parts]
        rates[arm] = min([int(reservoir.thresholds().min(initial=NEVER)), *known])
        for row in reservoir.items().items:
            weight = GRID
            if arm == "review":
                weight = max(1, GRID - max(0, columns["plausibility"][row]))
            entry = taken.setdefault(columns["order"][row], Taken(row))
            entry.arms[arm] = _chance(weight, rates[arm])
    for row in [*losers, *suspects]:
        # moved by the assembler itself: certain, given that the row was selected at all
        taken.setdefault(columns["order"][row], Taken(row)).arms["review"] = 1.0
    return {arm: tau for arm, tau in rates.items() if tau != NEVER}



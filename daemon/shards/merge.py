"""The merge of a window's pool into a selection: water-filling, then contradictions, then arms.

Order matters and is fixed: quarantine before balancing (balancing by unquarantined labels nearly
doubled the noise kept), each text once before both (SCORES: worth more than any score).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER
from daemon.lanes.arms import ARMS, build_arm, build_pool
from daemon.lanes.part import Part
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards.pool import Columns, LateLabels, Pooled, lowest, offer, plain_name, pooled
from scoring.types import GRID


@dataclass(slots=True, eq=False)
class Taken:
    """A row and the arms that took it."""

    row: int  # index into the merged columns
    arms: dict[str, float] = field(default_factory=dict)  # arm -> inclusion probability
    multiplicity: int = 1
    tau: int = NEVER  # of its group in the selection
    moved: bool = False  # to review, by the assembler


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The outcome of a window."""

    columns: Columns  # rows of all parts, relabelled
    taken: list[Taken]  # in order of (lane, position)
    taus: dict[str, int]  # group -> log-rank of the selection
    contradictions: int
    relabelled: int
    rates: dict[str, int]  # arm -> log-rank tau


def merge(parts: Sequence[Part], grading: Grading, rules: Rules, late: LateLabels) -> Merged:
    """All lanes' parts of one window into one selection."""
    pool = pooled(parts, grading, rules, late)
    taken, taus, losers = select(pool, rules, rules.policy.capacity_rows)
    rates = _arms(parts, pool, rules, taken, losers)
    return Merged(
        pool.columns,
        [taken[order] for order in sorted(taken)],
        {group: tau for group, tau in taus.items() if tau != NEVER},
        len(losers),
        pool.relabelled,
        rates,
    )


def select(
    pool: Pooled, rules: Rules, capacity: int
) -> tuple[dict[int, Taken], dict[str, int], dict[int, int]]:
    """Water-fill the pool: rows taken by order, tau by group, contradicting rows with counts."""
    columns = pool.columns
    final = build_pool(rules, capacity)
    offer(final, columns, pool.stay, rules)
    second = lowest(final, [], rules)
    selected = final.items()
    losers = _contradictions(columns, selected.items, rules)
    rows = selected.items
    tau1 = [pool.taus.get(pool.groups[row], NEVER) for row in rows]
    tau2 = [second[columns["group"][row]] for row in rows]
    first = chances_of([pool.weights[row] for row in rows], tau1)
    final_chance = chances_of([columns["weight"][row] for row in rows], tau2)
    # both stages use one draw: 1 - exp(-min(w1 tau1, w2 tau2)); a late label that moves a row
    # into or out of `(other)` changes its key, so its second draw is another one
    same = np.array([pool.keys[row] == columns["key_lo"][row] for row in rows], bool)
    chances = np.where(same, np.minimum(first, final_chance), first * final_chance).tolist()
    taken = {
        columns["order"][row]: Taken(row, {"selected": chances[i]}, count, min(tau1[i], tau2[i]))
        for i, (row, count) in enumerate(zip(rows, selected.multiplicity.tolist(), strict=True))
        if row not in losers
    }
    taus = {group: min(pool.taus.get(group, NEVER), second[group]) for group in rules.groups}
    counts = dict(zip(rows, selected.multiplicity.tolist(), strict=True))
    return taken, taus, {row: counts[row] for row in sorted(losers)}


def chances_of(weights: Sequence[int], taus: Sequence[int]) -> npt.NDArray[np.float64]:
    """(n,) inclusion probabilities of rows of these weights, given their groups' log-rank taus."""
    return draw.inclusion(np.array(weights, np.int64), np.array(taus, np.int64))


def _contradictions(columns: Columns, selected: Sequence[int], rules: Rules) -> set[int]:
    """Of one text under several groups only the most plausible stays: not back-filled."""
    if rules.policy.identity != "text":
        return set()
    by, index = rules.policy.groups.by, rules.index
    best: dict[tuple[int, int], tuple[tuple[int, int, str], int]] = {}
    losers = set()
    for row in selected:
        if columns["label"][row] is None:
            continue  # a machine's guess beside a person's label is no contradiction
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
    pool: Pooled,
    rules: Rules,
    taken: dict[int, Taken],
    losers: Mapping[int, int],
) -> dict[str, int]:
    """Merge the audit, random and review arms into `taken`; returns their taus."""
    rates, columns = {}, pool.columns
    for arm in ARMS:
        reservoir = build_arm(rules, arm)
        offer(reservoir, columns, [r for r, a in enumerate(columns["arm"]) if a == arm], rules)
        known = [p.manifest.arm_taus.get(arm, NEVER) for p in parts]
        rates[arm] = min([int(reservoir.thresholds().min(initial=NEVER)), *known])
        rows = reservoir.items().items
        weights = [GRID] * len(rows)
        if arm == "review":
            weights = [pool.doubts[row] for row in rows]
        chances = chances_of(weights, [rates[arm]] * len(rows)).tolist()
        for row, chance in zip(rows, chances, strict=True):
            taken.setdefault(columns["order"][row], Taken(row)).arms[arm] = chance
    moved = {**losers, **{row: columns["multiplicity"][row] for row in pool.suspects}}
    for row, count in moved.items():
        # moved by the assembler itself: certain, given that the row was selected at all
        entry = taken.setdefault(columns["order"][row], Taken(row))
        entry.arms["review"], entry.multiplicity = 1.0, max(entry.multiplicity, count)
        entry.moved = True
    return {arm: tau for arm, tau in rates.items() if tau != NEVER}

"""The merge of a window's pool into a selection: contradictions, then water-filling, then arms.

Order matters and is fixed: quarantine before balancing (balancing by unquarantined labels nearly
doubled the noise kept), each text once before both (SCORES: worth more than any score). A row that
loses to a likelier label of its text gives its place to the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from buffers.base import NEVER, Reservoir
from daemon.lanes.arms import build_pool
from daemon.lanes.part import Part
from daemon.learning import emitted
from daemon.learning.emitted import Known
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import cascade, novelty
from daemon.shards.agreement import NOTHING_SAID, Agreed, contradictions, standings
from daemon.shards.cascade import Stage
from daemon.shards.chances import chances_of, of_rows
from daemon.shards.columns import Columns
from daemon.shards.late import Late
from daemon.shards.novelty import Repeats
from daemon.shards.pool import Pooled, lowest, offer, pooled
from daemon.shards.rivals import NOBODY, Rivals
from daemon.shards.seconds import Seconds


@dataclass(slots=True, eq=False)
class Taken:
    """A row and the arms that took it."""

    row: int  # index into the merged columns
    arms: dict[str, float | None] = field(default_factory=dict)  # arm -> inclusion probability
    multiplicity: int = 1
    tau: int = NEVER  # of its group in the selection
    moved: bool = False  # to review, by the assembler


class Labels(NamedTuple):
    """What late labels did."""

    late: int = 0
    outside: int = 0
    lost: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Merged:
    """The outcome of a window."""

    columns: Columns  # rows of all parts, relabelled
    taken: list[Taken]  # in order of (lane, position)
    taus: dict[str, int]  # group -> log-rank of the selection
    contradictions: int
    labels: Labels
    rates: dict[str, int]  # arm -> log-rank tau
    lasts: dict[str, int | None]  # group, or "arm:" and its name -> largest log-rank kept
    repeats: Repeats = novelty.NONE
    stage: Stage | None = None  # the second one of a cascade
    agreed: Agreed = NOTHING_SAID


def merge(
    parts: Sequence[Part],
    grading: Grading,
    rules: Rules,
    late: Late,
    known: Known = emitted.NOTHING,
    held: Seconds | None = None,
    rivals: Rivals = NOBODY,
) -> Merged:
    """All lanes' parts of one window into one selection. `known`, `rivals`: see `pooled`. `held`:
    what the second stage says, where there is one."""
    pool = pooled(parts, grading, rules, late, known, rivals)
    stage = None
    if grading.second is not None:
        assert held is not None, "candidates are scored before a shard is made"
        stage = cascade.weigh(pool, cascade.narrow(pool, rules), held, grading, rules)
    taken, taus, losers = select(pool, rules, rules.policy.capacity_rows, stage)
    lasts = {f"arm:{name}": arm.log_last for name, arm in pool.arms.items()}
    for one in taken.values():
        group, rank = pool.columns["group"][one.row], pool.columns["log_rank"][one.row]
        lasts[group] = max(rank, lasts.get(group) or rank)
    _arms(pool, taken, losers, [*pool.suspects, *(stage.suspects if stage else ())])
    return Merged(
        pool.columns,
        [taken[order] for order in sorted(taken)],
        {group: tau for group, tau in taus.items() if tau != NEVER},
        len(losers),
        Labels(pool.late, pool.outside, pool.lost),
        {name: arm.log_tau for name, arm in pool.arms.items() if arm.log_tau != NEVER},
        lasts,
        Repeats(len(pool.repeats), sum(pool.columns["multiplicity"][row] for row in pool.repeats)),
        stage,
        pool.agreement.told(len(pool.back)),
    )


def select(
    pool: Pooled, rules: Rules, capacity: int, stage: Stage | None = None
) -> tuple[dict[int, Taken], dict[str, int], dict[int, int]]:
    """Water-fill the pool: rows taken by order, tau by group, and with their counts the rows that
    would have been taken, but for a likelier label of their text."""
    columns, stay = pool.columns, pool.stay if stage is None else stage.stay
    # what a second stage refused contradicts too: of all that it never saw nobody knows that
    stands = standings(columns, pool.stay, rules)
    placed = {row: stands[row] for row in stay if row in stands}
    losers = contradictions(placed.items(), pool.agreement, [*stands.values(), *pool.others])
    final = _filled(columns, [row for row in stay if row not in losers], rules, capacity)
    second = lowest(final, [], rules)
    selected = final.items()
    rows = selected.items
    chances = of_rows(pool, rows, [second[columns["group"][row]] for row in rows], stage)
    taken = {}
    for row, count, chance in zip(rows, selected.multiplicity.tolist(), chances, strict=True):
        one = pool.first[row]
        # what waited was ranked without its weight: its first tau says nothing of this rank
        first, tau = NEVER if one.waited else one.log_tau, second[columns["group"][row]]
        if stage is None:
            tau = min(tau, first)
        else:
            bounds = (stage.first[row], (one.weight, first))
            tau = cascade.shown_tau(columns["weight"][row], tau, bounds)
        said = (chance, tau) if rules.by_chance else (None, NEVER)
        taken[columns["order"][row]] = Taken(row, {"selected": said[0]}, count, said[1])
    before = pool.taus if stage is None else {}  # of one stage: ranks of another are no match
    taus = {group: min(before.get(group, NEVER), second[group]) for group in rules.groups}
    wanted = _filled(columns, stay, rules, capacity).items() if losers else selected
    counts = dict(zip(wanted.items, wanted.multiplicity.tolist(), strict=True))
    return taken, taus, {row: counts[row] for row in sorted(losers.intersection(counts))}


def _filled(columns: Columns, rows: Sequence[int], rules: Rules, capacity: int) -> Reservoir:
    box = build_pool(rules, capacity)
    offer(box, columns, rows, rules)
    return box


def _arms(
    pool: Pooled, taken: dict[int, Taken], losers: Mapping[int, int], suspects: Sequence[int]
) -> None:
    """Bring the rows of the audit, random and review arms into `taken`."""
    columns = pool.columns
    for name, arm in pool.arms.items():
        chances = chances_of(arm.weights, [arm.log_tau] * len(arm.rows)).tolist()
        for row, chance in zip(arm.rows, chances, strict=True):
            taken.setdefault(columns["order"][row], Taken(row)).arms[name] = chance
    moved = {**losers, **{row: columns["multiplicity"][row] for row in suspects}}
    for row, count in moved.items():
        # moved by the assembler itself: certain, given that the row was selected at all
        entry = taken.setdefault(columns["order"][row], Taken(row))
        entry.arms["review"], entry.multiplicity = 1.0, max(entry.multiplicity, count)
        entry.moved = True

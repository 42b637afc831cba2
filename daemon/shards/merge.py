"""The merge of a window's pool into a selection: water-filling, then contradictions, then arms.

Order matters and is fixed: quarantine before balancing (balancing by unquarantined labels nearly
doubled the noise kept), each text once before both (SCORES: worth more than any score).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from buffers import draw
from buffers.base import NEVER
from daemon.lanes.arms import build_pool
from daemon.lanes.part import Part
from daemon.learning import emitted
from daemon.learning.emitted import Known
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import novelty
from daemon.shards.columns import Columns, plain_name
from daemon.shards.late import Late
from daemon.shards.novelty import Repeats
from daemon.shards.pool import Pooled, lowest, offer, pooled

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Taken:
    """A row and the arms that took it."""

    row: int  # index into the merged columns
    arms: dict[str, float] = field(default_factory=dict)  # arm -> inclusion probability
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


def merge(
    parts: Sequence[Part],
    grading: Grading,
    rules: Rules,
    late: Late,
    known: Known = emitted.NOTHING,
) -> Merged:
    """All lanes' parts of one window into one selection. `known`: see `pooled`."""
    pool = pooled(parts, grading, rules, late, known)
    taken, taus, losers = select(pool, rules, rules.policy.capacity_rows)
    lasts = {f"arm:{name}": arm.log_last for name, arm in pool.arms.items()}
    for row in (*(one.row for one in taken.values()), *losers):
        group, rank = pool.columns["group"][row], pool.columns["log_rank"][row]
        lasts[group] = max(rank, lasts.get(group) or rank)
    _arms(pool, taken, losers)
    return Merged(
        pool.columns,
        [taken[order] for order in sorted(taken)],
        {group: tau for group, tau in taus.items() if tau != NEVER},
        len(losers),
        Labels(pool.late, pool.outside, pool.lost),
        {name: arm.log_tau for name, arm in pool.arms.items() if arm.log_tau != NEVER},
        lasts,
        Repeats(len(pool.repeats), sum(pool.columns["multiplicity"][row] for row in pool.repeats)),
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
    rows = selected.items
    losers = contradictions((row, standing(columns, row, rules)) for row in rows)
    chances = _chances(pool, rows, [second[columns["group"][row]] for row in rows])
    taken = {}
    for row, count, chance in zip(rows, selected.multiplicity.tolist(), chances, strict=True):
        one = pool.first[row]
        # what waited was ranked without its weight: its first tau says nothing of this rank
        tau = min(second[columns["group"][row]], NEVER if one.waited else one.log_tau)
        if row not in losers:
            taken[columns["order"][row]] = Taken(row, {"selected": chance}, count, tau)
    taus = {group: min(pool.taus.get(group, NEVER), second[group]) for group in rules.groups}
    counts = dict(zip(rows, selected.multiplicity.tolist(), strict=True))
    return taken, taus, {row: counts[row] for row in sorted(losers)}


def _chances(pool: Pooled, rows: Sequence[int], taus: Sequence[int]) -> list[float]:
    """Inclusion probabilities of rows of both stages.

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
    final = chances_of([columns["weight"][row] for row in rows], taus).tolist()
    out = []
    for row, second in zip(rows, final, strict=True):
        key = (columns["group"][row], columns["key_hi"][row], columns["key_lo"][row])
        same = pool.first[row].key_low == columns["key_lo"][row]
        out.append(min(best[key], second) if same else best[key] * second)
    return out


def chances_of(weights: Sequence[int], taus: Sequence[int]) -> npt.NDArray[np.float64]:
    """(n,) inclusion probabilities of rows of these weights, given their groups' log-rank taus."""
    return draw.inclusion(np.array(weights, np.int64), np.array(taus, np.int64))


Standing = tuple[int, int, str]  # of labels of one text the smallest is believed


def standing(columns: Columns, row: int, rules: Rules) -> tuple[tuple[int, int], Standing] | None:
    """A row's text, and how its label stands; None where a row cannot contradict another."""
    if rules.policy.identity != "text" or columns["label"][row] is None:
        return None  # a machine's guess beside a person's label is no contradiction
    name = plain_name(columns, row, rules.policy.groups.by)
    mask = rules.mask(rules.index.get(columns["group"][row], 0), name)
    text = (columns["key_hi"][row], columns["key_lo"][row] ^ mask)
    # a label that cannot be judged is less plausible than any that can
    return text, (-columns["plausibility"][row], draw.name_hash(rules.key, name), name)


def contradictions(placed: Iterable[tuple[T, tuple[tuple[int, int], Standing] | None]]) -> set[T]:
    """Of one text under several groups only the most plausible stays: not back-filled."""
    best: dict[tuple[int, int], tuple[Standing, T]] = {}
    losers: set[T] = set()
    for one, stands in placed:
        if stands is None:
            continue
        text, rank = stands
        held = best.get(text)
        if held is None or rank < held[0]:
            best[text] = (rank, one)
            if held is not None:
                losers.add(held[1])
        else:
            losers.add(one)
    return losers


def _arms(pool: Pooled, taken: dict[int, Taken], losers: Mapping[int, int]) -> None:
    """Bring the rows of the audit, random and review arms into `taken`."""
    columns = pool.columns
    for name, arm in pool.arms.items():
        chances = chances_of(arm.weights, [arm.log_tau] * len(arm.rows)).tolist()
        for row, chance in zip(arm.rows, chances, strict=True):
            taken.setdefault(columns["order"][row], Taken(row)).arms[name] = chance
    moved = {**losers, **{row: columns["multiplicity"][row] for row in pool.suspects}}
    for row, count in moved.items():
        # moved by the assembler itself: certain, given that the row was selected at all
        entry = taken.setdefault(columns["order"][row], Taken(row))
        entry.arms["review"], entry.multiplicity = 1.0, max(entry.multiplicity, count)
        entry.moved = True

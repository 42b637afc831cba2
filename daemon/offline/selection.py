"""The selection of one window in memory: no store, no lanes, the same functions.

For whoever selects hundreds of times from rows that are scored already. The rows that it keeps,
with their ranks, taus and chances, are those of the shard that the daemon makes of the same records
under the same rules. The arms beside the selection are drawn by `sampled`.

Why one stage is enough where the daemon has two (lanes, then their merge): what a group owns of a
smaller capacity is a prefix of what it owns of a larger one, so the smallest rank that either stage
turned away is the one that this stage turns away.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from msgspec import UnsetType

from buffers import draw, uniform
from buffers.base import NEVER, Ids, Int64s, Reservoir
from daemon.lanes.arms import build_pool
from daemon.learning.rules import Rules
from daemon.offline.heard import Heard, heard
from daemon.offline.terms import Candidates, weigher
from daemon.shards.agreement import contradictions
from daemon.shards.cascade import shown_tau
from daemon.shards.chances import by_chance
from scoring.types import GRID, Grid, Scored, Weighed


@dataclass(frozen=True, slots=True, eq=False)
class Kept:
    """The selected rows, k of n, ascending: of one text the first row is shown."""

    rows: Int64s  # (k,) indices of candidates
    groups: npt.NDArray[np.int32]  # (k,) index into `Rules.groups`
    multiplicity: Int64s  # (k,) accepted candidates with this key
    weights: Grid  # (k,) 1 to GRID
    log_ranks: Int64s  # (k,) in steps of 1 / draw.RANK_UNIT
    log_taus: Int64s  # (k,) of the row's group, NEVER where nothing was turned away; of the stage
    # of a cascade that was the narrower one for this row, in log-ranks of its last weight
    inclusion: npt.NDArray[np.float64]  # (k,) chance that the row was selected, in (0, 1]; NaN
    # where chance had no part, and the tau NEVER
    taus: dict[str, int]  # group -> log-rank, of groups that turned rows away
    contradicted: Int64s  # candidates put aside: another label of their text is likelier
    reasons: npt.NDArray[np.uint8]  # (n,) codes of scoring.types.REASONS: 0 accepted. Of each row
    # alone, as a ledger has them: suspects that repeats brought back are suspects here


def select(candidates: Candidates, rules: Rules, capacity: int) -> Kept:
    """Weigh, keep each text once, balance to `capacity` rows, put contradictions aside.

    Of a policy with a cascade all rows have the scores of its second stage, which weighs
    candidates alone.

    Another key of the rules is another draw. Order and repetition of the candidates change
    nothing but which row of a text is shown.
    """
    scored = candidates.scored
    weighed = weigher(rules.policy.select).weigh(scored, rules.terms)
    index = rules.index
    groups = np.fromiter((index.get(n, 0) for n in candidates.names), np.int32, len(scored.argmax))
    keys = _told_apart(candidates, groups, rules)
    reasons = weighed.reasons
    said = heard(candidates, weighed, keys, groups, rules, capacity)
    if len(said.back):
        scored = _lifted(scored, said.back, rules)
        weighed = weigher(rules.policy.select).weigh(scored, rules.terms)
    before, first = None, weighed
    if not isinstance(cascade := rules.policy.cascade, UnsetType):
        assert rules.second is not None, "rules of this policy have terms of its second stage"
        before = _box(first, keys, groups, rules, cascade.candidates)
        weighed = _after(before, first, weigher(cascade.select).weigh(scored, rules.second))
    box = _box(weighed, keys, groups, rules, capacity, before)
    kept, taus = box.items(), box.thresholds()
    losers = _losers(kept.orders, said, weighed, before)
    stay = np.flatnonzero(~np.isin(kept.orders, losers))
    stay = stay[np.argsort(kept.orders[stay])]
    rows, of = kept.orders[stay], kept.groups[stay]
    weights, log_taus = weighed.weights[rows], taus[of]
    if before is not None:
        earlier = zip(first.weights[rows].tolist(), before.thresholds()[of].tolist(), strict=True)
        own = zip(weights.tolist(), log_taus.tolist(), earlier, strict=True)
        log_taus = np.array([shown_tau(w, tau, [bound]) for w, tau, bound in own], np.int64)
    inclusion = draw.inclusion(weights, log_taus)
    if not by_chance(rules):
        log_taus, inclusion = np.full_like(log_taus, NEVER), np.full_like(inclusion, np.nan)
    return Kept(
        rows=rows,
        groups=of,
        multiplicity=kept.multiplicity[stay],
        weights=weights,
        log_ranks=kept.log_ranks[stay],
        log_taus=log_taus,
        inclusion=inclusion,
        taus={n: t for n, t in zip(rules.groups, taus.tolist(), strict=True) if t != NEVER},
        contradicted=losers,
        reasons=reasons,
    )


def _box(
    weighed: Weighed,
    keys: Ids,
    groups: npt.NDArray[np.int32],
    rules: Rules,
    capacity: int,
    before: Reservoir | None = None,
) -> Reservoir:
    """The best of what was accepted; of the rows that an earlier stage kept, with their counts."""
    box = build_pool(rules, capacity)
    accepted, counts = np.flatnonzero(weighed.reasons == 0), None
    if before is not None:
        passed = before.items()
        stay = weighed.reasons[passed.orders] == 0
        accepted, counts = passed.orders[stay], passed.multiplicity[stay]
    if len(accepted):
        drawn = draw.draw(keys[accepted], "select", rules.epoch, rules.key)
        ranks = draw.log_rank(drawn, weighed.weights[accepted])
        own = keys[accepted]
        box.offer_many(groups[accepted], ranks, own, accepted, range(len(accepted)), counts)
    return box


def _after(before: Reservoir, first: Weighed, second: Weighed) -> Weighed:
    """What the second stage says of the candidates, and the first of all others."""
    weights, reasons = first.weights.copy(), first.reasons.copy()
    rows = before.items().orders
    weights[rows], reasons[rows] = second.weights[rows], second.reasons[rows]
    return Weighed(weights, reasons)


def _lifted(scored: Scored, back: Int64s, rules: Rules) -> Scored:
    """Rows that come back are as plausible as one that is not doubted."""
    plausibility = scored.plausibility.copy()
    assert rules.terms.suspect_below is not None, "without a threshold nothing is doubted"
    plausibility[back] = rules.terms.suspect_below
    return replace(scored, plausibility=plausibility)


def _losers(rows: Int64s, said: Heard, weighed: Weighed, before: Reservoir | None) -> Int64s:
    """Selected rows whose text has a likelier label among the candidates; ascending."""
    left = said.stands.keys() if before is None else before.items().orders.tolist()
    placed = ((r, said.stands[r]) for r in left if r in said.stands and weighed.reasons[r] == 0)
    return np.intersect1d(rows, list(contradictions(placed, said.agreement)))


def sampled(ids: Ids, rules: Rules, arm: str, capacity: int) -> Int64s:
    """Rows of an arm that draws uniformly by utterance id ("audit", "random"): ascending."""
    box = uniform.build(capacity, rules.quotas)
    ranks = draw.log_rank(
        draw.draw(ids, arm, rules.epoch, rules.key), np.full(len(ids), GRID, np.int16)
    )
    none, rows = np.zeros(len(ids), np.int32), np.arange(len(ids))
    box.offer_many(none, ranks, ids, rows, range(len(ids)))
    return np.sort(box.items().orders)


def _told_apart(candidates: Candidates, groups: npt.NDArray[np.int32], rules: Rules) -> Ids:
    """Keys of rows; as daemon.lanes.gather, two names that share `(other)` are two keys."""
    keys = candidates.keys.copy()
    for row in [] if rules.cold else np.flatnonzero(groups == 0).tolist():
        keys[row, 1] ^= np.uint64(rules.mask(0, candidates.names[row]))
    return keys

"""The selection of one window in memory: no store, no lanes, the same functions.

For whoever selects hundreds of times from rows that are scored already. The rows that it keeps,
with their ranks, taus and chances, are those of the shard that the daemon makes of the same records
under the same rules, but for novelty: nothing was emitted before. The arms beside the selection are
drawn by `sampled`.

Lanes are left out, because their pools merge exactly: one pool of all rows holds what the merge of
theirs does. From the pool on the stages are the daemon's.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from msgspec import UnsetType

from buffers import draw, uniform
from buffers.base import NEVER, Ids, Int64s
from daemon.learning.rules import Rules
from daemon.offline.heard import Heard, heard
from daemon.offline.left import Left
from daemon.offline.terms import Candidates, weigher
from daemon.shards.agreement import contradictions
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
    contradicted: Int64s  # put aside, or they were kept: another label of their text is likelier
    reasons: npt.NDArray[np.uint8]  # (n,) codes of scoring.types.REASONS: 0 accepted. Of each row
    # alone, as a ledger has them: suspects that repeats brought back are suspects here


def select(candidates: Candidates, rules: Rules, capacity: int) -> Kept:
    """Weigh, keep each text once, put contradictions aside, balance to `capacity` rows.

    Of a policy with a cascade all rows have the scores of its second stage, which weighs
    candidates alone.

    Another key of the rules is another draw. Order and repetition of the candidates change
    nothing but which row of a text is shown.
    """
    first = weigher(rules.policy.select).weigh(candidates.scored, rules.terms)
    index = rules.index
    groups = np.fromiter((index.get(n, 0) for n in candidates.names), np.int32, len(first.reasons))
    keys = _told_apart(candidates, groups, rules)
    said = heard(candidates, first, keys, groups, rules, capacity)
    scored, left = _heard(candidates.scored, said, first, rules)
    voices = [said.stands[r] for r in left.rows.tolist() if r in said.stands]
    bounds = said.pool.thresholds()
    if not isinstance(cascade := rules.policy.cascade, UnsetType):
        assert rules.second is not None, "rules of this policy have terms of its second stage"
        left = left.through(left.box(keys, groups, rules, cascade.candidates))
        left = left.weighed(weigher(cascade.select).weigh(scored, rules.second))
        bounds = np.full_like(bounds, NEVER)  # of one stage: ranks of another are no match
    stands = {at: said.stands[r] for at, r in enumerate(left.rows.tolist()) if r in said.stands}
    losers = contradictions(stands.items(), said.agreement, [*voices, *said.others])
    stay = left.at(np.array([at not in losers for at in range(len(left.rows))], bool))
    box = stay.box(keys, groups, rules, capacity)
    wanted = left.box(keys, groups, rules, capacity) if losers else box
    told, taus = stay.through(box), np.minimum(bounds, box.thresholds())
    shown = np.argsort(told.rows)
    rows, log_taus, inclusion = told.rows[shown], told.log_taus[shown], told.chances[shown]
    if not rules.by_chance:
        log_taus, inclusion = np.full_like(log_taus, NEVER), np.full_like(inclusion, np.nan)
    return Kept(
        rows=rows,
        groups=groups[rows],
        multiplicity=told.counts[shown],
        weights=told.weights[shown],
        log_ranks=box.items().log_ranks[shown],
        log_taus=log_taus,
        inclusion=inclusion,
        taus={n: t for n, t in zip(rules.groups, taus.tolist(), strict=True) if t != NEVER},
        contradicted=np.intersect1d(wanted.items().orders, left.rows[sorted(losers)]),
        reasons=first.reasons,
    )


def _heard(scored: Scored, said: Heard, first: Weighed, rules: Rules) -> tuple[Scored, Left]:
    """The candidates after repeats were heard, and all rows as the policy now reads them.

    Rows that come back are as plausible as one that is not doubted.
    """
    left = Left.of_box(said.pool, first.weights)
    if not len(said.back):
        return scored, left
    assert rules.terms.suspect_below is not None, "without a threshold nothing is doubted"
    waited = Left.of_box(said.waiting, np.full_like(first.weights, GRID)).at(said.back)
    plausibility = scored.plausibility.copy()
    plausibility[waited.rows] = rules.terms.suspect_below
    scored = replace(scored, plausibility=plausibility)
    again = weigher(rules.policy.select).weigh(scored, rules.terms)
    waited = waited.at(again.reasons[waited.rows] == 0)
    return scored, left.with_doubted(waited, again.weights)


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

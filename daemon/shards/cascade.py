"""The second stage: of all lanes' candidates the M best, weighed again by scores that cost more.

It acts after the merge of all lanes and after late labels, never in a lane or between two of them:
a lane that chose by second-stage weights would let go what the others lack, and the shard would
depend on how records lie in lanes. M is a number of the policy: no machine decides it. Pure.

Both stages use one draw, so a row of weights w1 and w2 is kept with probability
1 - exp(-min(w1 tau1, w2 tau2)). The second tau alone says too much: whoever reached it had a
small draw already.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import Struct, UnsetType

from buffers import draw
from buffers.base import NEVER
from daemon.lanes.arms import build_pool
from daemon.learning import calibration
from daemon.learning.calibration import Histogram
from daemon.learning.grading import Grading
from daemon.learning.rules import Rules
from daemon.shards import seconds
from daemon.shards.columns import Columns, ids_of, scored_of
from daemon.shards.pool import Pooled, lowest, offer
from daemon.shards.seconds import AUDIT, CANDIDATE, Seconds, Wanted
from scoring.types import CODES, MISSING, REASONS, Reason

Bound = tuple[int, int]  # a weight, and the log tau that the rank of this weight had to be below


class Cascaded(Struct, frozen=True):
    """What a shard's manifest says of its second stage."""

    candidates: int  # texts that reached it, of all lanes together
    refused: dict[str, int]  # of them, those that its policy refused, by reason
    taus: dict[str, int]  # group -> log-rank of the first stage
    object: str  # the scores that were taken
    digest: str  # of their columns


class Narrowed(NamedTuple):
    """The candidates of the second stage, all lanes together."""

    rows: list[int]  # by (group, first-stage rank)
    taus: dict[str, int]  # by group: smallest first-stage log-rank that this turned away


def narrow(pool: Pooled, rules: Rules) -> Narrowed:
    """The M smallest first-stage ranks after late labels, shared out as the shard's rows are.

    Where late labels made two candidates one, its row is the first of them, with both counts.
    """
    cascade = rules.policy.cascade
    assert not isinstance(cascade, UnsetType), "there is one stage"
    box = build_pool(rules, cascade.candidates)
    offer(box, pool.columns, pool.stay, rules)
    kept = box.items()
    for row, count in zip(kept.items, kept.multiplicity.tolist(), strict=True):
        pool.columns["multiplicity"][row] = count
    return Narrowed(list(kept.items), lowest(box, [], rules))


def wanted(pool: Pooled, narrowed: Narrowed) -> Wanted:
    """Each row that the second stage scores: candidates, and the audit arm.

    The audit arm is drawn from the traffic, whatever the first stage thinks of it: from its scores
    the spreads are learnt that the second policy maps between. Those of candidates would follow
    the first policy, and mean something else with every change of it.
    """
    audited = pool.arms["audit"].rows
    return [(CANDIDATE, row) for row in narrowed.rows] + [(AUDIT, row) for row in audited]


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """The outcome of the second stage."""

    stay: list[int]  # candidates that may be selected, by their second rank
    suspects: list[int]  # candidates whose label the second policy doubts: to review
    first: Mapping[int, Bound]  # of each candidate
    spreads: Mapping[str, Histogram]  # score -> of the audit arm: plain counts
    told: Cascaded


def weigh(
    pool: Pooled, narrowed: Narrowed, held: Seconds, grading: Grading, rules: Rules
) -> Stage:
    """Give candidates their second weight and rank: `pool.columns` changes. Raises KeyError where
    `held` lacks one of them."""
    assert grading.second is not None and rules.second is not None, "there is one stage"
    columns, rows, names = pool.columns, narrowed.rows, grading.second.names
    _fill(columns, wanted(pool, narrowed), held, names)
    first = {r: (columns["weight"][r], narrowed.taus[columns["group"][r]]) for r in rows}
    scored = scored_of(columns, rows, rules.edition.classes, grading.shown)
    weighed = grading.second.policy.weigh(scored, rules.second)
    reasons = weighed.reasons.tolist()
    stay, doubted = [], []
    for row, reason, weight in zip(rows, reasons, weighed.weights.tolist(), strict=True):
        columns["reason"][row], columns["weight"][row] = reason, weight
        if reason == 0:
            stay.append(row)
        elif reason == CODES[Reason.SUSPECT]:
            doubted.append(row)
    keys = ids_of(columns, stay, "key_hi", "key_lo")
    drawn = draw.draw(keys, "select", rules.epoch, rules.key)
    ranks = draw.log_rank(drawn, weighed.weights[weighed.reasons == 0])
    for row, rank in zip(stay, ranks.tolist(), strict=True):
        columns["log_rank"][row] = rank
    taus = {g: min(t, pool.taus.get(g, NEVER)) for g, t in narrowed.taus.items()}
    told = Cascaded(
        len(rows),
        dict(sorted(Counter(str(REASONS[reason]) for reason in reasons if reason).items())),
        {group: tau for group, tau in taus.items() if tau != NEVER},
        seconds.name(rules.window),
        held.digest,
    )
    audited = pool.arms["audit"].rows
    spreads = {score: _histogram(columns[f"score_{score}"], audited) for score in names}
    return Stage(stay, doubted, first, spreads, told)


def shown_tau(weight: int, log_tau: int, others: Sequence[Bound]) -> int:
    """The smallest of a row's taus, in log-ranks of its last weight, whose own tau is `log_tau`.

    So `1 - exp(-weight * tau)` of what a shard shows is the chance with which all stages took it.
    """
    last = int(draw.LN_WEIGHTS[weight])
    moved = (t + int(draw.LN_WEIGHTS[w]) - last for w, t in others if t != NEVER)
    return min(log_tau, *moved, NEVER)


def _fill(columns: Columns, rows: Wanted, held: Seconds, names: Sequence[str]) -> None:
    """Score columns of all rows: MISSING where the second stage never came."""
    places = held.places()
    for score in names:
        columns[f"score_{score}"] = [MISSING] * len(columns["order"])
    for arm, row in rows:
        at = places[arm, columns["lane"][row], columns["position"][row]]
        for score in names:
            columns[f"score_{score}"][row] = held.columns[f"score_{score}"][at]


def _histogram(column: Sequence[int], rows: Sequence[int]) -> Histogram:
    return calibration.add({column[row]: 1} for row in rows if column[row] != MISSING)

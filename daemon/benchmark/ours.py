"""Arms of ours: the product's own functions, told what the daemon would know and nothing else.

Scores were graded by the checkpoint, the noise rate is that of the audit arm, spreads and traffic
are those of the rows selected from (as `sluice select` on a file has them).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import msgspec
import numpy as np
import numpy.typing as npt

from buffers.base import Ids
from daemon.benchmark.stages import Stage
from daemon.offline import selection, terms
from daemon.policy import Arms, Groups, Kind, Policy, Quarantine
from scoring.rows import to_grid
from scoring.scores.given import probability, rival
from scoring.training.dice import Ints64

BASE = Policy(
    scores=(Kind("entropy"),),
    groups=Groups(by=("label",), support=20),
    arms=Arms(audit_rows=500),
)


@dataclass(frozen=True, slots=True, eq=False)
class Choice:
    """What an arm keeps."""

    rows: Ints64  # (k,) events of the stream
    records: npt.NDArray[Any] | None = None  # (k,) how often each is shown; None: all alike
    suspects: int = 0  # events that were put aside as doubtful


def by_score(kind: str, score: str, **options: object) -> Policy:
    """One score and one policy, unbalanced, repeats and all: what the papers do."""
    return msgspec.structs.replace(
        BASE,
        identity="id",
        select=Kind(kind, {"score": score, **options}),
        reservoir=Kind("uniform"),
    )


def between(policy: Policy, low: float, high: float) -> Policy:
    """The policy with other quantiles of its scores."""
    learning = msgspec.structs.replace(policy.learning, low_quantile=low, high_quantile=high)
    return msgspec.structs.replace(policy, learning=learning)


def unweighed(
    identity: Literal["text", "id"], reservoir: str, *, quarantine: bool
) -> Policy:
    """No score: every accepted row weighs the same."""
    alike = Kind("default", {"eps": 1.0}) if quarantine else Kind("uniform")
    return msgspec.structs.replace(
        BASE,
        identity=identity,
        select=alike,
        reservoir=Kind(reservoir),
    )


def default(
    score: str = "entropy",
    eps: float = 0.3,
    exponent: float = BASE.groups.traffic_exponent,
    margin: float = BASE.quarantine.margin,
) -> Policy:
    """The policy as it ships: each text once, suspects aside, balanced, weighed by one score."""
    return msgspec.structs.replace(
        BASE,
        select=Kind("default", {"score": score, "eps": eps}),
        groups=msgspec.structs.replace(BASE.groups, traffic_exponent=exponent),
        quarantine=Quarantine(margin=margin),
    )


def coverage(score: str) -> Policy:
    """Rows dealt out over strata of a score, each text once, balanced, suspects aside."""
    policy = unweighed("text", "balanced", quarantine=True)
    return msgspec.structs.replace(policy, select=Kind("coverage", {"score": score}))


def scored(stage: Stage, name: str, column: npt.NDArray[np.float64]) -> Stage:
    """The stage with one more score, brought to [0, 1]."""
    unit = (column - column.min()) / max(float(np.ptp(column)), 1e-12)
    more = {**stage.scored.scores, name: to_grid(unit.astype(np.float32))}
    return replace(stage, scored=replace(stage.scored, scores=more))


def judged(stage: Stage, smoothing: float | None) -> Stage:
    """The stage with another plausibility of labels: odds so smoothed.

    None: the normalised margin, (p_y - largest other p + 1) / 2, which is their limit.
    """
    seen, labels = stage.scored.plausibility, stage.scored.labels
    known = np.flatnonzero(labels >= 0)
    own = probability(stage.scored.probs, labels)[known]
    best = rival(stage.scored.probs, labels)[known]
    if smoothing is None:
        value = (own - best + np.float32(1.0)) * np.float32(0.5)
    else:
        value = (own + smoothing) / np.maximum(own + best + 2 * smoothing, np.float32(1e-30))
    shown = seen.copy()
    shown[known] = to_grid(value)
    return replace(stage, scored=replace(stage.scored, plausibility=shown))


def choose(
    stage: Stage,
    policy: Policy,
    capacity: int,
    *,
    rate: float | None = None,
    repeats: bool = True,
) -> Choice:
    """The rows that the product keeps of the stage's stream under this policy.

    `rate`: of wrong labels, assumed; None: the audit's answers decide. `repeats`: those of a text
    may speak for its labels.
    """
    # candidates are as many as a lane keeps for so many rows, and not those of a roll
    policy = msgspec.structs.replace(policy, capacity_rows=capacity, rolling=None)
    key = f"benchmark {stage.world.seed}".encode()
    names = [stage.world.texts.classes[place] for place in stage.given.tolist()]
    keys = _ids(len(names), key) if policy.identity == "id" else _said(stage.world.texts.said, key)
    keys = keys if policy.identity == "id" else keys[stage.rows]
    offered = terms.Candidates(stage.scored, keys, names)
    audit = len(stage.audit), stage.wrong
    rules = terms.rules_for(offered, policy, stage.classes, key, audit if rate is None else rate)
    rules = rules if repeats else replace(rules, noise=0)
    kept = selection.select(offered, rules, capacity)
    return Choice(kept.rows, kept.multiplicity, int((kept.reasons > 0).sum()))


def evened(stage: Stage, choice: Choice, exponent: float) -> Choice:
    """Each label is shown as often as its events ** exponent, its rows equally often.

    A set with fewer texts than there is room for keeps them all, once: the mix of its labels is
    then that of its texts, whatever the quotas are. Multiplicities say what the traffic was.
    """
    labels = stage.given[choice.rows]
    events = np.bincount(labels, choice.records)
    rows = np.maximum(np.bincount(labels), 1)
    weights = (events**exponent / rows)[labels]
    return replace(choice, records=weights / weights.mean())


@lru_cache(maxsize=4)
def _ids(count: int, key: bytes) -> Ids:
    return terms.id_keys([str(place) for place in range(count)], key)


@lru_cache(maxsize=4)
def _said(said: tuple[str, ...], key: bytes) -> Ids:
    return terms.text_keys(said, BASE, key)

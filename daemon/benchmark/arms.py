"""The arms: every way of choosing rows that is compared, by name. Those of a group share a colour.

An arm gets a stage and a number of rows. What it may look at is what its column in the results
says: the stream with its given labels, the checkpoint's outputs, the audit; the truth, the oracle
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from daemon.benchmark import ours, peers, plain
from daemon.benchmark.ours import Choice
from daemon.benchmark.stages import Stage
from daemon.policy import Policy
from scoring.types import GRID

Choose = Callable[[Stage, int], Choice]

LABEL_FREE = ("entropy", "margin", "least_confidence")
BY_LABEL = ("el2n", "loss", "pvi", "self_confidence", "normalised_margin", "grand", "rho_loss")
BY_HISTORY = ("el2n_mean", "el2n_smoothed", "forgetting", "aum", "tracin")
NULL = ("input_norm", "length", "shuffled")
BAND_TOP = 0.95  # the band leaves out what lies above this quantile


class Arm(NamedTuple):
    """One way of choosing. `budgets` False: it keeps what it keeps."""

    group: str  # "bound", "baseline", "score", "null", "peer", "ours"
    choose: Choose
    budgets: bool = True


def arms() -> Mapping[str, Arm]:
    """All of them, in the order of the tables."""
    made = {
        "everything": Arm("bound", plain.everything, budgets=False),
        "oracle": Arm("bound", plain.oracle, budgets=False),
        "random": Arm("baseline", plain.random),
        "random-evened": Arm("baseline", partial(_evened, plain.random)),
        "stratified": Arm("baseline", plain.stratified),
        "cbrs": Arm("baseline", plain.cbrs),
        "cleanlab": Arm("peer", peers.cleanlab),
        "facility-location": Arm("peer", peers.facility_location),
        "k-center": Arm("peer", peers.k_center),
        "badge": Arm("peer", peers.badge),
        "uncertainty": Arm("peer", peers.uncertainty),
        "dealrec": Arm("score", plain.dealrec),
        "dealrec-greedy": Arm("score", plain.greedy),
    }
    for score in (*LABEL_FREE, *BY_LABEL, *BY_HISTORY):
        for kind in ("top", "band", "weighted"):
            made[f"{score}.{kind}"] = Arm("score", partial(_scored, kind, score))
    made["forgetting.softmax"] = Arm("score", partial(_scored, "softmax", "forgetting"))
    made["entropy.coverage"] = Arm("score", partial(_scored, "coverage", "entropy"))
    made["el2n.coverage"] = Arm("score", partial(_scored, "coverage", "el2n"))
    made |= {f"{score}.top": Arm("null", partial(_scored, "top", score)) for score in NULL}
    return made | {name: Arm("ours", choose) for name, choose in _ours().items()}


def _ours() -> Mapping[str, Choose]:
    return {
        "once": partial(_policy, ours.unweighed("text", "uniform", quarantine=False)),
        "balanced": partial(_policy, ours.unweighed("text", "balanced", quarantine=False)),
        "quarantine": partial(_policy, ours.unweighed("id", "uniform", quarantine=True)),
        "default": partial(_policy, ours.default()),
        "default-alone": _alone,
        "default-equal": partial(_policy, ours.default(exponent=0.0)),
        "influence.coverage": partial(_influence, ours.coverage("influence")),
        "influence.default": partial(_influence, ours.default("influence")),
        "default-evened": partial(_evened, partial(_counted, ours.default())),
    }


def _scored(kind: str, score: str, stage: Stage, capacity: int) -> Choice:
    """By the product's policy of this kind, over all events, without quarantine."""
    options: dict[str, object] = {} if kind == "weighted" else {"quarantine": False}
    if kind == "top":
        options["keep"] = min(1.0, capacity / len(stage.rows))
    policy = ours.by_score(kind, score, **options)
    if kind == "band":  # the hardest rows after the very hardest
        options["eps"] = 1 / GRID
        policy = ours.by_score(kind, score, **options)
        policy = ours.between(policy, max(0.0, BAND_TOP - capacity / len(stage.rows)), BAND_TOP)
    return _bare(ours.choose(stage, policy, capacity))


def _policy(policy: Policy, stage: Stage, capacity: int) -> Choice:
    return _bare(ours.choose(stage, policy, capacity))


def _evened(choose: Choose, stage: Stage, capacity: int) -> Choice:
    """Shown as docs/shards.md advises."""
    return ours.evened(stage, choose(stage, capacity), ours.BASE.groups.traffic_exponent)


def _alone(stage: Stage, capacity: int) -> Choice:
    """As it ships, but that repeats of a text say nothing of its labels."""
    return _bare(ours.choose(stage, ours.default(), capacity, repeats=False))


def _influence(policy: Policy, stage: Stage, capacity: int) -> Choice:
    """DEALRec's score under a policy of ours."""
    return _policy(policy, ours.scored(stage, "influence", plain.influences(stage)), capacity)


def _counted(policy: Policy, stage: Stage, capacity: int) -> Choice:
    return ours.choose(stage, policy, capacity)


def _bare(choice: Choice) -> Choice:
    """Every kept row is shown as often as any other."""
    return Choice(choice.rows, None, choice.suspects)

"""Arms that need no score: everything, the oracle, random, stratified, CBRS, DEALRec's coverage."""

from __future__ import annotations

import numpy as np

from daemon.benchmark.ours import Choice
from daemon.benchmark.stages import Stage
from scoring import influence
from scoring.training.dice import Floats64, Ints64

DAMPING, TOLERANCE = 0.01, 1e-3
STRATA, EFFORT = 50, 0.3  # DEALRec: K and lambda of its experiments


def everything(stage: Stage, _capacity: int) -> Choice:
    return Choice(np.arange(len(stage.rows)))


def oracle(stage: Stage, _capacity: int) -> Choice:
    """All rows whose label is right: nobody can know them."""
    return Choice(np.flatnonzero(stage.given == stage.truth))


def random(stage: Stage, capacity: int) -> Choice:
    """Nested: a smaller budget is part of a larger one."""
    return Choice(stage.world.dice("random").permutation("rows", len(stage.rows))[:capacity])


def stratified(stage: Stage, capacity: int) -> Choice:
    """The same share of every given label, largest remainders first."""
    order = stage.world.dice("stratified").permutation("rows", len(stage.rows))
    counts = np.bincount(stage.given)
    exact = counts * capacity / len(stage.rows)
    quota = np.floor(exact).astype(np.int64)
    left = capacity - int(quota.sum())
    quota[np.argsort(-(exact - quota), kind="stable")[:left]] += 1
    return Choice(_by_quota(stage.given, order, quota))


def cbrs(stage: Stage, capacity: int) -> Choice:
    """Class-balancing reservoir sampling by the given label (Chrysakis and Moens, ICML 2020).

    By its law rather than event by event: within a class what is stored is a uniform sample, and
    classes that are not full are stored whole.
    """
    counts = np.bincount(stage.given)
    low, high = 0, int(counts.max())
    while low < high:  # the largest level that fits
        level = (low + high + 1) // 2
        fits = int(np.minimum(counts, level).sum()) <= capacity
        low, high = (level, high) if fits else (low, level - 1)
    quota = np.minimum(counts, low)
    fuller = np.flatnonzero(counts > low)[: capacity - int(quota.sum())]
    quota[fuller] += 1
    order = stage.world.dice("cbrs").permutation("rows", len(stage.rows))
    return Choice(_by_quota(stage.given, order, quota))


def dealrec(stage: Stage, capacity: int) -> Choice:
    """Influence and effort, dealt out over strata of equal width (Lin et al. 2024, algorithm 2)."""
    overall = influences(stage)
    low, span = overall.min(), max(float(np.ptp(overall)), 1e-12)
    strata = np.minimum(((overall - low) / span * STRATA).astype(np.int64), STRATA - 1)
    order = stage.world.dice("dealrec").permutation("rows", len(overall))
    quota = np.zeros(STRATA, np.int64)
    sizes, left = np.bincount(strata, minlength=STRATA), capacity
    filled = np.flatnonzero(sizes)
    smallest = filled[np.argsort(sizes[filled], kind="stable")]
    for done, stratum in enumerate(smallest.tolist()):
        quota[stratum] = min(left // (len(smallest) - done), int(sizes[stratum]))
        left -= int(quota[stratum])
    return Choice(_by_quota(strata, order, quota))


def greedy(stage: Stage, capacity: int) -> Choice:
    """The same scores without coverage: their plain top."""
    return Choice(np.sort(np.argsort(-influences(stage), kind="stable")[:capacity]))


def influences(stage: Stage) -> Floats64:
    """(n,) DEALRec's overall score; the trusted gradient is that of the golden rows."""
    world, texts = stage.world, stage.world.texts
    known = np.flatnonzero(world.early)
    place = np.full(len(texts.classes), -1)
    place[known] = np.arange(len(known))
    head = stage.head
    golden = np.flatnonzero(place[texts.golden_classes] >= 0)
    trusted = influence.mean_gradient(
        head.probs(texts.golden[golden]).astype(np.float64),
        texts.golden[golden].astype(np.float64),
        place[texts.golden_classes[golden]].astype(np.int32),
    )
    trained = texts.train[world.rows[: world.first]]
    solved = influence.solve(
        trusted, head.probs(trained).astype(np.float64), trained.astype(np.float64),
        DAMPING, TOLERANCE,
    )  # fmt: skip
    labels = place[stage.given]
    own = np.flatnonzero(labels >= 0)
    columns = (
        stage.outputs.probs[own].astype(np.float64),
        stage.features[own].astype(np.float64),
        labels[own].astype(np.int32),
    )
    overall = np.zeros(len(labels))
    effort = influence.effort(*columns)
    overall[own] = influence.overall(influence.influence(*columns, solved), effort, EFFORT)
    return overall


def _by_quota(groups: Ints64, order: Ints64, quota: Ints64) -> Ints64:
    """The first `quota` rows of each group, in `order`; ascending."""
    sorted_ = order[np.argsort(groups[order], kind="stable")]
    own = groups[sorted_]
    starts = np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=len(quota)))[:-1]])
    place = np.arange(len(own)) - starts[own]
    return np.sort(sorted_[place < quota[own]])

"""Arms of others, from their own packages, on the whole set at once: an advantage for them.

Those that look at geometry alone see each text once (a repeat adds no distance and is never taken
before the last text); where the budget is larger, random events fill it.
"""

from __future__ import annotations

import warnings

import numpy as np

from daemon.benchmark.ours import Choice
from daemon.benchmark.stages import Stage
from scoring.training.dice import Ints64

LARGEST = 8_000  # texts of a facility location: its table is the square of them
GREEDY_SHARE = 0.2  # of the events: a greedy order that is longer costs minutes


def cleanlab(stage: Stage, capacity: int) -> Choice:
    """Without the label issues that cleanlab finds, a random sample of the rest."""
    clean = stage.once("cleanlab", _without_issues)
    return Choice(np.sort(clean[:capacity]), suspects=len(stage.rows) - len(clean))


def facility_location(stage: Stage, capacity: int) -> Choice:
    """apricot's facility location over cosines, by its lazy greedy optimiser."""
    return _filled(stage, stage.once("facility", _facility), capacity)


def k_center(stage: Stage, capacity: int) -> Choice:
    """The farthest text next (Sener and Savarese, ICLR 2018: the greedy 2-approximation)."""
    return _filled(stage, stage.once("center", _center), capacity)


def badge(stage: Stage, capacity: int) -> Choice:
    """k-means++ on last-layer gradients of the predicted label (Ash et al., ICLR 2020)."""
    return _filled(stage, stage.once("badge", _badge), capacity)


def uncertainty(stage: Stage, capacity: int) -> Choice:
    """The largest entropies, as scikit-activeml scores them; repeats and all."""
    from skactiveml.pool import uncertainty_scores

    utilities = uncertainty_scores(stage.outputs.probs.astype(np.float64), method="entropy")
    order = stage.world.dice("uncertainty").permutation("ties", len(utilities))
    top = order[np.argsort(-utilities[order], kind="stable")]
    return Choice(np.sort(top[:capacity]))


def _filled(stage: Stage, order: Ints64, capacity: int) -> Choice:
    """The first of `order`, and random events where it ends."""
    taken = order[:capacity]
    rest = stage.world.dice("fill").permutation("rows", len(stage.rows))
    rest = rest[~np.isin(rest, taken)][: capacity - len(taken)]
    return Choice(np.sort(np.concatenate([taken, rest])))


def _events(stage: Stage) -> tuple[Ints64, int]:
    """The first event of each text, and how many of them a greedy order is made of."""
    events = np.unique(stage.rows, return_index=True)[1]
    return events, min(len(events), int(GREEDY_SHARE * len(stage.rows)))


def _facility(stage: Stage) -> Ints64:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # its docstrings hold bare backslashes
        warnings.simplefilter("ignore", DeprecationWarning)
        from apricot import FacilityLocationSelection

    events, longest = _events(stage)
    if len(events) > LARGEST:
        events = events[stage.world.dice("facility").permutation("texts", len(events))[:LARGEST]]
    longest = min(longest, len(events))
    chosen = FacilityLocationSelection(longest, metric="cosine", optimizer="lazy", random_state=0)
    order: Ints64 = chosen.fit(stage.features[events].astype(np.float64)).ranking
    return events[order]


def _center(stage: Stage) -> Ints64:
    events, longest = _events(stage)
    rows = stage.features[events]
    squares = np.square(rows).sum(axis=1)
    at = int(stage.world.dice("center").below("first", 1, len(events))[0])
    order, nearest = [at], np.full(len(events), np.inf, np.float32)
    for _ in range(longest - 1):
        away = squares + squares[at] - 2 * (rows @ rows[at])
        np.minimum(nearest, away, out=nearest)
        nearest[at] = -np.inf
        at = int(nearest.argmax())
        order.append(at)
    return events[order]


def _badge(stage: Stage) -> Ints64:
    """A gradient is (p - y) x h: distances of products, without the products themselves."""
    events, longest = _events(stage)
    hidden, errors = stage.features[events], stage.outputs.probs[events].copy()
    errors[np.arange(len(events)), errors.argmax(axis=1)] -= 1
    squares = np.square(errors).sum(axis=1) * np.square(hidden).sum(axis=1)
    places = stage.world.dice("badge").uniforms("draws", longest)
    at = int(squares.argmax())  # as the authors begin: the longest gradient
    order, nearest = [at], np.full(len(events), np.inf)
    for place in places[1:].tolist():
        away = squares + squares[at] - 2 * (errors @ errors[at]) * (hidden @ hidden[at])
        np.minimum(nearest, np.maximum(away, 0), out=nearest)
        nearest[order] = 0
        edges = np.cumsum(nearest)
        if edges[-1] <= 0:
            break
        at = min(int(np.searchsorted(edges, place * edges[-1], side="right")), len(events) - 1)
        order.append(at)
    return events[order]


def _without_issues(stage: Stage) -> Ints64:
    from cleanlab.filter import find_label_issues

    labels = stage.scored.labels
    known = np.flatnonzero(labels >= 0)
    # a class that nobody was labelled with has no threshold there
    heard, own = np.unique(labels[known], return_inverse=True)
    probs = stage.outputs.probs[known][:, heard].astype(np.float64)
    probs /= np.maximum(probs.sum(axis=1, keepdims=True), 1e-12)
    issues = np.zeros(len(labels), np.bool_)
    issues[known] = find_label_issues(own, probs, n_jobs=1)
    order = stage.world.dice("cleanlab").permutation("rows", len(labels))
    return order[~issues[order]]

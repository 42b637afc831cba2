"""What scores cost on this machine, measured: seconds an utterance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from math import gcd
from statistics import median
from typing import NamedTuple, cast

import numpy as np

from daemon.learning.supplied import Supplied
from daemon.policy import Policy
from daemon.ports import Clock
from daemon.running import supplying
from daemon.running.cascading import HANDFUL
from daemon.running.engines import Engine
from scoring import kinds
from scoring.catalogue import catalogue
from scoring.grade import take
from scoring.scorer import Scorer
from scoring.supplies import OF_OTHERS, TooFewCheckpoints, Unsupplied
from scoring.types import Model, Outputs, Score

SECONDS = 0.9  # of one measurement, about, unless its rounds are done before
ROUNDS = 50  # over all rows, at most: a pause of the machine is in one of them
GOLDEN = 0.618  # of the batches: a step by which few turns come near all of them
WARM_ROWS = 8  # run before: buffers are allocated, kernels chosen
Load = Callable[[frozenset[str]], Model]  # the edition's model with all that these needs want


class Cost(NamedTuple):
    """Of one score. A score of one pass costs what it adds to the pass; any other a whole run."""

    name: str
    cost: str  # as the catalogue says: forward, checkpoints or backward
    passes: int  # forward passes of its own; 0: it reads the pass that every utterance gets
    seconds: float


@dataclass(frozen=True, slots=True)
class Rows:
    """What is scored to measure: texts as the model reads them, and a label for each."""

    texts: tuple[str, ...]
    labels: tuple[str, ...]


class Answered:
    """A model that has answered already: what is left is a score's own work."""

    def __init__(self, model: Model, outputs: Outputs) -> None:
        self.classes, self.fingerprint, self.engine = model.classes, model.fingerprint, model.engine
        self.tags: tuple[str, ...] = getattr(model, "tags", ())
        self._outputs = outputs

    def run(self, texts: Sequence[str]) -> Outputs:
        """The first rows, whatever the texts are."""
        return take(self._outputs, np.arange(len(texts)))

    def close(self) -> None:
        """Nothing is open."""


def per_row(clock: Clock, run: Callable[[slice], object], rows: int, batch: int) -> float:
    """Seconds a row: some rounds over the rows in batches of this size, until time is up.

    Rows may be sorted, and long texts are dear. So turns go round by a golden section of the
    batches, and each batch counts once, by its median turn, however many turns it had.
    """
    run(slice(0, min(WARM_ROWS, rows)))
    starts = range(0, rows, batch)
    step = next(n for n in count(round(len(starts) * GOLDEN)) if gcd(n, len(starts)) == 1)
    took, ends = dict[int, list[float]](), clock.monotonic() + SECONDS
    for turn in range(ROUNDS * len(starts)):
        start = starts[turn * step % len(starts)]
        begun = clock.monotonic()
        run(slice(start, min(start + batch, rows)))
        took.setdefault(start, []).append(clock.monotonic() - begun)
        if clock.monotonic() >= ends:
            break
    seen = sum(min(batch, rows - start) for start in took)
    return sum(map(median, took.values())) / seen


def scoring(clock: Clock, scorer: Scorer, rows: Rows, batch: int) -> float:
    """Seconds an utterance of a whole scorer: its model, and all of its scores."""

    def run(some: slice) -> object:
        return scorer.score(rows.texts[some], rows.labels[some])

    return per_row(clock, run, len(rows.texts), batch)


def candidates(clock: Clock, scorer: Scorer, rows: Rows, many: int | None = None) -> float:
    """Seconds a candidate, scored as the second stage does it: by length, a handful at a time.

    Of so many candidates, if there are rows enough: engines fill up batches of one length, so few
    candidates cost more each than many. (Rows are not repeated: a text is scored once a handful.)
    """
    whole = len(rows.texts)
    many = whole if many is None else max(1, min(many, whole))
    chosen = [at * whole // many for at in range(many)]
    chosen.sort(key=lambda at: len(rows.texts[at]))
    some = Rows(tuple(rows.texts[at] for at in chosen), tuple(rows.labels[at] for at in chosen))
    return scoring(clock, scorer, some, HANDFUL)


def every(clock: Clock, engine: Engine, load: Load, rows: Rows) -> Iterator[Cost | Unsupplied]:
    """Each score that there is: what it costs, or what it lacks here. Cheapest kinds first.

    With the options of the policy where it computes the score, else with its defaults.
    """
    supplied, policy = engine.edition.supplies, engine.edition.policy
    asked = {score.name: score for score in engine.grading.everything}
    for entry in catalogue():
        score = asked.get(entry.name) or cast(Score, kinds.load("scoring.scores", entry.name, {}))
        try:
            yield _cost(clock, score, load, supplied, policy, rows)
        except Unsupplied as error:
            yield error
        except TooFewCheckpoints:  # it says so when it is published
            yield Unsupplied(score.name, min(score.needs & OF_OTHERS))


def _cost(
    clock: Clock, score: Score, load: Load, supplied: Supplied, policy: Policy, rows: Rows
) -> Cost:
    model = load(score.needs)
    tables = supplying.supplies(supplied, policy, len(model.classes))
    scorer = Scorer(model, (score,), tables)  # refuses what nobody feeds
    passes = supplying.passes(supplied, score.needs)
    if passes > 1 or score.cost == "backward":
        return Cost(score.name, score.cost, passes, candidates(clock, scorer, rows))
    answered = Answered(model, model.run(list(rows.texts)))
    alone = Scorer(answered, (score,), tables)
    count = len(rows.texts)
    seconds = scoring(clock, alone, rows, count)
    nothing = scoring(clock, Scorer(answered, ()), rows, count)
    return Cost(score.name, score.cost, 0, max(0.0, seconds - nothing))

"""The second stage at work: candidates are scored by what costs more, a few at a time.

Whoever makes a shard scores them: by then all lanes have met, labels have come, and no candidate is
scored in vain. The scores become an object before the shard does, so that others take them from
there and verifying needs no model. Between two handfuls the loop turns: the log is polled on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from threading import Lock
from typing import Protocol

from daemon.decode.near import by_text, folding
from daemon.decode.normalise import Normaliser
from daemon.policy import Policy
from daemon.ports import Missing, Store
from daemon.shards import cascade, seconds
from daemon.shards.assemble import Inputs
from daemon.shards.columns import Columns
from daemon.shards.pool import pooled
from daemon.shards.seconds import Seconds, Wanted
from scoring.scorer import Scorer
from scoring.types import MISSING, Floats

HANDFUL = 64  # rows between two turns of the loop

Steps = dict[str, list[int]]  # score -> on the grid
Reads = Callable[[str, str | None], str]  # text as received, locale -> text as the model reads it


def reads(policy: Policy, normalise: Normaliser) -> Reads:
    """How the model reads a text that a part holds as it was received: as when it was decoded."""
    fold = folding(policy.identity)
    if not by_text(policy.identity):
        return lambda text, _: text
    if fold is None:
        return lambda text, _: normalise(text)
    return lambda text, locale: fold(normalise(text), locale)


@dataclass(frozen=True, slots=True, eq=False)
class SecondScorer:
    """The second-stage scores of an edition."""

    scorer: Scorer
    reads: Reads
    turn: Lock  # models are used from one thread at a time

    def score(self, columns: Columns, rows: Sequence[int], prior: Floats) -> Steps:
        """Of rows of a pool, under the labels that they have by now."""
        texts = [self.reads(columns["text"][row], columns["locale"][row]) for row in rows]
        labels = [columns["label"][row] for row in rows]
        with self.turn:
            scored = self.scorer.score(texts, labels, prior=prior)
        return {name: steps.tolist() for name, steps in scored.scores.items()}


@dataclass(slots=True, eq=False)
class Work:
    """The rows of one window that the second stage scores, and how far that is."""

    inputs: Inputs
    columns: Columns
    rows: Wanted
    scores: Steps
    left: list[int]  # of `rows`; those with long texts first, as engines batch by length

    @classmethod
    def of(cls, inputs: Inputs) -> Work:
        """All that is to be scored: a function of the inputs alone."""
        rules, second = inputs.rules, inputs.grading.second
        assert second is not None, "there is one stage"
        pool = pooled(
            inputs.own(), inputs.grading, rules, inputs.late, inputs.known, inputs.rivals
        )
        rows = cascade.wanted(pool, cascade.narrow(pool, rules))
        texts = pool.columns["text"]
        left = sorted(range(len(rows)), key=lambda at: len(texts[rows[at][1]]))
        scores = {name: [MISSING] * len(rows) for name in second.names}
        return cls(inputs, pool.columns, rows, scores, left)

    def go_on(self, scorer: SecondScorer, prior: Floats) -> int:
        """Score a handful; of how many rows. 0: nothing was left."""
        some = self.left[-HANDFUL:]
        if not some:
            return 0
        found = scorer.score(self.columns, [self.rows[at][1] for at in some], prior)
        for name, steps in found.items():
            for at, step in zip(some, steps, strict=True):
                self.scores[name][at] = step
        del self.left[-HANDFUL:]
        return len(some)

    def places(self) -> Iterator[tuple[str, str, int]]:
        """(why, lane, position) of all that is to be scored."""
        columns = self.columns
        return ((why, columns["lane"][row], columns["position"][row]) for why, row in self.rows)

    def made(self) -> Seconds:
        """What the store will hold, once all is done."""
        return seconds.of(self.columns, self.rows, self.scores)

    def unlike(self, held: Seconds) -> Iterator[tuple[str, int]]:
        """(lane, position) of rows that `held` has otherwise. Erased ones have no text any more."""
        ours = self.made()
        for at, (_, row) in enumerate(self.rows):
            same = len(held.columns["arm"]) == len(self.rows) and all(
                values[at] == held.columns[name][at] for name, values in ours.columns.items()
            )
            if not same and not self.columns["erased"][row]:
                yield self.columns["lane"][row], self.columns["position"][row]


class Scorers(Protocol):
    """Who knows the scorers of editions."""

    def second(self, inputs: Inputs) -> tuple[SecondScorer, Floats]:
        """What scores the candidates of a window, and the shares of its classes."""


class Cascading:
    """Inputs of shards, with what the second stage says of them. One per process."""

    def __init__(self, store: Store, scorers: Scorers) -> None:
        self._store, self._scorers = store, scorers
        self._work: Work | None = None
        self.scored = 0  # rows, since the process started

    @property
    def busy(self) -> bool:
        """There is more to score."""
        return self._work is not None

    def ready(self, window: int | None, read: Callable[[int], Inputs | None]) -> Inputs | None:
        """All that the shard of a window is a function of; None while it waits, or is scored.

        None for the window: no shard is due, for another process made the one that we worked on.
        """
        if window is None:
            self._work = None
            return None
        work = self._work
        if work is None or work.inputs.rules.window != window:
            self._work, inputs = None, read(window)
            if inputs is None or inputs.grading.second is None or inputs.held is not None:
                return inputs
            work = self._work = Work.of(inputs)
        if rows := work.go_on(*self._scorers.second(work.inputs)):
            self.scored += rows
            return None
        name = seconds.name(window)
        self._store.create(name, seconds.encode(work.made()))  # or somebody else did: theirs counts
        held = seconds.decode(self._store.get(name))
        self._work = None
        return replace(work.inputs, held=held)


def held(store: Store, window: int) -> Seconds | None:
    """What the second stage said of a window; None where nobody made it yet."""
    with suppress(Missing):
        return seconds.decode(store.get(seconds.name(window)))
    return None

"""What scores and the scorer around them cost, without the model: ns of CPU per utterance.

Run: python -m tests.bench.bench_scores
"""

from __future__ import annotations

import time
import timeit
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np

from scoring.candidates import top_probabilities
from scoring.catalogue import catalogue
from scoring.directions import Direction
from scoring.kinds import load
from scoring.scorer import Scorer
from scoring.types import Floats, Outputs, Score

HIDDEN, CHECKPOINTS, TAGS, WORDS, TOKENS = 384, 4, 40, 8, 10
RAGGED_ROWS = 256  # rows of the scores that work through words or tokens one row at a time
BUDGET = 2000  # ns per utterance that scores of classes and hidden may cost together
RAGGED = ("slots", "gradient")
LAYER = "direction"  # what needs it multiplies (d) by (d, k) for each row: the last layer once more


class Ready:
    """A model that has its answer ready: what is left is the scorer's own work."""

    fingerprint = engine = "ready"

    def __init__(self, outputs: Outputs) -> None:
        self.classes = tuple(f"intent {i}" for i in range(outputs.probs.shape[1]))
        self._outputs = outputs

    def run(self, texts: Sequence[str]) -> Outputs:
        if len(texts) == len(self._outputs.probs):
            return self._outputs
        return Outputs(self._outputs.logits[: len(texts)], self._outputs.probs[: len(texts)])

    def close(self) -> None:
        """Nothing to close."""


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return cast(Floats, (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32))


def some_outputs(n: int, k: int, ragged: bool) -> Outputs:
    """Everything that a score may read; words and gradients only where asked for: they are big."""
    r = np.random.default_rng(0)

    def drawn(*shape: int) -> Floats:
        return r.normal(size=shape).astype(np.float32)

    logits = drawn(n, k) * np.float32(3)
    rows = n if ragged else 0
    table = r.integers(-9, 9, (k, HIDDEN + 1)).astype(np.float64)
    return Outputs(
        logits,
        softmax(logits),
        drawn(n, HIDDEN),
        slot_probs=tuple(softmax(drawn(rows, WORDS, TAGS))),
        labels=r.integers(0, k, n).astype(np.int32),
        history=softmax(drawn(CHECKPOINTS, n, k)),
        hidden_history=np.broadcast_to(drawn(n, HIDDEN), (CHECKPOINTS, n, HIDDEN)),
        gradients=tuple(drawn(rows, CHECKPOINTS, TOKENS, HIDDEN)),
        layer_gradient=np.abs(drawn(n)),
        slot_labels=tuple(r.integers(0, TAGS, (rows, WORDS)).astype(np.int32)),
        slot_hidden=tuple(drawn(rows, WORDS, HIDDEN)),
        lengths=r.integers(3, 30, n).astype(np.int32),
        reference=softmax(drawn(n, k)),
        prior=np.full(k, 1 / k, np.float32),
        trails=np.ones(k, np.float32),
        direction=Direction(table, 0, 0, 0.0, (0.0, 1.0)),
    )


def nanoseconds(run: Callable[[], object], n: int) -> float:
    # of the process, not of the wall: neighbours on the machine cost nothing
    return min(timeit.repeat(run, timer=time.process_time, number=3, repeat=9)) / 3 / n * 1e9


def scores(n: int, k: int) -> None:
    """One line per score, with defaults, and the sum of those that every row can have."""
    whole, ragged = some_outputs(n, k, ragged=False), some_outputs(RAGGED_ROWS, k, ragged=True)
    total = 0.0
    for entry in catalogue():
        by_row = any(need in RAGGED for need in entry.needs)
        outputs = ragged if by_row else whole
        score = cast(Score, load("scoring.scores", entry.name, {}))
        cost = nanoseconds(partial(score, outputs), len(outputs.probs))
        layer = LAYER in entry.needs
        counted = entry.cost == "forward" and not by_row and not layer
        total += cost if counted else 0.0
        note = "" if counted else f"  {entry.cost}" + (", row by row" if by_row else "")
        note += ", as the last layer" if layer else ""
        print(f"({len(outputs.probs)}, {k})  {entry.name:26s} {cost:8.0f} ns per utterance{note}")
    print(f"({n}, {k})  {'all other forward, no slots':27s} {total:8.0f} ns per utterance")
    print(f"({n}, {k})  {'ratio to the budget':27s} {total / BUDGET:8.2f} of {BUDGET} ns")


def scorer(n: int, k: int) -> None:
    """The whole scorer with the scores that need a row and its label, and the candidates."""
    read = some_outputs(n, k, ragged=False)
    outputs = Outputs(read.logits, read.probs, labels=read.labels)
    plain = [entry.name for entry in catalogue() if set(entry.needs) <= {"label"}]
    model = Ready(outputs)
    scorer = Scorer(model, [cast(Score, load("scoring.scores", name, {})) for name in plain])
    texts = [f"text {i}" for i in range(n)]
    assert outputs.labels is not None
    labels: list[str | None] = [model.classes[i] for i in outputs.labels]
    some = [None if i % 10 == 0 else label for i, label in enumerate(labels)]
    runs: dict[str, Callable[[], object]] = {
        f"scorer, {len(plain)} scores": lambda: scorer.score(texts, labels),
        "scorer, 9 of 10 labelled": lambda: scorer.score(texts, some),
        "top probabilities": lambda: top_probabilities(outputs.probs),
    }
    for name, run in runs.items():
        print(f"({n}, {k})  {name:26s} {nanoseconds(run, n):8.0f} ns per utterance")


def main() -> None:
    for n, k in ((4096, 64), (4096, 150)):
        scores(n, k)
        scorer(n, k)


if __name__ == "__main__":
    main()

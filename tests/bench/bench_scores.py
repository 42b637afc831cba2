"""What scores and the scorer around them cost, without the model: ns per utterance.

Run: python -m tests.bench.bench_scores
"""

from __future__ import annotations

import timeit
from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import numpy as np

from scoring.candidates import top_probabilities
from scoring.kinds import load, names
from scoring.scorer import Scorer
from scoring.types import Outputs, Score


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


def report(n: int, k: int) -> None:
    """Print one line per score, then the whole scorer and the candidates."""
    r = np.random.default_rng(0)
    logits = (r.normal(size=(n, k)) * 3).astype(np.float32)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    probs = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    given = r.integers(0, k, n).astype(np.int32)
    outputs = Outputs(logits, probs, labels=given)
    scores = [cast(Score, load("scoring.scores", kind, {})) for kind in names("scoring.scores")]
    scores = [score for score in scores if not score.needs - {"label"}]
    model = Ready(outputs)
    scorer = Scorer(model, scores)
    texts = ["text"] * n
    labels: list[str | None] = [model.classes[i] for i in given]
    some = [None if i % 10 == 0 else label for i, label in enumerate(labels)]
    runs: dict[str, Callable[[], object]] = {s.name: partial(s, outputs) for s in scores}
    runs["scorer, all labelled"] = lambda: scorer.score(texts, labels)
    runs["scorer, 9 of 10 labelled"] = lambda: scorer.score(texts, some)
    runs["top probabilities"] = lambda: top_probabilities(probs)
    for name, run in runs.items():
        best = min(timeit.repeat(run, number=5, repeat=9)) / 5
        print(f"({n}, {k})  {name:26s} {best / n * 1e9:8.0f} ns per utterance")


def main() -> None:
    report(2048, 64)
    report(4096, 150)


if __name__ == "__main__":
    main()

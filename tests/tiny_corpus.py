"""A corpus of six intents whose features are made up: worlds of it are measured in a second."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from daemon.benchmark import features
from daemon.benchmark.features import Texts
from daemon.benchmark.scenarios import Scenario
from daemon.corpus import Corpus, Row
from scoring.training.dice import Dice
from scoring.types import Floats

INTENTS, EACH, WIDTH = 6, 40, 24
TINY = Scenario("tiny", events=900, first=300, flips=0.1)


def rows(split: str, count: int) -> tuple[Row, ...]:
    return tuple(
        Row(f"{split} say {place} of intent{intent}", f"intent{intent}")
        for intent in range(INTENTS)
        for place in range(count)
    )


CORPUS = Corpus(rows("train", EACH), rows("valid", 9), rows("test", 8))


def encode(texts: Sequence[str]) -> Floats:
    """A direction for each intent, and some of the text's own."""
    made = []
    for text in texts:
        own = Dice("text", text).uniforms("own", WIDTH) - 0.5
        shared = Dice("intent", text.rsplit(" ", 1)[1]).uniforms("shared", WIDTH) - 0.5
        made.append(shared + 0.8 * own)
    vectors = np.array(made, np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def numbers(split: str = "test") -> Texts:
    return features.texts(CORPUS, "tiny", encode, split=split)

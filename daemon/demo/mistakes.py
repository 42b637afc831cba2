"""How the made-up world errs: confusable intents, surfaces, a weak model, broken records."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from daemon.corpus import Row
from scoring.training.dice import Floats64

NEAREST = 3  # intents that one is confused with

SURFACES = (  # share of the traffic; the rest comes as it stands in the corpus
    (0.10, "capital"),
    (0.13, "upper"),
    (0.19, "spaces"),
    (0.25, "period"),
    (0.28, "hard space"),
)

FAULTS = (
    "truncated", "no text", "no consent", "nan confidence", "text is a number", "binary",
    "not an object", "empty text",
)  # fmt: skip


def confusable(intents: Mapping[str, Sequence[Row]]) -> dict[str, tuple[str, ...]]:
    """For each intent the up to NEAREST others whose words are the most alike.

    Likeness is the cosine of word counts; equals by name. A count of words, not of rows: a long
    text weighs more.
    """
    names = sorted(intents)
    counts = [Counter(w for row in intents[n] for w in row.text.casefold().split()) for n in names]
    words = {word: place for place, word in enumerate(sorted(set().union(*counts)))}
    table = np.zeros((len(names), len(words)), dtype=np.float64)
    for number, count in enumerate(counts):
        table[number, [words[word] for word in count]] = list(count.values())
    table /= np.maximum(np.linalg.norm(table, axis=1, keepdims=True), 1e-9)
    alike: Floats64 = np.round(table @ table.T, 9)  # rounded: equals stay equal on any BLAS
    np.fill_diagonal(alike, -1)
    best = np.argsort(-alike, axis=1, kind="stable")[:, : min(NEAREST, len(names) - 1)]
    return {name: tuple(names[j] for j in best[i]) for i, name in enumerate(names)}


def surface(text: str, chance: float) -> str:
    """The text as a recogniser might write it; `chance` in [0, 1) picks the way."""
    way = next((name for edge, name in SURFACES if chance < edge), "as is")
    match way:
        case "capital":
            return text[:1].upper() + text[1:]
        case "upper":
            return text.upper()
        case "spaces":
            return f" {text.replace(' ', '  ', 1)} "
        case "period":
            return f"{text}."
        case "hard space":
            return text.replace(" ", "\u00a0", 1)
        case _:
            return text


def answer(
    intent: str, near: Sequence[str], every: Sequence[str], chances: Sequence[float], right: float
) -> tuple[str, float]:
    """What production says: the intent with chance `right`, else mostly a confusable one.

    `chances`: three draws in [0, 1). Confidence in [0, 1] with three digits: high when right,
    often too high when wrong.
    """
    if chances[0] < right:
        return intent, round(0.55 + 0.44 * chances[1] ** 0.5, 3)
    others = near if chances[2] < 0.7 else [name for name in every if name != intent]
    place = int((chances[2] / 0.7 if chances[2] < 0.7 else (chances[2] - 0.7) / 0.3) * len(others))
    return others[min(place, len(others) - 1)], round(0.3 + 0.55 * chances[1], 3)


def spoil(value: dict[str, Any], fault: str) -> dict[str, Any] | bytes:
    """A record that no decoder should accept, made from a good one. One of FAULTS."""
    whole = json.dumps(value).encode()
    match fault:
        case "truncated":
            return whole[: len(whole) // 2]
        case "no text":
            return {**value, "utterance": {"locale": value["utterance"]["locale"]}}
        case "no consent":
            return {**value, "consent": False}
        case "nan confidence":
            nlu = {**value["nlu"], "confidence": float("nan")}
            return json.dumps({**value, "nlu": nlu}).encode()
        case "text is a number":
            return {**value, "utterance": {**value["utterance"], "text": 7}}
        case "binary":
            return base64.b64decode("/wD+gICAAP8=") + whole[:40]
        case "not an object":
            return b"[1, 2, 3]"
        case _:
            return {**value, "utterance": {**value["utterance"], "text": " \t "}}

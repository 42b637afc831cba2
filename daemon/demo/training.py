"""A small reference trainer: a softmax head on frozen features, in numpy alone.

Multinomial logistic regression with an L2 penalty, a fixed number of minibatch steps of Adam
(Kingma & Ba 2015, arXiv:1412.6980), then one temperature on held-out rows (Guo et al. 2017,
arXiv:1706.04599): comparisons are at equal steps, and probabilities mean something.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from daemon.demo.dice import Dice
from daemon.demo.encoder import Encoder
from scoring.layouts import LABELS_FILE
from scoring.models.base import ONNX_FILE, TOKENIZER_FILE, softmax
from scoring.types import Floats

STEPS, BATCH = 400, 128
RATE, PENALTY = 0.1, 2e-4  # the penalty keeps logits of separable intents finite
FIRST_MOMENT, SECOND_MOMENT, TINY = 0.9, 0.999, 1e-8
SHARPNESS = tuple(2.0 ** (step / 4) for step in range(-8, 9))  # 1 / temperature, 0.25 to 4


class Head(NamedTuple):
    """logits = features @ weight.T + bias."""

    weight: Floats  # (k, d)
    bias: Floats  # (k,)

    def probs(self, features: Floats) -> Floats:
        """(n, d) -> (n, k), rows sum to 1."""
        return softmax(features @ self.weight.T + self.bias)


class Accuracy(NamedTuple):
    """Shares of right answers in [0, 1]: over rows, and the mean over intents."""

    plain: float
    macro: float


def indices(labels: Sequence[str], classes: Sequence[str]) -> npt.NDArray[np.int64]:
    """(n,) place of each label in `classes`, -1 where it has none."""
    places = {name: place for place, name in enumerate(classes)}
    return np.array([places.get(label, -1) for label in labels], dtype=np.int64)


def fit(
    features: Floats,
    labels: Sequence[str],
    classes: Sequence[str],
    *,
    steps: int = STEPS,
    seed: int = 0,
) -> Head:
    """Train on (n, d) features, n >= 1. Rows are reshuffled when all were seen.

    Raises ValueError for a label that is no class: it would be learnt as some other.
    """
    targets = indices(labels, classes)
    if len(targets) == 0 or (targets < 0).any():
        raise ValueError("training needs at least one row, and only labels that are classes")
    order = _order(len(targets), steps, seed)
    k, width = len(classes), features.shape[1] + 1
    rows = np.hstack([features, np.ones((len(features), 1), dtype=np.float32)])  # bias last
    weight = np.zeros((k, width), dtype=np.float32)
    mean, square = np.zeros_like(weight), np.zeros_like(weight)
    decay = np.full(width, PENALTY, dtype=np.float32)
    decay[-1] = 0  # how frequent an intent is, is no complexity
    for step, batch in enumerate(order, start=1):
        errors = softmax(rows[batch] @ weight.T)
        errors[np.arange(len(batch)), targets[batch]] -= 1
        gradient = errors.T @ rows[batch] / np.float32(len(batch)) + decay * weight
        mean = FIRST_MOMENT * mean + (1 - FIRST_MOMENT) * gradient
        square = SECOND_MOMENT * square + (1 - SECOND_MOMENT) * gradient**2
        ahead = mean / (1 - FIRST_MOMENT**step)
        spread = np.sqrt(square / (1 - SECOND_MOMENT**step)) + TINY
        rate = RATE * (1 - (step - 1) / steps)  # falls to zero: the last steps settle
        weight -= (rate * ahead / spread).astype(np.float32)
    return Head(weight[:, :-1].copy(), weight[:, -1].copy())


def _order(count: int, steps: int, seed: int) -> list[npt.NDArray[np.int64]]:
    """Row indices of each step: shuffles of all rows, one after the other, cut into batches."""
    size = min(BATCH, count)
    dice = Dice("batches", seed)
    rounds = -(-steps * size // count)
    rows = np.concatenate([dice.permutation(f"round {each}", count) for each in range(rounds)])
    return [rows[step * size : (step + 1) * size] for step in range(steps)]


def tempered(head: Head, features: Floats, labels: Sequence[str], classes: Sequence[str]) -> Head:
    """The head with the temperature that makes held-out labels likeliest; answers stay.

    Rows whose label is no class say nothing. Without rows the head comes back as it is.
    """
    targets = indices(labels, classes)
    known = targets >= 0
    if not known.any():
        return head
    place = np.arange(int(known.sum())), targets[known]
    losses = [
        -np.log(np.maximum(_scaled(head, each).probs(features[known])[place], 1e-12)).mean()
        for each in SHARPNESS
    ]
    return _scaled(head, SHARPNESS[int(np.argmin(losses))])


def _scaled(head: Head, sharpness: float) -> Head:
    return Head(head.weight * np.float32(sharpness), head.bias * np.float32(sharpness))


def hits(head: Head, features: Floats, labels: Sequence[str], classes: Sequence[str]) -> Floats:
    """(n,) 1 where the answer is right; a label that is no class is never answered right."""
    answers = np.argmax(features @ head.weight.T + head.bias, axis=1)
    right: Floats = (answers == indices(labels, classes)).astype(np.float32)
    return right


def accuracy(
    head: Head, features: Floats, labels: Sequence[str], classes: Sequence[str]
) -> Accuracy:
    """Plain and macro accuracy on n >= 1 rows; macro over the labels that occur."""
    right = hits(head, features, labels, classes)
    _, group = np.unique(np.array(labels), return_inverse=True)
    shares = np.bincount(group, weights=right) / np.bincount(group)
    return Accuracy(float(right.mean()), float(shares.mean()))


def write_checkpoint(
    folder: Path, head: Head, classes: Sequence[str], name: str, encoder: Encoder
) -> Path:
    """Write `folder/name` with model.onnx, tokenizer.json and labels.json: ready to publish."""
    place = folder / name
    place.mkdir(parents=True, exist_ok=True)
    (place / ONNX_FILE).write_bytes(encoder.graph(head.weight, head.bias))
    (place / TOKENIZER_FILE).write_bytes(encoder.tokenizer)
    (place / LABELS_FILE).write_text(json.dumps(list(classes)), encoding="utf-8")
    return place

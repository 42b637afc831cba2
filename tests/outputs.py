"""Outputs of no model: random, with every column that a score may read."""

from __future__ import annotations

import numpy as np

from scoring.directions import Direction, solve
from scoring.types import UNKNOWN_LABEL, Floats, Ints, Outputs

CHECKPOINTS, WIDTH, TAGS = 5, 8, 5


def softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    probs: Floats = (powers / powers.sum(axis=-1, keepdims=True)).astype(np.float32)
    return probs


def direction_of(k: int) -> Direction:
    """That of forty trusted rows, for WIDTH inputs."""
    r = np.random.default_rng(k)

    def rows(n: int) -> tuple[Floats, Floats, Ints]:
        probs = softmax(r.normal(size=(n, k)).astype(np.float32))
        hidden = r.normal(size=(n, WIDTH)).astype(np.float32)
        return probs, hidden, r.integers(0, k, n).astype(np.int32)

    return solve(rows(40), rows(80))


def outputs_of(probs: Floats, labels: object, seed: int = 0) -> Outputs:
    """Outputs with everything that a score may need. Some words have no tag, some texts no word."""
    n, k = probs.shape
    r = np.random.default_rng(seed)

    def drawn(*shape: int) -> Floats:
        return r.normal(size=shape).astype(np.float32)

    words: list[int] = np.asarray(r.integers(0, 12, n)).tolist()
    earlier = softmax(drawn(CHECKPOINTS - 1, n, k))
    return Outputs(
        logits=np.log(np.maximum(probs, np.float32(1e-30))),
        probs=probs,
        hidden=drawn(n, WIDTH),
        slot_probs=tuple(softmax(drawn(t, TAGS)) for t in words),
        labels=np.asarray(labels, np.int32),
        history=np.concatenate([earlier, probs[None]]),
        hidden_history=drawn(CHECKPOINTS, n, WIDTH),
        gradients=tuple(drawn(CHECKPOINTS, t, 3) for t in words),
        layer_gradient=np.abs(drawn(n)) * np.float32(20),
        slot_labels=tuple(r.integers(UNKNOWN_LABEL, TAGS, t).astype(np.int32) for t in words),
        slot_hidden=tuple(drawn(t, 6) for t in words),
        lengths=np.array(words, np.int32) + np.int32(2),
        reference=np.roll(probs, 1, axis=0),
        prior=softmax(np.linspace(0, 3, k, dtype=np.float32)),
        trails=np.linspace(0, 40, k, dtype=np.float32),
        direction=direction_of(k),
    )


def some_outputs(seed: int, n: int, k: int, sharpness: float = 3.0) -> Outputs:
    """Random rows, some labels outside the classes."""
    r = np.random.default_rng(seed)
    probs = softmax((r.normal(size=(n, k)) * sharpness).astype(np.float32))
    labels = r.integers(-1, k, n)
    return outputs_of(probs, np.where(labels < 0, UNKNOWN_LABEL, labels), seed)

"""What scores of a label find, and null controls do not: labels that were flipped.

Clouds of points, a softmax over distances to their centres, one label in ten replaced. The
probability that a flipped row stands above an unflipped one (AUROC) is 1/2 for a control.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from scoring.correlation import spearman
from scoring.kinds import load
from scoring.types import Floats, Outputs, Score

N, K, D = 4000, 12, 16
FINDERS = [
    *("el2n", "loss", "self_confidence", "normalised_margin", "grand", "pvi"),
    *("el2n_mean", "el2n_smoothed", "aum", "tracin"),
]
BLIND = ["input_norm", "length", "shuffled", "entropy", "margin", "least_confidence"]


def world(seed: int) -> tuple[Outputs, npt.NDArray[np.bool_]]:
    r = np.random.default_rng(seed)
    centres = r.normal(size=(K, D)) * 2
    truth = r.integers(0, K, N)
    hidden = centres[truth] + r.normal(size=(N, D))
    checkpoints = [centres + r.normal(size=(K, D)) * 0.2 for _ in range(4)]
    history = np.stack([probabilities(hidden, c) for c in checkpoints])
    flipped = r.random(N) < 0.1
    labels = np.where(flipped, (truth + r.integers(1, K, N)) % K, truth).astype(np.int32)
    read = hidden.astype(np.float32)
    outputs = Outputs(
        np.log(np.maximum(history[-1], np.float32(1e-30))),
        history[-1],
        read,
        labels=labels,
        history=history,
        hidden_history=np.broadcast_to(read, (4, N, D)),  # a frozen encoder
        lengths=r.integers(3, 30, N).astype(np.int32),
        prior=np.full(K, 1 / K, np.float32),
    )
    return outputs, flipped


def probabilities(hidden: npt.NDArray[np.float64], centres: npt.NDArray[np.float64]) -> Floats:
    z = -((hidden[:, None, :] - centres) ** 2).sum(axis=2) / 4
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    return cast(Floats, (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))


def auroc(values: Floats, positive: npt.NDArray[np.bool_]) -> float:
    order = np.argsort(values, kind="stable")
    ranks = np.empty(len(values))
    ranks[order] = np.arange(1, len(values) + 1)
    above = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(above / (positive.sum() * (~positive).sum()))


def values(kind: str, outputs: Outputs) -> Floats:
    return cast(Score, load("scoring.scores", kind, {}))(outputs)


@pytest.mark.parametrize("kind", FINDERS)
def test_flipped_labels_stand_on_top(kind: str) -> None:
    outputs, flipped = world(0)
    assert auroc(values(kind, outputs), flipped) > 0.95


@pytest.mark.parametrize("kind", BLIND)
def test_what_reads_no_label_finds_no_flip(kind: str) -> None:
    outputs, flipped = world(0)
    assert 0.45 < auroc(values(kind, outputs), flipped) < 0.55


def test_shuffled_is_uniform_and_goes_with_nothing() -> None:
    outputs, _ = world(1)
    dealt = values("shuffled", outputs)
    counts = np.bincount((dealt * 64).astype(np.int64), minlength=64)
    assert ((counts - N / 64) ** 2 / (N / 64)).sum() < 116  # chi square, 63 degrees: p > 0.00005
    assert len(np.unique(dealt)) > N - 5
    for kind in (*FINDERS, "entropy", "margin", "input_norm", "length"):
        goes_with = spearman(dealt.astype(np.float64), values(kind, outputs).astype(np.float64))
        assert abs(goes_with) < 0.07  # four standard errors


def test_one_bit_deals_anew() -> None:
    logits = np.zeros((2000, 3), np.float32) + np.float32(1)
    logits[:, 1] = (np.arange(2000, dtype=np.int32) + np.int32(0x3F800000)).view(np.float32)
    dealt = values("shuffled", Outputs(logits, logits))
    assert 0.45 < dealt.mean() < 0.55
    assert abs(np.corrcoef(dealt[:-1], dealt[1:])[0, 1]) < 0.1


def test_the_same_numbers_at_other_classes_are_dealt_another_number() -> None:
    logits = np.array([[1, 2, 3], [3, 2, 1], [2, 1, 3]], np.float32)
    assert len(set(values("shuffled", Outputs(logits, logits)).tolist())) == 3

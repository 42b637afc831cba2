"""Closed forms against PyTorch's autograd, and where that is no proof, finite differences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from scoring.kinds import load
from scoring.types import NO_LABEL, Floats, Ints, Outputs, Score

N, K, D, TAGS, WORDS = 6, 5, 7, 4, 3
Doubles = npt.NDArray[np.float64]


def values(kind: str, outputs: Outputs, **options: object) -> Doubles:
    return cast(Score, load("scoring.scores", kind, options))(outputs).astype(np.float64)


def array(tensor: Tensor) -> Floats:
    return cast(Floats, tensor.detach().numpy().astype(np.float32))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(seed: int, *shape: int) -> Tensor:
    return torch.randn(shape, generator=generator(seed), dtype=torch.float64)


def labels_of(seed: int, n: int = N, k: int = K) -> Tensor:
    return torch.randint(k, (n,), generator=generator(seed))


def ints(labels: Tensor) -> Ints:
    return cast(Ints, labels.numpy().astype(np.int32))


def layer(seed: int, inputs: int, outputs: int) -> torch.nn.Linear:
    made = torch.nn.Linear(inputs, outputs, dtype=torch.float64)
    with torch.no_grad():
        made.weight.copy_(drawn(seed, outputs, inputs))
        made.bias.copy_(drawn(seed + 1, outputs))
    return made


def square(loss: Tensor, parameters: Sequence[Tensor]) -> float:
    """||gradient of the loss by the parameters||^2."""
    return float(sum((g**2).sum() for g in torch.autograd.grad(loss, parameters)))


@pytest.mark.parametrize("seed", range(5))
def test_loss(seed: int) -> None:
    z, y = drawn(seed, N, K) * 3, labels_of(seed)
    probs = array(torch.softmax(z, 1))
    expected = cross_entropy(z, y, reduction="none").numpy() / 4
    found = values("loss", Outputs(array(z), probs, labels=ints(y)))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("seed", range(5))
def test_grand_of_the_last_layer(seed: int) -> None:
    head, h, y = layer(seed, D, K), drawn(seed + 9, N, D) * 2, labels_of(seed)
    z = head(h)
    outputs = Outputs(array(z), array(torch.softmax(z, 1)), array(h), labels=ints(y))
    expected = [
        np.sqrt(square(cross_entropy(head(h[i]), y[i]), list(head.parameters()))) for i in range(N)
    ]
    np.testing.assert_allclose(np.expm1(values("grand", outputs)), expected, rtol=1e-5)


@pytest.mark.parametrize("seed", range(5))
def test_grand_of_two_heads_adds_words_before_it_measures(seed: int) -> None:
    head, tagger = layer(seed, D, K), layer(seed + 2, D, TAGS)
    h, words = drawn(seed + 9, N, D), drawn(seed + 10, N, WORDS, D)
    y, tags = labels_of(seed), labels_of(seed + 1, N * WORDS, TAGS).reshape(N, WORDS)
    tags[0, 1] = tags[1, :] = -100  # what torch passes over: words without a tag
    z, slots = head(h), tagger(words)
    given = np.where(tags.numpy() < 0, NO_LABEL, tags.numpy()).astype(np.int32)
    outputs = Outputs(
        array(z),
        array(torch.softmax(z, 1)),
        array(h),
        slot_probs=tuple(array(torch.softmax(slots, 2))),
        labels=ints(y),
        slot_labels=tuple(given),
        slot_hidden=tuple(array(words)),
    )
    parameters = [*head.parameters(), *tagger.parameters()]
    expected = []
    for i in range(N):
        both = cross_entropy(head(h[i]), y[i])
        both = both + cross_entropy(tagger(words[i]), tags[i], reduction="sum")
        expected.append(np.sqrt(square(both, parameters)))
    found = np.expm1(values("joint_grand", outputs))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    apart = [square(cross_entropy(head(h[2]), y[2]), list(head.parameters()))]
    for t in range(WORDS):
        loss = cross_entropy(tagger(words[2, t]), tags[2, t])
        apart.append(square(loss, list(tagger.parameters())))
    assert abs(found[2] - np.sqrt(sum(apart))) > 1e-3  # a sum of norms is something else


@pytest.mark.parametrize("seed", range(5))
def test_tracin_of_the_last_layer(seed: int) -> None:
    heads = [layer(seed + 10 * c, D, K) for c in range(3)]
    rates, hidden, y = [4e-3, 2e-3, 1e-3], drawn(seed + 9, 3, N, D), labels_of(seed)
    logits = torch.stack([head(h) for head, h in zip(heads, hidden, strict=True)])
    probs = array(torch.softmax(logits, 2))
    outputs = Outputs(
        array(logits[-1]),
        probs[-1],
        labels=ints(y),
        history=probs,
        hidden_history=array(hidden),
    )
    expected = []
    for i in range(N):
        squares = [
            rate * square(cross_entropy(head(h[i]), y[i]), list(head.parameters()))
            for rate, head, h in zip(rates, heads, hidden, strict=True)
        ]
        expected.append(sum(squares) / sum(rates))
    found = np.expm1(2 * values("tracin", outputs, rates=rates))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class Encoder(torch.nn.Module):
    """A small model that is not linear in its embeddings, as VoG wants it."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.inner, self.head = layer(seed, D, 9), layer(seed + 3, 9, K)

    def forward(self, embedded: Tensor) -> Tensor:
        return cast(Tensor, self.head(torch.tanh(self.inner(embedded)).mean(0)))


@pytest.mark.parametrize("seed", range(3))
def test_vog_of_a_text_encoder(seed: int) -> None:
    encoders = [Encoder(seed + 20 * c) for c in range(5)]
    texts = [drawn(seed + i, 1 + i, D) for i in range(N)]  # embedded: one to six tokens
    y = labels_of(seed)
    gradients, expected = [], []
    for text, label in zip(texts, y, strict=True):
        saliency = []
        for encoder in encoders:
            embedded = text.clone().requires_grad_()
            encoder(embedded)[label].backward()
            assert embedded.grad is not None
            saliency.append(embedded.grad)
        stacked = torch.stack(saliency)
        gradients.append(array(stacked))
        expected.append(float(torch.sqrt(((stacked - stacked.mean(0)) ** 2).mean(0)).mean()))
    flat = np.full((N, K), 1 / K, np.float32)
    outputs = Outputs(flat, flat, labels=ints(y), gradients=tuple(gradients))
    np.testing.assert_allclose(np.exp(4 * values("vog", outputs) - 16), expected, rtol=1e-4)


def test_vog_of_a_linear_model_is_the_same_for_a_whole_class() -> None:
    """The trap in its docstring: the gradient is the class's own row of weights."""
    heads = [layer(c, D, K) for c in range(4)]
    of_class = torch.stack([head.weight for head in heads])  # (m, K, D)
    y = torch.tensor([0, 0, 3, 3, 3])
    gradients = tuple(array(of_class[:, [label], :]) for label in y)
    flat = np.full((5, K), 1 / K, np.float32)
    found = values("vog", Outputs(flat, flat, labels=ints(y), gradients=gradients))
    assert found[0] == found[1] != found[2] == found[3] == found[4]


def test_a_null_model_learns_the_shares_of_the_classes() -> None:
    """So PVI of a stream, with shares as prior, is PVI with a null model."""
    y = torch.tensor([0] * 50 + [1] * 30 + [2] * 15 + [3] * 4 + [4])
    bias = torch.zeros(K, dtype=torch.float64, requires_grad=True)  # an empty text: bias alone
    for _ in range(3000):
        (gradient,) = torch.autograd.grad(cross_entropy(bias.expand(len(y), K), y), bias)
        bias = (bias - 2 * gradient).detach().requires_grad_()
    null = array(torch.softmax(bias, 0))
    shares = (np.bincount(y.numpy()) / len(y)).astype(np.float32)
    probs = array(torch.softmax(drawn(3, len(y), K) * 2, 1))
    papers = values("pvi", Outputs(probs, probs, labels=ints(y), prior=null))
    streams = values("pvi", Outputs(probs, probs, labels=ints(y), prior=shares))
    np.testing.assert_allclose(papers, streams, atol=1e-3)
    bits = np.log2(probs[np.arange(len(y)), y]) - np.log2(shares[y])
    np.testing.assert_allclose(16 - 4 * streams, bits, atol=1e-5)


def test_grand_by_finite_differences() -> None:
    """Without autograd: move each weight of the layer and see how the loss moves."""
    r = np.random.default_rng(4)
    weights, h, label = r.normal(size=(K, D + 1)), np.append(r.normal(size=D), 1.0), 2

    def loss(w: Doubles) -> float:
        z = w @ h
        return float(np.log(np.exp(z).sum()) - z[label])

    gradient = np.empty_like(weights)
    for place in np.ndindex(weights.shape):
        step = np.zeros_like(weights)
        step[place] = 1e-6
        gradient[place] = (loss(weights + step) - loss(weights - step)) / 2e-6
    z = weights @ h
    probs = (np.exp(z) / np.exp(z).sum()).astype(np.float32)[None]
    outputs = Outputs(
        probs, probs, h[None, :D].astype(np.float32), labels=np.array([label], np.int32)
    )
    found = np.expm1(values("grand", outputs))[0]
    assert found == pytest.approx(np.linalg.norm(gradient), rel=1e-5)

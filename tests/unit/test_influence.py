"""Influence through the last layer: against autograd, a direct solution, and rows left out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn.functional import cross_entropy

from scoring.correlation import spearman
from scoring.influence import (
    NotSolved,
    effort,
    hessian_product,
    influence,
    mean_gradient,
    overall,
    solve,
)

K, D, N = 3, 4, 120
Doubles = npt.NDArray[np.float64]


def world(seed: int, n: int = N) -> tuple[Doubles, npt.NDArray[np.int32]]:
    """Three clouds that overlap, and one label in ten is another's."""
    r = np.random.default_rng(seed)
    labels = r.integers(0, K, n)
    centres = np.random.default_rng(99).normal(size=(K, D)) * 1.5
    hidden = centres[labels] + r.normal(size=(n, D))
    flipped = r.random(n) < 0.1
    given = np.where(flipped, (labels + 1) % K, labels)
    return hidden, given.astype(np.int32)


def softmax(weights: Doubles, hidden: Doubles) -> Doubles:
    z = np.column_stack([hidden, np.ones(len(hidden))]) @ weights.T
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    probs: Doubles = powers / powers.sum(axis=1, keepdims=True)
    return probs


def loss(weights: Doubles, hidden: Doubles, labels: npt.NDArray[np.int32]) -> float:
    probs = softmax(weights, hidden)
    return float(-np.log(probs[np.arange(len(labels)), labels]).mean())


def fit(
    hidden: Doubles, labels: npt.NDArray[np.int32], damping: float, start: Doubles | None = None
) -> Doubles:
    """The minimum of mean loss + damping / 2 ||w||^2, by Newton's method with the parts tested."""
    weights = np.zeros((K, D + 1)) if start is None else start
    gradient = np.ones_like(weights)
    for _ in range(30):
        probs = softmax(weights, hidden)
        gradient = mean_gradient(probs, hidden, labels) + damping * weights
        if np.abs(gradient).max() < 1e-12:
            break
        weights = weights - solve(gradient, probs, hidden, damping, tolerance=1e-12)
    assert np.abs(gradient).max() < 1e-10
    return weights


def test_gradient_and_hessian_are_those_of_autograd() -> None:
    hidden, labels = world(0)
    r = np.random.default_rng(1)
    weights, direction = r.normal(size=(K, D + 1)), r.normal(size=(K, D + 1))
    inputs = torch.tensor(np.column_stack([hidden, np.ones(N)]))
    targets = torch.tensor(labels, dtype=torch.int64)

    def mean_loss(w: torch.Tensor) -> torch.Tensor:
        return cross_entropy(inputs @ w.T, targets)

    parameter = torch.tensor(weights, requires_grad=True)
    (expected,) = torch.autograd.grad(mean_loss(parameter), parameter)
    probs = softmax(weights, hidden)
    np.testing.assert_allclose(mean_gradient(probs, hidden, labels), expected.numpy(), atol=1e-12)
    _, product = torch.autograd.functional.hvp(  # type: ignore[no-untyped-call]
        mean_loss, parameter, torch.tensor(direction)
    )
    found = hessian_product(direction, probs, hidden, 0.0)
    np.testing.assert_allclose(found, product.detach().numpy(), atol=1e-12)
    damped = hessian_product(direction, probs, hidden, 0.5)
    np.testing.assert_allclose(damped, found + 0.5 * direction, atol=1e-12)


@pytest.mark.parametrize("damping", [1e-3, 0.1])
def test_conjugate_gradients_solve_what_a_direct_method_solves(damping: float) -> None:
    hidden, labels = world(2)
    probs = softmax(np.random.default_rng(3).normal(size=(K, D + 1)), hidden)
    gradient = mean_gradient(probs, hidden, labels)
    size = gradient.size
    columns = [
        hessian_product(unit.reshape(K, D + 1), probs, hidden, damping).ravel()
        for unit in np.eye(size)
    ]
    direct = np.linalg.solve(np.stack(columns, axis=1), gradient.ravel()).reshape(K, D + 1)
    np.testing.assert_allclose(solve(gradient, probs, hidden, damping), direct, rtol=1e-5)


def test_what_cannot_be_solved_is_said() -> None:
    hidden, labels = world(2)
    probs = softmax(np.zeros((K, D + 1)), hidden)
    gradient = mean_gradient(probs, hidden, labels)
    with pytest.raises(ValueError, match="must be above 0"):
        solve(gradient, probs, hidden, 0.0)
    with pytest.raises(NotSolved, match="after 2 steps"):
        solve(gradient, probs, hidden, 1e-6, steps_max=2)
    assert not solve(np.zeros_like(gradient), probs, hidden).any()


@pytest.mark.parametrize("seed", [5, 6, 7])
def test_influence_foretells_what_leaving_a_row_out_does(seed: int) -> None:
    rows, damping = 500, 0.05
    hidden, labels = world(seed, rows)
    trusted, truth = world(seed + 50, 400)
    weights = fit(hidden, labels, damping)
    probs = softmax(weights, hidden)
    gradient = mean_gradient(softmax(weights, trusted), trusted, truth)
    solved = solve(gradient, probs, hidden, damping)
    left_out = 120
    foretold = influence(probs, hidden, labels, solved)[:left_out] / rows
    base, happened = loss(weights, trusted, truth), np.empty(left_out)
    for row in range(left_out):
        rest = np.delete(np.arange(rows), row)
        # the same total weight of the penalty: only the row's own loss is taken away
        other = fit(hidden[rest], labels[rest], damping * rows / (rows - 1), weights)
        happened[row] = loss(other, trusted, truth) - base
    assert np.corrcoef(foretold, happened)[0, 1] > 0.99
    assert spearman(foretold, happened) > 0.99
    assert 0.9 < np.polyfit(foretold, happened, 1)[0] < 1.1  # the size too, not the order alone
    # influence > 0: without the row the trusted loss is higher
    assert ((foretold > 0) == (happened > 0)).mean() > 0.95


def test_effort_is_the_length_of_the_gradient_of_one_row() -> None:
    hidden, labels = world(7, 9)
    probs = softmax(np.random.default_rng(8).normal(size=(K, D + 1)), hidden)
    efforts = effort(probs, hidden, labels)
    for row in range(9):
        one = slice(row, row + 1)
        gradient = mean_gradient(probs[one], hidden[one], labels[one])
        assert efforts[row] == pytest.approx(np.linalg.norm(gradient))


def test_both_are_brought_to_one_scale_and_added() -> None:
    influences, efforts = np.array([-2.0, 0.0, 2.0]), np.array([10.0, 5.0, 5.0])
    assert overall(influences, efforts, 0.5).tolist() == [0.5, 0.5, 1.0]
    assert overall(influences, np.full(3, 7.0), 0.5).tolist() == [0.0, 0.5, 1.0]


@pytest.mark.parametrize("label", [-2, -1, K])
def test_a_label_outside_the_classes_is_refused(label: int) -> None:
    hidden, labels = world(7, 9)
    labels[4] = label
    with pytest.raises(ValueError, match="among the classes"):
        effort(softmax(np.zeros((K, D + 1)), hidden), hidden, labels)

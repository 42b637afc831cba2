"""Influence of a row on a trusted loss, through the last layer: what would be lost without it.

Shape:      hidden (n, d), probs (n, k), labels (n,) -> (n,) float64
Direction:  influence > 0: without the row the trusted loss would be higher, so keep it. < 0: the
            row works against what is trusted. Removing one of n rows moves the loss by
            influence / n, to first order.
Cost:       one solution per checkpoint by conjugate gradients, each step two (n, k) x (k, d)
            products; then a product per row. No backward pass.
Source:     Koh and Liang 2017 (arXiv 1703.04730); DEALRec, Lin et al. 2024 (arXiv 2401.17197):
            I(s) = g(s)^T H^-1 g, added to the effort ||grad loss(s)||_2. H is symmetric, so
            H^-1 g is computed once for all rows. They recur on single rows with random draws; for
            a softmax layer H is known in closed form,
            H = 1/n sum_i (diag(p_i) - p_i p_i^T) x (h_i h_i^T) + damping,
            and conjugate gradients need no draw and no scale.
Traps:      - g must be the gradient on rows that are TRUSTED and were not trained on. Of the
              training rows it is 0 at a minimum, and every influence with it.
            - Products of matrices round by CPU. This runs where a checkpoint is published, once;
              windows read what was published, and no replica computes it again.
            - The bias is one more input, of value 1: all tables of weights are (k, d + 1).
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from scoring.types import Ints

Doubles = npt.NDArray[np.float64]


class NotSolved(ArithmeticError):
    """Conjugate gradients did not come close enough: raise damping, or the number of steps."""


def mean_gradient(probs: Doubles, hidden: Doubles, labels: Ints) -> Doubles:
    """(k, d + 1): gradient of the mean cross-entropy of these rows by the layer's weights.

    Of trusted rows: what `solve` takes. ValueError for a label outside the classes.
    """
    gradient: Doubles = _errors(probs, labels).T @ _inputs(hidden) / len(probs)
    return gradient


def hessian_product(weights: Doubles, probs: Doubles, hidden: Doubles, damping: float) -> Doubles:
    """(k, d + 1) -> (k, d + 1): H times `weights`, with `damping` on the diagonal."""
    inputs = _inputs(hidden)
    moved = inputs @ weights.T
    moved = probs * (moved - (probs * moved).sum(axis=1, keepdims=True))
    product: Doubles = moved.T @ inputs / len(probs) + damping * weights
    return product


def solve(
    gradient: Doubles,
    probs: Doubles,
    hidden: Doubles,
    damping: float = 0.01,
    tolerance: float = 1e-8,
    steps_max: int = 1000,
) -> Doubles:
    """(k, d + 1): H^-1 gradient, H over these (training) rows, by conjugate gradients.

    `tolerance` bounds the residual relative to the gradient. Raises ValueError for damping <= 0,
    without which H has no inverse (softmax does not see a constant), and NotSolved.
    """
    if damping <= 0:
        raise ValueError(f"damping {damping:g}: must be above 0, or H has no inverse")
    solution = np.zeros_like(gradient)
    residual = gradient.copy()
    direction = gradient.copy()
    square = float((residual * residual).sum())
    enough = tolerance * tolerance * square
    for _ in range(steps_max):
        if square <= enough:
            return solution
        product = hessian_product(direction, probs, hidden, damping)
        step = square / float((direction * product).sum())
        solution += step * direction
        residual -= step * product
        before, square = square, float((residual * residual).sum())
        direction = residual + (square / before) * direction
    raise NotSolved(f"residual {math.sqrt(square):.1e} after {steps_max} steps: raise damping")


def influence(probs: Doubles, hidden: Doubles, labels: Ints, solved: Doubles) -> Doubles:
    """(n,) g(s)^T H^-1 g of each row, with `solved` from `solve`: one product per row."""
    values: Doubles = (_errors(probs, labels) * (_inputs(hidden) @ solved.T)).sum(axis=1)
    return values


def effort(probs: Doubles, hidden: Doubles, labels: Ints) -> Doubles:
    """(n,) ||grad loss||_2 of the last layer, as score `grand` before its logarithm."""
    squares = np.square(_errors(probs, labels)).sum(axis=1)
    lengths: Doubles = np.sqrt(squares * np.square(_inputs(hidden)).sum(axis=1))
    return lengths


def overall(influences: Doubles, efforts: Doubles, weight: float) -> Doubles:
    """(n,) in [0, 1 + weight]: both brought to [0, 1] by their extremes, then added.

    `weight` of the effort: DEALRec's lambda, 0.3 to 1 in its experiments.
    """
    return _unit(influences) + weight * _unit(efforts)


def _unit(values: Doubles) -> Doubles:
    """(values - min) / (max - min); 0 where all are equal."""
    low, span = values.min(), np.ptp(values)
    return (values - low) / span if span > 0 else np.zeros_like(values)


def _errors(probs: Doubles, labels: Ints) -> Doubles:
    """(n, k) p - y."""
    if ((labels < 0) | (labels >= probs.shape[1])).any():
        raise ValueError("influence needs labels that are among the classes")
    errors = np.array(probs, np.float64)
    errors[np.arange(len(errors)), labels] -= 1.0
    return errors


def _inputs(hidden: Doubles) -> Doubles:
    """(n, d + 1): hidden and a 1."""
    return np.column_stack([np.asarray(hidden, np.float64), np.ones(len(hidden))])

"""Largest probabilities in fixed point, and what a late label makes of them."""

from __future__ import annotations

from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.candidates import NO_CLASS, expand, plausibility_of, recall, top_probabilities
from scoring.grade import grade
from scoring.kinds import load
from scoring.types import GRID, MISSING, NO_LABEL, UNKNOWN_LABEL, Floats, Outputs, Score


def probabilities(seed: int, n: int, k: int, sharpness: float = 0.3) -> Floats:
    return np.random.default_rng(seed).dirichlet(np.full(k, sharpness), n).astype(np.float32)


def test_by_hand() -> None:
    probs = np.array([[0.125, 0.5, 0.125, 0.25], [0, 0, 0, 1]], np.float32)
    classes, fixed = top_probabilities(probs, np.array([1, 0, 0]), keep=3)
    assert classes.tolist() == [[3, 0, 1], [1, 3, 0], [1, 3, 0]]  # ties: the smaller class
    # halves to even: 32767.5 -> 32768, 16383.75 -> 16384, 8191.875 -> 8192
    assert fixed.tolist() == [[65535, 0, 0], [32768, 16384, 8192], [32768, 16384, 8192]]
    assert classes.dtype == fixed.dtype == np.uint16


def test_all_rows_when_none_are_chosen() -> None:
    probs = probabilities(1, 4, 30)
    for given_, chosen in zip(
        top_probabilities(probs), top_probabilities(probs, np.arange(4)), strict=True
    ):
        np.testing.assert_array_equal(given_, chosen)
        assert given_.shape == (4, 16)


def test_few_classes_are_filled_up() -> None:
    classes, fixed = top_probabilities(np.array([[0.25, 0.75]], np.float32), np.array([0]), keep=4)
    assert classes.tolist() == [[1, 0, NO_CLASS, NO_CLASS]]
    assert fixed.tolist() == [[49151, 16384, 0, 0]]
    np.testing.assert_allclose(expand(classes, fixed, 2), [[0.25, 0.75]], atol=1e-5)


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 90), sharpness=st.floats(0.05, 50))
def test_order_and_mass(seed: int, k: int, sharpness: float) -> None:
    probs = probabilities(seed, 5, k, sharpness)
    classes, fixed = top_probabilities(probs)
    rounded = np.rint(probs * np.float32(65535)).astype(int)
    for row in range(5):
        # an independent way to the same order: a stable sort of the negated values
        order = np.argsort(-rounded[row], kind="stable")[:16]
        assert classes[row][: len(order)].tolist() == order.tolist()
        assert fixed[row][: len(order)].tolist() == rounded[row][order].tolist()
    back = expand(classes, fixed, k)
    assert back.dtype == np.float32
    np.testing.assert_allclose(back.sum(axis=1), 1, atol=2e-6)
    if k <= 16:
        np.testing.assert_allclose(back, probs, atol=3e-4)
    for row in range(5):
        outside = np.setdiff1d(np.arange(k), classes[row])
        assert len(set(back[row][outside].tolist())) <= 1  # spread evenly


def test_rounding_up_never_makes_the_rest_negative() -> None:
    probs = np.full((1, 17), 1 / 17 + 5e-6, np.float32)  # a row a little above 1
    classes, fixed = top_probabilities(probs, keep=16)
    fixed = (fixed + np.uint16(300)).astype(np.uint16)
    assert int(fixed.sum(dtype=int)) > 65535
    back = expand(classes, fixed, 17)
    assert back[0, 16] == 0
    np.testing.assert_allclose(back.sum(), 1, atol=1e-6)


def test_a_row_of_another_checkpoint_is_refused() -> None:
    classes, fixed = top_probabilities(probabilities(0, 1, 40), keep=40)
    with pytest.raises(ValueError, match="not among 39 classes"):
        expand(classes, fixed, 39)


def test_late_plausibility_by_hand() -> None:
    probs = np.array([[0.5, 0.25, 0.125, 0.0625, 0.0625]], np.float32)
    classes, fixed = (column[0] for column in top_probabilities(probs, keep=3))
    # (p_y + 1/32) / (p_y + max other + 1/16) * 4096
    assert plausibility_of(classes, fixed, 5, 0) == 2678  # 17/26
    assert plausibility_of(classes, fixed, 5, 1) == 1418  # 9/26
    assert plausibility_of(classes, fixed, 5, 4) == 614  # rest / 2 = 1/16 was left out: 3/20
    assert plausibility_of(classes, fixed, 5, NO_LABEL) == MISSING
    assert plausibility_of(classes, fixed, 5, UNKNOWN_LABEL) == MISSING


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 200))
def test_a_late_label_is_judged_as_an_early_one_would_be(seed: int, k: int) -> None:
    probs = probabilities(seed, 20, k)
    classes, fixed = top_probabilities(probs)
    place = np.random.default_rng(seed).integers(0, min(4, k), 20)
    labels = classes[np.arange(20), place].astype(np.int32)
    scores = [cast(Score, load("scoring.scores", "el2n", {}))]
    late = grade(recall(classes, fixed, k, labels), scores)
    early = grade(Outputs(probs, probs, labels=labels), scores)
    gap = np.abs(late.plausibility.astype(int) - early.plausibility)
    # two roundings to 1/65535, divided by p_y + rival; and one to the grid
    assert (gap <= 1 + GRID / 65_535 / probs.max(axis=1)).all()
    assert np.abs(late.scores["el2n"].astype(int) - early.scores["el2n"]).max() <= 40
    for row in range(20):
        one = plausibility_of(classes[row], fixed[row], k, int(labels[row]))
        assert one == late.plausibility[row]

"""One number makes probabilities honest: against hand cases, and where the truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize

from scoring.models.base import softmax
from scoring.temperature import ONE, ROWS_MIN, calibration_error, fit, tempered
from scoring.types import GRID, UNKNOWN_LABEL, Floats, Ints, Outputs


def world(seed: int, rows: int, k: int, sharpness: float) -> tuple[Floats, Ints]:
    """Logits that are `sharpness` times those that the labels were drawn by."""
    r = np.random.default_rng(seed)
    honest = (r.normal(size=(rows, k)) * 2).astype(np.float32)
    probs = softmax(honest).astype(np.float64)
    labels = (r.random(rows)[:, None] > probs.cumsum(axis=1)).sum(axis=1).clip(0, k - 1)
    return honest * np.float32(sharpness), labels.astype(np.int32)


@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_the_temperature_that_made_the_labels_is_found(sharpness: float) -> None:
    logits, labels = world(1, 6000, 7, sharpness)
    found = fit(logits, labels)
    assert found is not None
    assert found.temperature / GRID == pytest.approx(sharpness, rel=0.06)
    assert found.after < 0.02
    assert found.rows == 6000
    if sharpness != 1.0:
        assert found.after < found.before / 3


@given(seed=st.integers(0, 2**32 - 1), sharpness=st.floats(0.2, 6))
def test_it_is_the_minimum_of_the_cross_entropy(seed: int, sharpness: float) -> None:
    logits, labels = world(seed, 120, 4, sharpness)

    def loss(temperature: float) -> float:
        scaled = logits.astype(np.float64) / temperature
        scaled -= scaled.max(axis=1, keepdims=True)
        logs = scaled - np.log(np.exp(scaled).sum(axis=1, keepdims=True))
        return -float(logs[np.arange(len(labels)), labels].sum())

    found = fit(logits, labels)
    assert found is not None
    best = optimize.minimize_scalar(loss, bounds=(0.05, 20), method="bounded").fun
    assert loss(found.temperature / GRID) <= best + 1e-4 * len(labels)


def test_calibration_error_by_hand() -> None:
    # 0.9 in the bin (13/15, 14/15]: 3 of 4 right; 0.5 in (7/15, 8/15]: none of one
    confidence = np.array([0.9, 0.9, 0.9, 0.9, 0.5])
    right = np.array([True, True, True, False, False])
    expected = (4 / 5) * abs(0.9 - 0.75) + (1 / 5) * 0.5
    assert calibration_error(confidence, right) == pytest.approx(expected)
    assert calibration_error(np.array([1.0, 1.0]), np.array([True, True])) == 0
    assert calibration_error(np.array([]), np.array([], bool)) == 0
    # the right end belongs to the lower bin: both lie in (2/15, 3/15]
    assert 0.2 * 15 == 3
    edge = calibration_error(np.array([0.2, 0.19]), np.array([True, False]))
    assert edge == pytest.approx(abs(0.39 - 1) / 2)


def test_unknown_labels_say_nothing_and_few_rows_say_too_little() -> None:
    logits, labels = world(3, ROWS_MIN + 20, 5, 2.0)
    known = fit(logits[:ROWS_MIN], labels[:ROWS_MIN])
    labels[ROWS_MIN:] = UNKNOWN_LABEL
    assert fit(logits, labels) == known
    labels[0] = UNKNOWN_LABEL
    assert fit(logits, labels) is None


def test_no_answer_changes_and_one_changes_no_bit() -> None:
    logits, _ = world(4, 50, 9, 2.0)
    outputs = Outputs(logits, softmax(logits), hidden=logits)
    assert tempered(outputs, ONE) is outputs
    warm = tempered(outputs, 3 * GRID)
    assert warm.probs.argmax(axis=1).tolist() == outputs.probs.argmax(axis=1).tolist()
    assert warm.hidden is outputs.hidden
    np.testing.assert_allclose(warm.logits, logits / 3, rtol=1e-6)
    np.testing.assert_array_equal(warm.probs, softmax(warm.logits))
    alone = tempered(Outputs(logits[7:8], outputs.probs[7:8]), 3 * GRID)
    assert alone.probs.tobytes() == warm.probs[7:8].tobytes()
    assert math.isclose(float(warm.probs[0].sum()), 1, abs_tol=1e-6)

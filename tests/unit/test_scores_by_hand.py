"""Each score on numbers that a reader can check with a pencil, and back from its scale."""

from __future__ import annotations

import math
from typing import Any, cast

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.kinds import load
from scoring.scores.scale import LARGEST
from scoring.types import NO_LABEL, UNKNOWN_LABEL, Floats, Outputs, Score

ROOT2 = math.sqrt(2)


def score(kind: str, **options: object) -> Score:
    return cast(Score, load("scoring.scores", kind, options))


def table(rows: object) -> Floats:
    return np.array(rows, np.float32)


def of(
    kind: str, probs: list[float], label: int = 0, options: object = None, **more: object
) -> float:
    """The score of one row; `more` are columns of Outputs."""
    p = table([probs])
    columns = cast(dict[str, Any], more)
    outputs = Outputs(np.log(p + 1e-30), p, labels=np.array([label], np.int32), **columns)
    return float(score(kind, **cast(dict[str, object], options or {}))(outputs)[0])


def over(kind: str, history: list[list[float]], label: int = 0, **options: object) -> float:
    """The score of one row under several checkpoints, oldest first."""
    return of(kind, history[-1], label, options, history=table(history)[:, None, :])


def test_least_confidence() -> None:
    assert of("least_confidence", [0.25, 0.5, 0.25]) == 0.5
    assert of("least_confidence", [0.0, 1.0]) == 0


def test_loss_in_units_of_four_nats() -> None:
    assert of("loss", [0.5, 0.5]) == pytest.approx(math.log(2) / 4)
    assert of("loss", [math.exp(-8), 1 - math.exp(-8)]) == pytest.approx(2)
    assert of("loss", [0.0, 1.0]) == of("loss", [0.5, 0.5], UNKNOWN_LABEL) == LARGEST


def test_confident_learning() -> None:
    assert of("self_confidence", [0.25, 0.75]) == 0.75
    assert of("self_confidence", [0.25, 0.75], UNKNOWN_LABEL) == 1
    # (p_y - max other + 1) / 2 is (.25 - .5 + 1) / 2 = .375
    assert of("normalised_margin", [0.25, 0.5, 0.25], 0) == 0.625
    assert of("normalised_margin", [0.25, 0.5, 0.25], 1) == 0.375
    assert of("normalised_margin", [0.25, 0.5, 0.25], UNKNOWN_LABEL) == 0.75
    assert of("normalised_margin", [1.0]) == 0


def test_pvi_in_bits() -> None:
    prior = table([0.125, 0.875])
    # log2 p - log2 prior: 3 bits for what the text tells of a rare label
    assert of("pvi", [1.0, 0.0], 0, prior=prior) == pytest.approx((16 - 3) / 4)
    assert of("pvi", [0.125, 0.875], 0, prior=prior) == pytest.approx(4)  # it tells nothing
    assert of("pvi", [2**-7, 1 - 2**-7], 0, prior=prior) == pytest.approx((16 + 4) / 4)
    assert of("pvi", [2**-30, 1.0], 0, prior=prior) == LARGEST
    assert of("pvi", [1.0, 0.0], UNKNOWN_LABEL, prior=prior) == LARGEST


@pytest.mark.parametrize("prior", [[0.5, 0.25, 0.25], [0.0, 1.0], [math.nan, 1.0], [-1.0, 2.0]])
def test_pvi_refuses_a_prior_that_is_none(prior: list[float]) -> None:
    with pytest.raises(ValueError, match="prior"):
        of("pvi", [0.5, 0.5], prior=table(prior))


def test_rho_is_what_could_still_be_learnt() -> None:
    # loss 3 ln 2 now, ln 2 under the reference: 2 ln 2 to gain
    learnable = of("rho_loss", [0.125, 0.875], reference=table([[0.5, 0.5]]))
    assert learnable == pytest.approx(4 + math.log(4) / 4)
    noise = of("rho_loss", [0.125, 0.875], reference=table([[0.125, 0.875]]))
    assert noise == pytest.approx(4)
    assert of("rho_loss", [0.5, 0.5], reference=table([[0.125, 0.875]])) < 4 < learnable
    assert of("rho_loss", [0.5, 0.5], UNKNOWN_LABEL, reference=table([[0.5, 0.5]])) == 4
    assert of("rho_loss", [0.0, 1.0], reference=table([[1.0, 0.0]])) == LARGEST
    assert of("rho_loss", [1.0, 0.0], reference=table([[0.0, 1.0]])) == 0
    with pytest.raises(ValueError, match="reference is"):
        of("rho_loss", [0.5, 0.5], reference=table([[0.5, 0.25, 0.25]]))


def test_el2n_of_several_runs_is_the_mean_of_lengths() -> None:
    # sqrt 2, 0, sqrt(.5): not the root of the mean of 2, 0 and .5
    history = [[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]
    assert over("el2n_mean", history) == pytest.approx((ROOT2 + 0 + math.sqrt(0.5)) / 3)


def test_el2n_smoothed() -> None:
    # mu = .2 * sqrt 2; two rounds deviate by their distance over sqrt 2, whatever alpha is
    history = [[0.0, 1.0], [1.0, 0.0]]
    assert over("el2n_smoothed", history) == pytest.approx(0.2 * ROOT2 + 1)
    assert over("el2n_smoothed", history, c=0.0) == pytest.approx(0.2 * ROOT2)
    assert over("el2n_smoothed", history, alpha=0.5, c=2.0) == pytest.approx(0.5 * ROOT2 + 2)
    assert over("el2n_smoothed", history, alpha=1.0) == 0  # the newest round alone
    assert over("el2n_smoothed", history[:1]) == pytest.approx(ROOT2)  # one round: no deviation


@given(
    seed=st.integers(0, 2**32 - 1),
    m=st.integers(2, 9),
    alpha=st.floats(0.05, 0.99),
    c=st.floats(0, 6),
)
def test_el2n_smoothed_is_what_pandas_computes(seed: int, m: int, alpha: float, c: float) -> None:
    history = np.random.default_rng(seed).dirichlet(np.full(3, 0.3), m)
    el2n = pd.Series(np.linalg.norm(history - np.array([1, 0, 0]), axis=1))
    window = el2n.ewm(alpha=alpha, adjust=False)
    expected = float((window.mean() + c * window.std()).iloc[-1])
    found = over("el2n_smoothed", history.tolist(), alpha=alpha, c=c)
    assert found == pytest.approx(expected, abs=2e-5)


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("11111", 0),
        ("00111", 0),  # learnt late, never forgotten
        ("01001", 1 / 5),
        ("10101", 2 / 5),
        ("10100", 2 / 5),
        ("00000", 1),  # never learnt
        ("1", 0),
        ("0", 1),
    ],
)
def test_forgetting(right: str, expected: float) -> None:
    history = [[0.75, 0.25] if mark == "1" else [0.25, 0.75] for mark in right]
    assert over("forgetting", history) == np.float32(expected)
    assert over("forgetting", history, UNKNOWN_LABEL) == 1


def test_aum_is_the_mean_margin_of_logits() -> None:
    # ln .5 - ln .25 = ln 2, then ln .25 - ln .5 = -ln 2, then ln .8 - ln .1 = ln 8
    history = [[0.5, 0.25, 0.25], [0.25, 0.5, 0.25], [0.8, 0.1, 0.1]]
    assert over("aum", history) == pytest.approx((32 - math.log(8) / 3) / 8)
    assert over("aum", history[:1], 1) == pytest.approx((32 + math.log(2)) / 8)
    assert over("aum", [[1.0, 0.0]]) == 0
    assert over("aum", [[1.0, 0.0]], 1) == LARGEST


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(2, 30))
def test_aum_needs_no_logits(seed: int, k: int) -> None:
    z = np.random.default_rng(seed).normal(size=(4, k)) * 4
    margin = (z[:, 0] - z[:, 1:].max(axis=1)).mean()
    powers = np.exp(z - z.max(axis=1, keepdims=True))
    history = powers / powers.sum(axis=1, keepdims=True)
    expected = np.clip((32 - margin) / 8, 0, LARGEST)
    assert over("aum", history.tolist()) == pytest.approx(expected, abs=1e-5)


def test_joint_el2n() -> None:
    slots = {
        # the second word has no tag; of the third nobody knows the tag
        "slot_probs": (table([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]]),),
        "slot_labels": (np.array([0, NO_LABEL, UNKNOWN_LABEL], np.int32),),
    }
    # lengths: intent sqrt 2, words sqrt .5 and sqrt 2
    norm = of("joint_el2n", [0.0, 1.0], 0, {"reduce": "norm"}, **slots)
    assert norm == pytest.approx(math.log(1 + math.sqrt(2 + 0.5 + 2)))
    total = of("joint_el2n", [0.0, 1.0], 0, {"reduce": "sum"}, **slots)
    assert total == pytest.approx(math.log(1 + 2 * ROOT2 + math.sqrt(0.5)))
    mean = of("joint_el2n", [0.0, 1.0], 0, **slots)
    assert mean == pytest.approx((ROOT2 + (ROOT2 + math.sqrt(0.5)) / 2) / 2)
    bare = {"slot_probs": slots["slot_probs"], "slot_labels": (np.full(3, NO_LABEL, np.int32),)}
    assert of("joint_el2n", [0.5, 0.5], 0, **bare) == pytest.approx(math.sqrt(0.5))
    with pytest.raises(ValueError, match="a slot label for each word"):
        of("joint_el2n", [0.5, 0.5], 0, **(slots | {"slot_labels": (np.zeros(2, np.int32),)}))


def test_grand_is_el2n_times_what_the_layer_read() -> None:
    value = of("grand", [0.0, 1.0], 0, hidden=table([[2.0, 2.0, 4.0]]))  # 1 + ||h||^2 = 25
    assert value == pytest.approx(math.log(1 + ROOT2 * 5))


def test_joint_grand_of_a_tag_that_nobody_knows() -> None:
    slots = {
        "hidden": table([[0.0]]),
        "slot_probs": (table([[1.0, 0.0], [0.5, 0.5]]),),
        "slot_hidden": (table([[2.0], [9.0]]),),
        "slot_labels": (np.array([UNKNOWN_LABEL, NO_LABEL], np.int32),),
    }
    # the intent is right; the first word errs by (1, 0) and by 1 at a tag outside: 2 * (4 + 1)
    value = of("joint_grand", [1.0, 0.0], 0, **slots)
    assert value == pytest.approx(math.log(1 + math.sqrt(10)))


def test_tracin_weighs_by_relative_learning_rate() -> None:
    more = {"history": table([[[0.0, 1.0]], [[1.0, 0.0]]]), "hidden_history": table([[[2]], [[9]]])}
    # ||p - y||^2 (||h||^2 + 1) is 2 * 5 under the first and 0 under the second
    assert of("tracin", [1.0, 0.0], 0, **more) == pytest.approx(math.log(1 + 10 / 2) / 2)
    weighed = of("tracin", [1.0, 0.0], 0, {"rates": [3e-5, 1e-5]}, **more)
    assert weighed == pytest.approx(math.log(1 + 10 * 0.75) / 2)
    with pytest.raises(ValueError, match="3 learning rates and 2 hidden layers for 2"):
        of("tracin", [1.0, 0.0], 0, {"rates": [1.0, 1.0, 1.0]}, **more)


def test_grand_of_a_layer_is_the_length_of_its_gradient() -> None:
    for length, label in ((0.0, 0), (3.0, 1), (2.5, UNKNOWN_LABEL)):
        found = of("grand_layer", [0.5, 0.5], label, layer_gradient=np.array([length], np.float32))
        assert found == pytest.approx(math.log(1 + length))
    assert of("grand_layer", [1.0], layer_gradient=np.array([1e6], np.float32)) == LARGEST


def test_vog_is_a_mean_of_deviations() -> None:
    # token 1: 0, 0, 2, 2 deviates by 1; token 2: 0, 0, 6, 6 by 3; the mean variance would be 5
    gradients = table([[[0.0], [0.0]], [[0.0], [0.0]], [[2.0], [6.0]], [[2.0], [6.0]]])
    assert of("vog", [0.5, 0.5], gradients=(gradients,)) == pytest.approx((16 + math.log(2)) / 4)
    assert of("vog", [0.5, 0.5], gradients=(np.zeros_like(gradients),)) == 0
    assert of("vog", [0.5, 0.5], UNKNOWN_LABEL, gradients=(gradients,)) == 0
    assert of("vog", [0.5, 0.5], gradients=(gradients[:, :0],)) == 0  # no token
    with pytest.raises(ValueError, match="4 checkpoints or more, not 3"):
        of("vog", [0.5, 0.5], gradients=(gradients[:3],))


def test_the_intent_brings_the_entropy_of_its_trails() -> None:
    trails = table([0.0, 2.0, 6.0])
    values = [of("slot_trail_entropy", [1.0, 0, 0], y, trails=trails) for y in (0, 1, 2)]
    assert values == [0, 0.5, 1.5]
    assert of("slot_trail_entropy", [1.0, 0, 0], UNKNOWN_LABEL, trails=trails) == 1.5
    with pytest.raises(ValueError, match="entropies of 3 classes, not 2"):
        of("slot_trail_entropy", [1.0, 0.0], trails=trails)


def test_null_controls() -> None:
    assert of("input_norm", [1.0], hidden=table([[3.0, 4.0]])) == pytest.approx(math.log(6))
    assert of("length", [1.0], lengths=np.array([9], np.int32)) == pytest.approx(math.log(10))

"""What every policy keeps: integers in range, a reason for each refusal, no look at neighbours."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.kinds import UnknownKind, load, names
from scoring.types import CODES, GRID, MISSING, Policy, Reason, Scored, Terms

KINDS = names("scoring.policies")
WEIGHING = [kind for kind in KINDS if kind != "uniform"]
TOP = {"entropy": GRID, "margin": GRID, "el2n": 5793}  # grid step that each score ends at
NO_LABEL, SUSPECT = CODES[Reason.NO_LABEL], CODES[Reason.SUSPECT]


class Stated(Policy, Protocol):
    reads_label: bool


def build(kind: str, **options: object) -> Stated:
    return cast(Stated, load("scoring.policies", kind, options))


def scored(seed: int = 0, n: int = 50, **columns: object) -> Scored:
    """A batch of random grid values; rows without a label have neither EL2N nor plausibility."""
    r = np.random.default_rng(seed)
    labels = r.integers(-1, 8, n).astype(np.int32)
    bare = labels < 0
    drawn: dict[str, object] = {name: r.integers(0, top + 1, n) for name, top in TOP.items()}
    drawn["el2n"] = np.where(bare, MISSING, r.integers(0, TOP["el2n"] + 1, n))
    drawn["plausibility"] = np.where(bare, MISSING, r.integers(0, GRID + 1, n))
    grids = {name: np.asarray(v, np.int16) for name, v in (drawn | columns).items()}
    plausibility = grids.pop("plausibility")
    n = len(plausibility)
    probs = np.full((n, 8), 0.125, np.float32)
    return Scored(np.zeros(n, np.int32), labels[:n], grids, plausibility, probs)


some_terms = st.builds(
    lambda low, span, suspect, cold: Terms(low, low + span, suspect, cold),
    st.integers(0, 5000),
    st.integers(1, 5000),
    st.none() | st.integers(0, GRID),
    st.booleans(),
)


@pytest.mark.parametrize("kind", KINDS)
def test_attributes_and_options(kind: str) -> None:
    policy, module = build(kind), import_module(f"scoring.policies.{kind}")
    assert policy.name == kind
    assert set(policy.reads) <= set(names("scoring.scores"))
    assert {policy.needs_label, policy.reads_label, policy.key_only} <= {True, False}
    assert policy.reads_label or not policy.needs_label
    assert issubclass(module.Options, msgspec.Struct)
    assert module.Options.__struct_config__.frozen
    assert module.Options.__struct_config__.forbid_unknown_fields
    for fact in ("Weights:", "Refuses:", "Reads:"):
        assert f"\n{fact}" in (module.__doc__ or "")


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), terms=some_terms)
def test_a_weight_in_range_or_a_reason(kind: str, seed: int, terms: Terms) -> None:
    verdict = build(kind).weigh(scored(seed), terms)
    assert verdict.weights.dtype == np.int16
    assert verdict.reasons.dtype == np.uint8
    assert verdict.weights.shape == verdict.reasons.shape == (50,)
    accepted = verdict.reasons == CODES[Reason.ACCEPTED]
    assert ((verdict.weights >= 1) & (verdict.weights <= GRID) == accepted).all()
    assert (verdict.weights[~accepted] == 0).all()
    assert set(verdict.reasons.tolist()) <= {0, NO_LABEL, SUSPECT}


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 2**32 - 1), terms=some_terms)
def test_a_row_is_weighed_alone(kind: str, seed: int, terms: Terms) -> None:
    policy, batch = build(kind), scored(seed)
    whole = policy.weigh(batch, terms)
    for row in (0, 7, 49):
        columns = {name: column[row : row + 1] for name, column in batch.scores.items()}
        alone = policy.weigh(scored(0, 1, plausibility=batch.plausibility[[row]], **columns), terms)
        assert alone.weights[0] == whole.weights[row]
        assert alone.reasons[0] == whole.reasons[row]


@pytest.mark.parametrize("kind", WEIGHING)
@pytest.mark.parametrize("score", sorted(TOP))
@given(terms=some_terms, eps=st.floats(1e-6, 1.0))
def test_weights_rise_with_the_score(kind: str, score: str, terms: Terms, eps: float) -> None:
    steps = np.arange(TOP[score] + 1)
    batch = scored(0, len(steps), **{score: steps, "plausibility": np.full(len(steps), GRID)})
    weights = build(kind, score=score, eps=eps).weigh(batch, terms).weights.astype(int)
    assert (np.diff(weights) >= 0).all()
    if not terms.cold:
        least = max(1, round(eps * GRID))
        assert (weights[: terms.low + 1] == least).all()
        assert (weights[terms.high :] == GRID).all()


@pytest.mark.parametrize("kind", WEIGHING)
def test_the_line_by_hand(kind: str) -> None:
    batch = scored(entropy=[0, 1000, 1500, 2000, 3000], plausibility=[GRID] * 5)
    weights = build(kind).weigh(batch, Terms(1000, 2000, None, False)).weights
    # 0.1 is 410 steps; half way: 410 + (4096 - 410) / 2 = 2253
    assert weights.tolist() == [410, 410, 2253, GRID, GRID]
    third = scored(entropy=[1001, 1002], plausibility=[GRID] * 2)
    # 410 + 3686 / 3 = 1638.67 and 410 + 7372 / 3 = 2867.33
    rounded = build(kind).weigh(third, Terms(1000, 1003, None, False)).weights
    assert rounded.tolist() == [1639, 2867]


@pytest.mark.parametrize("kind", KINDS)
def test_cold_weighs_uniformly(kind: str) -> None:
    verdict = build(kind).weigh(scored(1), Terms(5000, 6000, None, True))
    assert (verdict.weights == GRID).all()


@pytest.mark.parametrize("kind", WEIGHING)
@pytest.mark.parametrize("cold", [False, True])
def test_no_label_no_el2n_no_weight(kind: str, cold: bool) -> None:
    policy = build(kind, score="el2n")
    assert policy.needs_label
    assert policy.reads_label
    batch = scored(2)
    verdict = policy.weigh(batch, Terms(100, 4000, None, cold))
    missing = batch.scores["el2n"] == MISSING
    assert missing.any()
    np.testing.assert_array_equal(verdict.reasons == NO_LABEL, missing)
    np.testing.assert_array_equal(verdict.weights == 0, missing)


def test_only_default_quarantines() -> None:
    batch = scored(plausibility=[0, 99, 100, GRID, MISSING], entropy=[4096] * 5)
    for cold in (False, True):
        terms = Terms(0, 4096, 100, cold)
        for kind in KINDS:
            reasons = build(kind).weigh(batch, terms).reasons.tolist()
            suspect = [SUSPECT, SUSPECT, 0, 0, 0]
            assert reasons == (suspect if kind == "default" else [0] * 5)
    assert build("default").weigh(batch, Terms(0, 4096, None, False)).reasons.tolist() == [0] * 5


def test_what_is_said_of_the_label() -> None:
    assert not build("uniform").reads_label
    assert not build("weighted", score="entropy").reads_label
    assert build("weighted", score="el2n").reads_label
    assert build("default").reads_label
    assert not build("default").needs_label


def test_a_score_that_does_not_exist_is_named() -> None:
    with pytest.raises(UnknownKind, match="did you mean 'entropy'"):
        build("weighted", score="entrpy")

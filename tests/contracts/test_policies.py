"""What every policy keeps: integers in range, a reason for each refusal, no look at neighbours."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.kinds import UnknownKind, load, names
from scoring.types import CODES, GRID, MISSING, Policy, Reason, Scored, Spread, Terms

KINDS = names("scoring.policies")
OPTIONS = {kind: import_module(f"scoring.policies.{kind}").Options for kind in KINDS}
BY_ONE = [kind for kind in KINDS if "score" in OPTIONS[kind].__struct_fields__]
BEHIND = [kind for kind in KINDS if "quarantine" in OPTIONS[kind].__struct_fields__]
RISING = [kind for kind in BY_ONE if kind not in {"band", "coverage"}]
CLASSES = 8
TOP = {"entropy": GRID, "margin": GRID, "el2n": 5793}  # grid step that each score ends at
NO_LABEL, SUSPECT = CODES[Reason.NO_LABEL], CODES[Reason.SUSPECT]
OUTSIDE = CODES[Reason.OUTSIDE_BAND]
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((kind, {}) for kind in KINDS),
    *((kind, {"quarantine": False}) for kind in BEHIND),
    *((kind, {"score": "el2n"}) for kind in BY_ONE),
    ("band", {"refuse": True, "eps": 1e-6}),
    ("softmax", {"temperature": 0.001}),
    ("softmax", {"temperature": 1000.0, "unit": "score"}),
    ("coverage", {"strata": 40, "eps": 1e-6}),
    ("tempered", {"gamma": 1.0, "eps": 1e-6}),
    ("mixture", {"scores": ("el2n", "entropy", "margin")}),
]
every_variant = pytest.mark.parametrize(("kind", "options"), VARIANTS, ids=repr)


def build(kind: str, **options: object) -> Policy:
    return cast(Policy, load("scoring.policies", kind, options))


def scored(seed: int = 0, n: int = 50, **columns: object) -> Scored:
    """A batch of random grid values; rows without a label have neither EL2N nor plausibility."""
    r = np.random.default_rng(seed)
    plain = columns.pop("labels", r.integers(-2, CLASSES, n))
    labels = np.asarray(plain, np.int32)
    n = len(labels)
    drawn: dict[str, object] = {name: r.integers(0, top + 1, n) for name, top in TOP.items()}
    drawn["el2n"] = np.where(labels == -1, MISSING, r.integers(0, TOP["el2n"] + 1, n))
    drawn["plausibility"] = np.where(labels < 0, MISSING, r.integers(0, GRID + 1, n))
    grids = {name: np.asarray(v, np.int16) for name, v in (drawn | columns).items()}
    plausibility = grids.pop("plausibility")
    probs = np.full((n, CLASSES), 0.125, np.float32)
    return Scored(np.zeros(n, np.int32), labels, grids, plausibility, probs)


def column(score: str, steps: list[int], **more: object) -> Scored:
    """A batch of these values of one score, all of class 0 and beyond doubt."""
    plausibility = np.full(len(steps), GRID)
    given = {score: steps, "plausibility": plausibility, "labels": np.zeros(len(steps))}
    return scored(0, len(steps), **(given | more))


def terms(
    policy: Policy, spread: Spread, suspect: int | None = None, *, cold: bool = False
) -> Terms:
    """The same of every score that the policy reads."""
    return Terms((spread,) * len(policy.reads), suspect, cold, tuple([1] * CLASSES))


@st.composite
def some_terms(draw: st.DrawFn, policy: Policy) -> Terms:
    """Anything that a calibration may say."""
    mass, step = st.integers(0, 1 << 50), st.integers(0, 6000)

    def spread() -> Spread:
        low = draw(st.integers(0, 5000))
        return Spread(
            low,
            low + draw(st.integers(1, 5000)),
            draw(st.integers(0, 5)),
            draw(st.integers(1, 9000)),
            draw(st.integers(0, 6000)),
            tuple(draw(mass) for _ in range(policy.asks.strata)),
            tuple(sorted(draw(step) for _ in range(policy.asks.rungs - 1))),
        )

    return Terms(
        tuple(spread() for _ in policy.reads),
        draw(st.none() | st.integers(0, GRID)),
        draw(st.booleans()),
        tuple(draw(st.integers(1, 1 << 50)) for _ in range(CLASSES)),
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


@every_variant
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_weight_in_range_or_a_reason(
    kind: str, options: dict[str, Any], data: st.DataObject, seed: int
) -> None:
    policy = build(kind, **options)
    verdict = policy.weigh(scored(seed), data.draw(some_terms(policy)))
    assert verdict.weights.dtype == np.int16
    assert verdict.reasons.dtype == np.uint8
    assert verdict.weights.shape == verdict.reasons.shape == (50,)
    accepted = verdict.reasons == CODES[Reason.ACCEPTED]
    assert ((verdict.weights >= 1) & (verdict.weights <= GRID) == accepted).all()
    assert (verdict.weights[~accepted] == 0).all()
    may = {0, NO_LABEL, SUSPECT} | ({OUTSIDE} if options.get("refuse") else set())
    assert set(verdict.reasons.tolist()) <= may


@every_variant
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_a_row_is_weighed_alone(
    kind: str, options: dict[str, Any], data: st.DataObject, seed: int
) -> None:
    """A weight is a function of what the row says and the terms: in any batch, at any place."""
    policy, batch = build(kind, **options), scored(seed)
    said = data.draw(some_terms(policy))
    whole = policy.weigh(batch, said)
    for row in (0, 7, 49):
        columns = {name: column[[row]] for name, column in batch.scores.items()}
        columns["plausibility"] = batch.plausibility[[row]]
        alone = policy.weigh(scored(0, 1, labels=batch.labels[[row]], **columns), said)
        assert alone.weights[0] == whole.weights[row]
        assert alone.reasons[0] == whole.reasons[row]


@pytest.mark.parametrize("kind", RISING)
@pytest.mark.parametrize("score", sorted(TOP))
@given(data=st.data())
def test_weights_rise_with_the_score(kind: str, score: str, data: st.DataObject) -> None:
    policy = build(kind, score=score)
    said = data.draw(some_terms(policy))
    weights = policy.weigh(column(score, [*range(TOP[score] + 1)]), said).weights.astype(int)
    assert (np.diff(weights) >= 0).all()


@pytest.mark.parametrize("kind", ["default", "weighted"])
@given(data=st.data(), eps=st.floats(1e-6, 1.0))
def test_the_line_ends_at_the_quantiles(kind: str, data: st.DataObject, eps: float) -> None:
    policy = build(kind, eps=eps)
    said = data.draw(some_terms(policy).filter(lambda drawn: not drawn.cold))
    weights = policy.weigh(column("entropy", [*range(GRID + 1)]), said).weights
    assert (weights[: said.spreads[0].low + 1] == max(1, round(eps * GRID))).all()
    assert (weights[said.spreads[0].high :] == GRID).all()


@pytest.mark.parametrize("kind", ["default", "weighted"])
def test_the_line_by_hand(kind: str) -> None:
    policy = build(kind, eps=0.1)
    batch = column("entropy", [0, 1000, 1500, 2000, 3000])
    weights = policy.weigh(batch, terms(policy, Spread(1000, 2000))).weights
    # 0.1 is 410 steps; half way: 410 + (4096 - 410) / 2 = 2253
    assert weights.tolist() == [410, 410, 2253, GRID, GRID]
    # 410 + 3686 / 3 = 1638.67 and 410 + 7372 / 3 = 2867.33
    third = policy.weigh(column("entropy", [1001, 1002]), terms(policy, Spread(1000, 1003)))
    assert third.weights.tolist() == [1639, 2867]


@every_variant
def test_cold_weighs_uniformly(kind: str, options: dict[str, Any]) -> None:
    policy = build(kind, **options)
    verdict = policy.weigh(scored(1), terms(policy, Spread(5000, 6000), cold=True))
    assert (verdict.weights[verdict.reasons == 0] == GRID).all()
    assert (verdict.reasons == 0).all() == (not policy.needs_label)


@pytest.mark.parametrize("kind", [*BY_ONE, "mixture"])
@pytest.mark.parametrize("cold", [False, True])
def test_no_label_no_el2n_no_weight(kind: str, cold: bool) -> None:
    named: dict[str, Any] = {"score": "el2n"} if kind in BY_ONE else {"scores": ("el2n", "margin")}
    policy = build(kind, **named)
    assert policy.needs_label
    assert policy.reads_label
    batch = scored(2)
    verdict = policy.weigh(batch, terms(policy, Spread(100, 4000, strata=(1, 2)), cold=cold))
    missing = batch.scores["el2n"] == MISSING
    assert missing.any()
    np.testing.assert_array_equal(verdict.reasons == NO_LABEL, missing)
    np.testing.assert_array_equal(verdict.weights == 0, missing)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("cold", [False, True])
def test_the_quarantine_is_in_front_where_it_is_asked_for(kind: str, cold: bool) -> None:
    labels, plausible = [0, 0, 0, 0, -2], [0, 99, 100, GRID, MISSING]
    batch = scored(labels=labels, plausibility=plausible, entropy=[4000] * 5, margin=[4000] * 5)
    ways: list[dict[str, Any]] = [{}]
    if kind in BEHIND:
        ways += [{"quarantine": False}, {"quarantine": True}]
    for options in ways:
        policy = build(kind, **options)
        on = kind == "default" or options.get("quarantine", kind in BEHIND)
        said = terms(policy, Spread(0, GRID, strata=(1, 2)), 100, cold=cold)
        verdict = policy.weigh(batch, said)
        assert verdict.reasons.tolist() == ([SUSPECT, SUSPECT, 0, 0, 0] if on else [0] * 5)
        unasked = policy.weigh(batch, terms(policy, said.spreads[0] if said.spreads else
                                            Spread(0, 1), None, cold=cold))  # fmt: skip
        assert (unasked.reasons == 0).all(), "no threshold, no quarantine"
        judged = verdict.reasons == 0
        np.testing.assert_array_equal(verdict.weights[judged], unasked.weights[judged])


def test_what_is_said_of_the_label() -> None:
    assert not build("uniform").reads_label
    for kind in BEHIND:
        plain = build(kind, quarantine=False)
        assert plain.reads_label == plain.needs_label == (kind == "tempered")
        assert build(kind).reads_label, "the quarantine reads it"
        assert build(kind).needs_label == plain.needs_label
    assert not build("weighted", score="entropy").reads_label
    assert build("weighted", score="el2n").reads_label
    assert build("default").reads_label
    assert not build("default").needs_label


@pytest.mark.parametrize("kind", [*BY_ONE, "mixture"])
def test_slot_labels_are_no_part_of_a_key(kind: str) -> None:
    """Two records of one text and intent may have other slots, so other weights."""

    def of(score: str) -> Policy:
        named: dict[str, Any] = {"score": score}
        return build(kind, **(named if kind in BY_ONE else {"scores": ("entropy", score)}))

    assert of("el2n").key_only
    assert not of("joint_el2n").key_only
    assert not of("joint_grand").key_only


def test_a_score_that_does_not_exist_is_named() -> None:
    for kind in BY_ONE:
        with pytest.raises(UnknownKind, match="did you mean 'entropy'"):
            build(kind, score="entrpy")

"""The figures of each policy, computed by hand, and how they follow from what was learnt."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.kinds import BadOptions
from scoring.policies.strata import stratum_of
from scoring.types import CODES, GRID, NO_LABEL, UNKNOWN_LABEL, Reason, Spread, Terms
from tests.contracts.test_policies import build, column, scored, terms

OUTSIDE = CODES[Reason.OUTSIDE_BAND]
HALF = GRID // 2
BAND = Spread(1000, 2000)


def test_the_band_is_what_lies_between_the_quantiles() -> None:
    policy, batch = build("band"), column("entropy", [0, 999, 1000, 1500, 2000, 2001, GRID])
    verdict = policy.weigh(batch, terms(policy, BAND))
    assert verdict.weights.tolist() == [410, 410, GRID, GRID, GRID, 410, 410]
    assert not verdict.reasons.any()


def test_a_band_may_refuse_what_lies_outside() -> None:
    policy, batch = build("band", refuse=True), column("entropy", [999, 1000, 2000, 2001])
    verdict = policy.weigh(batch, terms(policy, BAND))
    assert verdict.weights.tolist() == [0, GRID, GRID, 0]
    assert verdict.reasons.tolist() == [OUTSIDE, 0, 0, OUTSIDE]
    cold = policy.weigh(batch, terms(policy, BAND, cold=True))
    assert not cold.reasons.any(), "nothing learnt, nothing outside"
    doubted = policy.weigh(column("entropy", [999, 1000], plausibility=[5, 5]),
                           terms(policy, BAND, 100))  # fmt: skip
    assert set(doubted.reasons.tolist()) == {CODES[Reason.SUSPECT]}, "to review, not away"


def test_the_top_is_what_lies_above_its_quantile() -> None:
    policy, batch = build("top", keep=0.25), column("entropy", [0, 1999, 2000, 2001, GRID])
    assert policy.asks.share == 0.75
    verdict = policy.weigh(batch, terms(policy, dataclasses.replace(BAND, cut=2000)))
    assert verdict.weights.tolist() == [1, 1, 1, GRID, GRID]


def test_softmax_multiplies_by_e_for_each_temperature() -> None:
    policy = build("softmax", temperature=0.5)
    batch = column("entropy", [1900, 1950, 1999, 2000, 2001, 0])
    spread = dataclasses.replace(BAND, deviation=200)
    weights = policy.weigh(batch, terms(policy, spread)).weights.tolist()
    expected = [GRID * math.exp(-below / 100) for below in (100, 50, 1, 0, 0)]
    assert weights == [*(round(w) for w in expected), 1]
    plain = build("softmax", unit="score", temperature=0.25)
    found = plain.weigh(column("entropy", [976, 2000]), terms(plain, spread)).weights
    assert found.tolist() == [round(GRID / math.e), GRID], "a quarter of the whole range"


@given(
    spread=st.builds(
        lambda low, span, deviation: Spread(low, low + span, 1, deviation),
        st.integers(0, 4000), st.integers(1, 4000), st.integers(1, 4000),
    ),
    temperature=st.floats(0.001, 1000.0),
)  # fmt: skip
def test_softmax_is_the_exponential_rounded_once(spread: Spread, temperature: float) -> None:
    policy = build("softmax", temperature=temperature)
    steps = [*range(0, GRID + 1, 64)]
    found = policy.weigh(column("entropy", steps), terms(policy, spread)).weights
    below = np.minimum(np.array(steps) - spread.high, 0) / (temperature * spread.deviation)
    assert np.abs(found - np.maximum(GRID * np.exp(below), 1.0)).max() <= 0.5 + 1e-9


def test_coverage_weighs_against_the_mass_of_the_stratum() -> None:
    policy = build("coverage", strata=4, eps=0.125)
    batch = column("entropy", [0, 1249, 1250, 1500, 1750, 2000, GRID])
    spread = dataclasses.replace(BAND, strata=(800, 200, 50, 0))
    weights = policy.weigh(batch, terms(policy, spread)).weights.tolist()
    # 512 for the fullest, 4 times that for a quarter of it, 8192 -> 4096 for a sixteenth
    assert weights == [512, 512, 2048, GRID, GRID, GRID, GRID]


@given(masses=st.lists(st.integers(1, 1 << 50), min_size=5, max_size=5))
def test_strata_of_more_mass_weigh_less(masses: list[int]) -> None:
    policy = build("coverage", strata=5)
    batch = column("entropy", [1000, 1200, 1400, 1600, 1800])
    said = terms(policy, dataclasses.replace(BAND, strata=tuple(masses)))
    weights = policy.weigh(batch, said).weights.tolist()
    assert min(weights) == weights[masses.index(max(masses))] == 82
    for mass, weight in zip(masses, weights, strict=True):
        assert all(w >= weight for m, w in zip(masses, weights, strict=True) if m <= mass)


@given(
    low=st.integers(0, 5000), span=st.integers(1, 5000), count=st.integers(2, 256),
    values=st.lists(st.integers(-1, 32767), min_size=1, max_size=30),
)  # fmt: skip
def test_strata_are_of_equal_width_and_cover_everything(
    low: int, span: int, count: int, values: list[int]
) -> None:
    for value, found in zip(
        values, stratum_of(np.array(values, np.int16), low, low + span, count), strict=True
    ):
        place = math.floor((value - low) * count / span)
        assert found == min(max(place, 0), count - 1)


def test_a_temper_is_a_power_of_the_traffic_of_the_class() -> None:
    policy = build("tempered", gamma=0.5, eps=0.5)
    labels = [0, 1, 2, UNKNOWN_LABEL, NO_LABEL]
    batch = scored(labels=labels, entropy=[2000, 2000, 1000, 2000, 2000], plausibility=[GRID] * 5)
    verdict = policy.weigh(batch, Terms((BAND,), None, cold=False, classes=(400, 100, 1600)))
    assert verdict.weights.tolist() == [HALF, GRID, HALF // 4, GRID, 0]
    assert verdict.reasons.tolist() == [0, 0, 0, 0, CODES[Reason.NO_LABEL]]
    even = build("tempered", gamma=0.0).weigh(batch, Terms((BAND,), None, False, (1, 4, 16)))
    line = build("weighted").weigh(batch, Terms((BAND,), None, False))
    np.testing.assert_array_equal(even.weights[:4], line.weights[:4])


def test_a_mixture_is_the_mean_of_its_lines() -> None:
    policy = build("mixture", scores=("entropy", "margin"), eps=0.5)
    batch = column("entropy", [1000, 1500, 2000, 1000], margin=[30, 30, 20, 23])
    said = Terms((BAND, Spread(10, 30)), None, cold=False)
    # lines: 2048, 3072, 4096, 2048 and 4096, 4096, 3072, 3379
    assert policy.weigh(batch, said).weights.tolist() == [3072, 3584, 3584, 2714]


def test_a_mixture_of_one_score_twice_is_refused() -> None:
    with pytest.raises(BadOptions, match="names one twice"):
        build("mixture", scores=("entropy", "entropy"))
    with pytest.raises(BadOptions):
        build("mixture", scores=("entropy",))


@pytest.mark.parametrize("kind", ["band", "top", "softmax", "coverage"])
def test_a_score_of_which_nothing_was_learnt_weighs_uniformly(kind: str) -> None:
    policy = build(kind)
    less_than_a_row = tuple(range(1, policy.asks.strata + 1))  # what decay leaves of it
    unlearnt = Spread(0, 1, rows=0, strata=less_than_a_row)
    verdict = policy.weigh(column("entropy", [0, 1, 2, GRID]), terms(policy, unlearnt))
    assert verdict.weights.tolist() == [GRID] * 4
    assert not verdict.reasons.any()

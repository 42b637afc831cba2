"""What a policy is told of a score: quantiles, deviation and strata, from histograms alone."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.learning import rules as rulebook
from daemon.learning.calibration import SCALE, Calibration, Half, Histogram, Traffic
from daemon.learning.edition import Edition
from daemon.learning.rules import Rules
from daemon.learning.spreads import spread
from daemon.policy import Learning, Policy, Quarantine
from scoring.policies.strata import stratum_of
from scoring.types import GRID, Asks, Spread

KEY = b"a key for tests, 32 bytes long.."
HISTOGRAMS = st.dictionaries(st.integers(0, 32767), st.integers(1, 40), min_size=1, max_size=60)


def whole(histogram: Histogram) -> Histogram:
    return {step: count * SCALE for step, count in histogram.items()}


@given(histogram=HISTOGRAMS, share=st.floats(0, 1), count=st.integers(2, 64))
def test_a_spread_is_that_of_the_rows_behind_the_histogram(
    histogram: Histogram, share: float, count: int
) -> None:
    found = spread(whole(histogram), Learning(), Asks(strata=count, share=share))
    rows = np.sort(np.repeat(list(histogram), list(histogram.values())))
    assert found.rows == len(rows)
    assert found.deviation == max(1, int(rows.std() + 1e-9))
    assert 0 <= found.low < found.high <= 8 * GRID
    assert found.low == rows[max(0, int(np.ceil(0.05 * len(rows) - 1e-4)) - 1)]
    assert (rows <= found.cut).mean() >= share - 1e-5
    assert (rows < found.cut).mean() <= share, "the smallest such step"
    places = stratum_of(rows, found.low, found.high, count)
    masses = np.bincount(places, minlength=count) * SCALE
    assert found.strata == tuple(masses.tolist())


@given(histogram=HISTOGRAMS)
def test_the_order_in_which_steps_were_seen_says_nothing(histogram: Histogram) -> None:
    asks = Asks(strata=9, share=0.3)
    other = dict(reversed(histogram.items()))
    assert spread(histogram, Learning(), asks) == spread(other, Learning(), asks)


def test_what_nobody_saw_has_no_rows() -> None:
    assert spread({}, Learning(), Asks(strata=2, share=0.5)) == Spread(0, 1, 0, 1, 0, (0, 0))
    assert spread({}, Learning(), Asks()) == Spread(0, 1, 0)
    alone = spread(whole({700: 5}), Learning(), Asks())
    assert (alone.low, alone.high, alone.deviation) == (700, 701, 1)


def test_masses_are_counted_beyond_64_bits() -> None:
    found = spread({32767: 1 << 62, 0: 1 << 62}, Learning(), Asks(strata=2))
    assert found.strata == (1 << 62, 1 << 62)
    assert found.deviation == 32767 // 2


def learnt(reads: tuple[str, ...], asks: Asks | None = None, **more: Any) -> Rules:
    folded = {"entropy": whole({10: 50, 90: 50}), "margin": whole({5: 100})}
    half = Half("c", folded, whole({2048: 100}))
    policy = Policy(quarantine=Quarantine(assumed_rate=0.1), learning=Learning(minimum_rows=8))
    edition = Edition(0, "c", ("a", "b"), policy, None, 0)
    traffic = Traffic(groups={"b": 3 * SCALE, "elsewhere": SCALE})
    edition = msgspec.structs.replace(edition, **more)
    calibration = Calibration(4, traffic, (half,))
    return rulebook.make(9, edition, calibration, KEY, reads=reads, asks=asks or Asks())


def test_each_score_has_its_own_spread_in_the_order_of_the_policy() -> None:
    terms = learnt(("margin", "entropy"), Asks(strata=2, share=0.5)).terms
    assert [(s.low, s.high, s.cut) for s in terms.spreads] == [(5, 6, 5), (10, 90, 10)]
    assert [s.strata for s in terms.spreads] == [(100 * SCALE, 0), (50 * SCALE, 50 * SCALE)]
    assert learnt(()).terms.spreads == ()


def test_traffic_of_classes_is_in_the_order_of_the_checkpoint() -> None:
    """One record more of each, so that a class that nobody used yet is rare and not infinite."""
    assert learnt(()).terms.classes == (SCALE, 4 * SCALE)


@pytest.mark.parametrize("published", [True, False])
def test_a_score_that_begins_to_be_weighed_has_its_published_spread(published: bool) -> None:
    half = Half("c", {"el2n": whole({7: 80, 9: 20})}, {}) if published else None
    (found,) = learnt(("el2n",), half=half).terms.spreads
    assert (found.low, found.high, found.rows) == ((7, 9, 100) if published else (0, 1, 0))

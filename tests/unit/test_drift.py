"""Drift: the formulas against scipy and by hand, and a critical value that keeps its promise."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import distance
from scipy.stats import chi2, entropy

from daemon.monitors import drift
from daemon.monitors.drift import Reference, Window

NAMES = "abcdefghijkl"
COUNTS = st.dictionaries(st.sampled_from(NAMES), st.integers(0, 500), max_size=12)
FULL = st.lists(st.integers(1, 1000), min_size=2, max_size=30)


def shares(counts: list[int]) -> np.ndarray:
    column = np.array(counts, np.float64) + drift.SMOOTHING
    return column / column.sum()


@given(FULL, st.randoms(use_true_random=False))
def test_the_distances_are_those_of_scipy(counts: list[int], rng: object) -> None:
    others = list(counts)
    rng.shuffle(others)  # type: ignore[attr-defined]
    q, p = shares(counts), shares(others)
    assert drift.js(q, p) == pytest.approx(distance.jensenshannon(q, p, base=2), abs=1e-7)
    # PSI is the symmetric Kullback-Leibler divergence
    assert drift.psi(q, p) == pytest.approx(entropy(q, p) + entropy(p, q), abs=1e-12)


@given(COUNTS, COUNTS)
def test_every_row_is_in_one_bin_and_no_bin_expects_too_little(
    now: dict[str, int], reference: dict[str, int]
) -> None:
    ours, theirs = drift.binned(now, reference)
    n, m = sum(now.values()), sum(reference.values())
    if not n or not m:
        assert not len(ours) and drift.compare(now, reference) is None
        return
    assert ours.sum() == n and theirs.sum() == m
    if len(ours) > 1:
        assert theirs.min() * min(n, m) / m >= drift.LEAST_EXPECTED
    # as many bins as can be: each name with enough rows has its own, but for one
    enough = [k for k, v in reference.items() if v * min(n, m) >= drift.LEAST_EXPECTED * m]
    assert len(ours) >= len(enough)


@given(COUNTS, COUNTS, st.permutations(NAMES))
def test_names_and_their_order_say_nothing(
    now: dict[str, int], reference: dict[str, int], names: list[str]
) -> None:
    renamed = dict(zip(NAMES, names, strict=True))
    a = drift.compare(now, reference)
    b = drift.compare(
        {renamed[k]: v for k, v in reversed(now.items())},
        {renamed[k]: v for k, v in reversed(reference.items())},
    )
    assert (a is None) == (b is None)
    if a is not None and b is not None and len(set(reference.values())) == len(reference):
        assert a == b


@given(COUNTS, COUNTS)
def test_ranges(now: dict[str, int], reference: dict[str, int]) -> None:
    found = drift.compare(now, reference)
    if found is None:
        return
    assert found.psi >= 0 and 0 <= found.js <= 1
    assert found.psi_critical > 0 and found.js_critical > 0
    assert found.rows == sum(now.values()) and found.reference_rows == sum(reference.values())
    # B bins have B - 1 degrees of freedom
    law = (1 / found.rows + 1 / found.reference_rows) * chi2.ppf(0.999, found.bins - 1)
    assert found.psi_critical == pytest.approx(law, rel=0.031)
    # 8 JSD <= PSI for all shares, so their alarms are nearly the same near the null
    assert 8 * found.js**2 * math.log(2) <= found.psi + 1e-12


def test_equal_shares_have_no_drift_and_disjoint_ones_all_of_it() -> None:
    same = drift.compare({"a": 300, "b": 700}, {"a": 300, "b": 700})
    assert same is not None and same.psi == 0 == same.js
    apart = drift.compare({"new": 10**6}, {"a": 10**6, "b": 10**6})
    assert apart is not None and apart.js > 0.5 and apart.psi > apart.psi_critical


def test_a_flood_of_unknown_names_is_drift() -> None:
    reference = dict.fromkeys(NAMES, 1000)
    flood = {f"hostile {i}": 1 for i in range(600)}
    found = drift.compare({**dict.fromkeys(NAMES, 100), **flood}, reference)
    assert found is not None and found.psi > 10 * found.psi_critical


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 10, 59, 500])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_the_quantile_is_that_of_scipy(freedom: int, alpha: float) -> None:
    z = NormalDist().inv_cdf(1 - alpha)
    ours, theirs = drift.chi2_quantile(freedom, z), chi2.ppf(1 - alpha, freedom)
    assert ours == pytest.approx(theirs, rel=0.031 if freedom < 10 else 0.006)
    assert NormalDist().inv_cdf(0.999) == pytest.approx(drift.Z999)


def test_the_worked_case() -> None:
    """60 bins, a reference of 20,000: the 95 % point is 0.16 for 500 rows, 0.0078 for 20,000."""
    z = NormalDist().inv_cdf(0.95)
    for n, wanted in ((500, 0.160), (20_000, 0.0078)):
        assert (1 / n + 1 / 20_000) * drift.chi2_quantile(59, z) == pytest.approx(wanted, rel=0.01)


@pytest.mark.parametrize(
    ("n", "m", "categories"),
    [(200, 20_000, 10), (1_000, 12_000, 40), (5_000, 60_000, 150), (300, 300, 5), (60, 5_000, 20)],
)
@pytest.mark.parametrize("alpha", [0.05, 0.01])
def test_without_drift_alarms_are_as_rare_as_promised(
    n: int, m: int, categories: int, alpha: float
) -> None:
    """Zipf-like traffic, many pairs of windows that differ by chance alone."""
    rng = np.random.default_rng(20240601 + n)
    weights = 1 / np.arange(1, categories + 1)
    names = [f"g{i}" for i in range(categories)]
    z, rounds, alarms = NormalDist().inv_cdf(1 - alpha), 2_000, [0, 0]
    for _ in range(rounds):
        now, reference = (
            dict(zip(names, rng.multinomial(size, weights / weights.sum()).tolist(), strict=True))
            for size in (n, m)
        )
        found = drift.compare(now, reference, z)
        assert found is not None
        alarms[0] += found.psi > found.psi_critical
        alarms[1] += found.js > found.js_critical
    # four standard errors of the simulation above; it may be more careful than it promises
    most = alpha + 4 * math.sqrt(alpha * (1 - alpha) / rounds)
    assert max(alarms) / rounds <= most, alarms
    assert min(alarms) / rounds >= alpha / 4, alarms


def test_a_shift_is_seen_once_there_are_rows_to_see_it_with() -> None:
    before = dict.fromkeys(NAMES, 1000)
    for n, seen in ((24, False), (12_000, True)):
        now = dict.fromkeys(NAMES, n // 12) | {"a": n // 8, "b": n // 24}
        found = drift.compare(now, before)
        assert (found is not None and found.psi > found.psi_critical) is seen


def windowed(edition: int, cold: bool, **counts: int) -> Window:
    return Window(edition, cold, counts, counts)


def test_the_reference_is_the_first_warm_windows_of_the_edition() -> None:
    held: Reference | None = None
    seen = [
        windowed(0, True, a=9), windowed(0, False, a=1), windowed(0, False, a=2, b=1),
        windowed(0, True, a=9), windowed(0, False, b=5), windowed(0, False, a=100),
    ]  # fmt: skip
    states = []
    for window in seen:
        held = drift.extend(held, window, 3)
        states.append((held.windows, dict(held.kept)))
    assert states == [
        (0, {}), (1, {"a": 1}), (2, {"a": 3, "b": 1}), (2, {"a": 3, "b": 1}),
        (3, {"a": 3, "b": 6}), (3, {"a": 3, "b": 6}),
    ]  # fmt: skip
    assert drift.extend(held, windowed(1, False, c=7), 3) == (1, 1, {"c": 7}, {"c": 7})
    assert drift.extend(held, windowed(1, True, c=7), 3) == (1, 0, {}, {})

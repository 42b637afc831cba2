"""Identity, draw, rank and inclusion: pure, uniform, independent, and the same bits for ever."""

from __future__ import annotations

from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from buffers import draw
from buffers.base import NEVER

KEY = b"0123456789abcdef"
NOT_BY_CHANCE = 1e-4  # seeds are fixed: a law that holds today holds for ever
WORD = st.integers(0, 2**64 - 1)


def ids_of(words: list[tuple[int, int]]) -> np.ndarray:
    return np.array(words, np.uint64).reshape(-1, 2)


def counted(n: int, column: int) -> np.ndarray:
    """Identities as unlike chance as can be: 0, 1, 2 ... in one of the words."""
    ids = np.zeros((n, 2), np.uint64)
    ids[:, column] = np.arange(n)
    return ids


def test_committed_values() -> None:
    ids = draw.identity(KEY, "text", ["turn on the light", "", "gießen"])
    assert ids.tolist() == [
        [7692643025747175151, 15360017856428909151],
        [17375239772316114907, 16033348734072278306],
        [16185665249791950920, 3263474930267878398],
    ]
    draws = draw.draw(ids, "select", 0, KEY)
    assert draws.tolist() == [16634463807662459083, 12861321186208098510, 16511425149662180113]
    assert draw.log_rank(draws, np.array([1, 2048, 4096])).tolist() == [
        6650642609810,
        -359169651888,
        -2418606609569,
    ]
    assert draw.name_hash(KEY, "light.on") == 17022473856617217571


def test_an_identity_depends_on_key_domain_and_text_alone() -> None:
    texts = [f"text {i}" for i in range(50)]
    ids = draw.identity(KEY, "text", texts)
    assert ids.shape == (50, 2)
    assert len({tuple(row) for row in ids.tolist()}) == 50
    assert np.array_equal(draw.identity(KEY, "text", texts[::-1]), ids[::-1])
    for other in (draw.identity(KEY + b"1", "text", texts), draw.identity(KEY, "id", texts)):
        assert not np.any(other == ids)
    assert draw.identity(KEY, "text", []).shape == (0, 2)


def test_domain_and_text_do_not_run_into_each_other() -> None:
    assert draw.identity(KEY, "ab", ["c"]).tolist() != draw.identity(KEY, "a", ["bc"]).tolist()


@settings(deadline=None)
@given(st.lists(st.tuples(WORD, WORD), min_size=1, max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_a_draw_depends_on_no_neighbour(words: list[tuple[int, int]], epoch: int) -> None:
    ids = ids_of(words)
    alone = [int(draw.draw(ids[i : i + 1], "p", epoch, KEY)[0]) for i in range(len(ids))]
    assert draw.draw(ids, "p", epoch, KEY).tolist() == alone


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("shift", [0, 20, 58])
def test_draws_are_uniform_even_of_counted_identities(column: int, shift: int) -> None:
    draws = draw.draw(counted(100_000, column), "select", 3, KEY)
    cells = np.bincount(((draws >> np.uint64(shift)) & np.uint64(63)).astype(int), minlength=64)
    assert stats.chisquare(cells).pvalue > NOT_BY_CHANCE


@pytest.mark.parametrize(
    ("purpose", "epoch", "key"), [("audit", 0, KEY), ("select", 1, KEY), ("select", 0, KEY + b"x")]
)
def test_other_purposes_epochs_and_keys_draw_independently(
    purpose: str, epoch: int, key: bytes
) -> None:
    ids = counted(100_000, 1)
    one = draw.draw(ids, "select", 0, KEY) >> np.uint64(60)
    other = draw.draw(ids, purpose, epoch, key) >> np.uint64(60)
    cells = np.bincount((one * np.uint64(16) + other).astype(int), minlength=256)
    assert stats.chisquare(cells).pvalue > NOT_BY_CHANCE


def test_every_bit_of_an_identity_moves_half_of_the_draw() -> None:
    ids = np.random.default_rng(5).integers(0, 2**64, (400, 2), np.uint64)
    draws = draw.draw(ids, "select", 0, KEY)
    for bit in range(128):
        flipped = ids.copy()
        flipped[:, bit // 64] ^= np.uint64(1 << bit % 64)
        changed = np.bitwise_count(draws ^ draw.draw(flipped, "select", 0, KEY))
        assert 31 < changed.mean() < 33  # 32 +- 5 standard errors of 0.2


@settings(deadline=None, max_examples=200)
@given(WORD, st.integers(1, 4096))
def test_a_rank_is_its_formula(word: int, weight: int) -> None:
    found = int(draw.log_rank(np.array([word], np.uint64), np.array([weight]))[0])
    with localcontext(prec=50):
        u = (Decimal(word >> 12) + Decimal("0.5")) / 2**52
        truth = ((-u.ln()).ln() - (Decimal(weight) / 4096).ln()) * 2**40
    assert abs(found - truth) <= 2  # one floor, one rounding of the weight's logarithm


def test_more_weight_or_a_higher_draw_never_ranks_worse() -> None:
    draws = np.sort(np.random.default_rng(6).integers(0, 2**64, 5000, np.uint64))
    assert np.all(np.diff(draw.log_rank(draws, np.full(5000, 77))) <= 0)
    ranks = draw.log_rank(np.full(4096, draws[9]), np.arange(1, 4097))
    assert np.all(np.diff(ranks) < 0)


def test_ranks_at_the_ends_are_finite() -> None:
    ends = draw.log_rank(np.array([0, 2**64 - 1], np.uint64), np.array([1, 4096]))
    assert np.abs(ends).max() < 46 << 40


@pytest.mark.parametrize("weight", [0, -1, 4097])
def test_weights_off_the_grid_are_refused(weight: int) -> None:
    weights = np.array([5, weight])
    with pytest.raises(ValueError, match=r"1\.\.4096"):
        draw.log_rank(np.zeros(2, np.uint64), weights)
    with pytest.raises(ValueError, match=r"1\.\.4096"):
        draw.inclusion(weights, np.zeros(2, np.int64))


def test_inclusion_is_its_formula() -> None:
    weights = np.array([1, 40, 4096, 4096, 17])
    taus = np.array([-40 << 40, -(3 << 40) - 5, 1 << 39, 9 << 40, NEVER])
    truth = -np.expm1(-np.exp(taus[:4] / 2**40) * weights[:4] / 4096)
    truth = np.append(truth, 1.0)
    np.testing.assert_allclose(draw.inclusion(weights, taus), truth, rtol=1e-12)


def test_inclusion_says_how_often_a_rank_is_under_tau() -> None:
    """Chi-square over 10**5 keys, by weight."""
    n, tau = 100_000, -(1 << 40)
    weights = np.random.default_rng(8).choice([1, 100, 700, 2048, 4096], n)
    draws = draw.draw(counted(n, 0), "select", 0, KEY)
    under = draw.log_rank(draws, weights) < tau
    total = 0.0
    values = np.unique(weights)
    for weight in values:
        mine = weights == weight
        share = float(draw.inclusion(np.array([weight]), np.array([tau]))[0])
        expected = mine.sum() * share
        total += (under[mine].sum() - expected) ** 2 / (expected * (1 - share))
    assert stats.chi2(len(values)).sf(total) > NOT_BY_CHANCE


def test_names_hash_apart() -> None:
    hashes = {draw.name_hash(KEY, str(i)) for i in range(1000)}
    assert len(hashes) == 1000
    assert all(0 <= value < 2**64 for value in hashes)
    assert draw.name_hash(KEY, "a") != draw.name_hash(b"other key", "a")

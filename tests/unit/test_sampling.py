"""What chance owes: who is kept is uniform given the weights, and totals are unbiased."""

from __future__ import annotations

import numpy as np
from scipy import stats

from buffers import draw
from buffers.balanced import Balanced
from buffers.base import TARGET_SUM, Quotas

NOT_BY_CHANCE = 1e-4  # seeds are fixed: a law that holds today holds for ever


def even(groups: int) -> Quotas:
    targets = np.full(groups, TARGET_SUM // groups)
    ties = np.arange(groups).astype(np.uint64)
    return Quotas(targets, np.ones_like(targets), np.full_like(targets, 1 << 40), ties)


def sample(
    ids: np.ndarray, groups: np.ndarray, weights: np.ndarray, capacity: int, key: bytes
) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers that were kept, and their inclusion probabilities."""
    reservoir = Balanced(capacity, even(int(groups.max()) + 1))
    ranks = draw.log_rank(draw.draw(ids, "select", 0, key), weights)
    rows = np.arange(len(ids))
    reservoir.offer_many(groups.astype(np.int32), ranks, ids, rows, range(len(ids)))
    kept = np.array(reservoir.items().items, np.int64)
    return kept, draw.inclusion(weights[kept], reservoir.thresholds()[groups[kept]])


def test_inclusion_over_many_keys_is_uniform_where_weights_are_equal() -> None:
    n, capacity, cells = 100_000, 20_000, 100
    ids = np.zeros((n, 2), np.uint64)
    ids[:, 1] = np.arange(n)
    kept, _ = sample(ids, np.zeros(n, np.int64), np.full(n, 9), capacity, b"k")
    assert len(kept) == capacity
    seen, expected = np.bincount(kept % cells, minlength=cells), capacity / cells
    spread = expected * (1 - capacity / n)  # drawn without replacement
    chance = stats.chi2(cells - 1).sf(float(((seen - expected) ** 2 / spread).sum()))
    assert NOT_BY_CHANCE < chance < 1 - NOT_BY_CHANCE


def test_totals_over_inclusion_are_unbiased() -> None:
    """Horvitz-Thompson, by group and in all: within three standard errors of the truth."""
    n, runs, rng = 2_000, 400, np.random.default_rng(21)
    groups = np.minimum(rng.geometric(0.35, n) - 1, 7)
    weights = rng.integers(200, 4097, n)
    value = weights / 4096 + groups + rng.random(n)
    ids = rng.integers(0, 1 << 64, (n, 2), np.uint64)
    truth = np.bincount(groups, value, 8)
    found = np.zeros((runs, 8))
    for run in range(runs):
        kept, share = sample(ids, groups, weights, 200, b"key %d" % run)
        assert len(kept) == 200
        found[run] = np.bincount(groups[kept], value[kept] / share, 8)
    total = found.sum(axis=1)
    assert abs(total.mean() - truth.sum()) < 3 * total.std() / runs**0.5
    error = found.std(axis=0) / runs**0.5
    assert np.all(np.abs(found.mean(axis=0) - truth) <= 3 * error + 1e-9 * truth)
    assert np.all(error < 0.02 * truth)  # the test would see two percent

"""Offers per second of the balanced reservoir: `python -m tests.bench.bench_buffers [offers]`."""

from __future__ import annotations

import sys
import time

import numpy as np

from buffers import draw
from buffers.balanced import Balanced
from buffers.base import TARGET_SUM, Ids, Quotas

GROUPS, BATCH, CHUNK = 64, 4096, 1 << 20
KEY = b"bench"


def quotas() -> Quotas:
    """Equal targets, one row of floor, no caps."""
    targets = np.full(GROUPS, TARGET_SUM // GROUPS, np.int64)
    ties = np.array([draw.name_hash(KEY, str(g)) for g in range(GROUPS)], np.uint64)
    return Quotas(targets, np.ones_like(targets), np.full_like(targets, 1 << 40), ties)


def chunk(rng: np.random.Generator, n: int, texts: int | None) -> tuple[Ids, np.ndarray]:
    """n identities, all distinct or with repeats as live traffic has them, and Zipf groups."""
    if texts is None:
        ids = rng.integers(0, 1 << 64, (n, 2), np.uint64)
    else:
        number = np.minimum(rng.zipf(1.3, n), texts).astype(np.uint64)
        word = number * np.uint64(0x9E3779B97F4A7C15)
        ids = np.stack([word ^ (word >> np.uint64(29)), number], axis=1)
    share = 1 / np.arange(1, GROUPS + 1)
    edges = (np.cumsum(share / share.sum()) * 2.0**64).astype(np.float64)
    groups = np.searchsorted(edges, ids[:, 0].astype(np.float64)).clip(0, GROUPS - 1)
    return ids, groups.astype(np.int32)


def measure(offers: int, capacity: int, texts: int | None) -> tuple[float, float, int]:
    """(offers per second alone, with draw and log_rank, rows kept)."""
    rng = np.random.default_rng(1)
    reservoir = Balanced(capacity, quotas())
    weights = np.full(BATCH, 2048, np.int16)
    ranking = offering = 0.0
    for first in range(0, offers, CHUNK):
        n = min(CHUNK, offers - first)
        ids, groups = chunk(rng, n, texts)
        for start in range(0, n, BATCH):
            rows = slice(start, min(start + BATCH, n))
            batch, size = ids[rows], rows.stop - rows.start
            began = time.perf_counter()
            log_ranks = draw.log_rank(draw.draw(batch, "select", 0, KEY), weights[:size])
            ranked = time.perf_counter()
            orders = np.arange(first + start, first + start + size)
            reservoir.offer_many(groups[rows], log_ranks, batch, orders, range(size))
            ranking += ranked - began
            offering += time.perf_counter() - ranked
    began = time.perf_counter()
    kept = len(reservoir.items().groups)
    offering += time.perf_counter() - began
    return offers / offering, offers / (offering + ranking), kept


def main() -> None:
    """Print a table, and what an identity costs."""
    sizes = [int(argument) for argument in sys.argv[1:]] or [10**6, 10**7]
    print(f"{GROUPS} groups, batches of {BATCH}; millions of offers per second")
    print("   offers  capacity  texts     alone  with draw and rank   kept")
    for offers in sizes:
        for capacity in (2_000, 20_000):
            for name, texts in (("distinct", None), ("Zipf 1.3", 300_000)):
                alone, ranked, kept = measure(offers, capacity, texts)
                figures = f"{alone / 1e6:9.1f} {ranked / 1e6:19.1f} {kept:6d}"
                print(f"{offers:9d} {capacity:9d}  {name} {figures}", flush=True)
    texts = [f"turn on light number {i}" for i in range(100_000)]
    began = time.perf_counter()
    draw.identity(KEY, "text", texts)
    print(f"identity: {(time.perf_counter() - began) / len(texts) * 1e6:.2f} us per text")


if __name__ == "__main__":
    main()

"""Counts estimated from shards that refuse what earlier ones emitted (Horvitz and Thompson 1952).

With one draw for all windows, not having been emitted tells of the draw: the small ranks are gone,
and counts fall short. Salted by the window, the draw of those that are left is as fresh as ever.
"""

from __future__ import annotations

import math
import statistics

import numpy as np
import numpy.typing as npt
import pytest

from buffers import balanced, draw
from buffers.base import NEVER, TARGET_SUM, Int64s, Quotas
from daemon.config.settings import Stream
from daemon.learning.rules import CONSTANT, Rules
from daemon.policy import Groups, Kind, Quarantine
from daemon.ports import LaneId
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule
from tests.selection import shard_rows
from tests.streams import PERIOD_MS, ListSource, World, say, small_policy
from tests.worlds import publish_all, shards, source_of

ITEMS, CLASSES, CAPACITY, WINDOWS, LAG = 2_000, 8, 200, 5, 3
QUOTAS = Quotas(
    np.full(CLASSES, TARGET_SUM // CLASSES, np.int64),
    np.zeros(CLASSES, np.int64),
    np.full(CLASSES, 1 << 40, np.int64),
    np.arange(CLASSES, dtype=np.uint64),
)


def smallest(
    rows: Int64s, groups: npt.NDArray[np.int32], ranks: Int64s, ids: npt.NDArray[np.uint64],
    capacity: int,
) -> tuple[Int64s, Int64s]:  # fmt: skip
    """(kept rows, tau of each one's group)."""
    box = balanced.build(capacity, QUOTAS)
    box.offer_many(groups[rows], ranks[rows], ids[rows], rows, rows.tolist())
    kept = box.items()
    return np.array(kept.items, np.int64), box.thresholds()[kept.groups]


def ratios(key: bytes, *, salted: bool) -> list[float]:
    """Estimated over true number of texts that could be selected, window by window.

    As in a run: the lanes know what was emitted LAG windows ago, the assembler all of it.
    """
    ids = draw.identity(key, "text", [f"text {n}" for n in range(ITEMS)])
    groups = (np.arange(ITEMS) % CLASSES).astype(np.int32)
    weights = (800 + np.arange(ITEMS) * 37 % 3_297).astype(np.int16)  # 0.2 to 1
    emitted: list[set[int]] = []
    found = []
    for window in range(1, WINDOWS + 1):
        drawn = draw.draw(ids, "select", window if salted else CONSTANT, key)
        ranks = draw.log_rank(drawn, weights)
        old = set().union(*emitted[: max(0, window - LAG)])
        offered = np.array(sorted(set(range(ITEMS)) - old), np.int64)
        pool, first = smallest(offered, groups, ranks, ids, CAPACITY * 4)
        taus = np.full(ITEMS, NEVER)
        taus[pool] = first
        known = set().union(*emitted)
        left = np.array([row for row in pool.tolist() if row not in known], np.int64)
        kept, second = smallest(left, groups, ranks, ids, CAPACITY)
        chances = draw.inclusion(weights[kept], np.minimum(taus[kept], second))
        found.append(float(np.add.reduce(1 / chances)) / (ITEMS - len(known)))
        emitted.append(set(kept.tolist()))
    return found


def over_many_keys(runs: int, *, salted: bool) -> list[tuple[float, float]]:
    """Mean ratio of each window, and its standard error."""
    table = [ratios(b"key %028d" % number, salted=salted) for number in range(runs)]
    return [
        (statistics.mean(column), statistics.stdev(column) / math.sqrt(runs))
        for column in zip(*table, strict=True)
    ]


def test_salted_by_the_window_counts_are_right_in_every_window() -> None:
    for mean, error in over_many_keys(60, salted=True):
        assert abs(mean - 1) < 3 * error < 0.05


def test_with_one_draw_for_all_windows_counts_fall_short() -> None:
    """Why the epoch is the window's wherever something is refused as known: this can fail."""
    first, *later = [mean for mean, _ in over_many_keys(20, salted=False)]
    assert 0.95 < first < 1.05
    assert [mean < 0.8 for mean in later] == [True] * 4, "those of small rank are gone"
    assert later[-1] < 0.6


TEXTS = 90
STREAM = Stream(period_ms=PERIOD_MS, grace=0, label_wait=0, lag=2)


def whole_runs(runs: int) -> dict[int, list[float]]:
    """window -> estimated less true number of new texts, from the published chances.

    Each of TEXTS texts is said once in each window, in two lanes; each run has another key.
    """
    policy = small_policy(
        epoch="window", rolling=None, capacity_rows=12, pool_rows=40,
        select=Kind("weighted", {"eps": 0.5}),
        groups=Groups(by=("argmax",), floor_rows=1), quarantine=Quarantine(assumed_rate=0.0),
    )  # fmt: skip
    records: dict[LaneId, list[tuple[int, bytes | None]]] = {LaneId("u", n): [] for n in (0, 1)}
    for window in range(5, 10):
        for n in range(TEXTS):
            value = say(window * 1_000 + n, f"say {n}")
            records[LaneId("u", n % 2)].append((window * PERIOD_MS + n, value))
    case = Case(records, dict.fromkeys(records, "utterances"), STREAM, (Edition(policy),))
    found: dict[int, list[float]] = {}
    for number in range(runs):
        store = MemoryStore()
        publish_all(case, store)
        world = World(store, policy, STREAM, b"key %028d" % number)
        source = source_of(case, Schedule(), ListSource)
        assert world.loop(source, batch_records=200, poll_records=200).run()
        emitted = 0
        for window in sorted(shards(store)):
            chances = [row["inclusion_selected"] for row in shard_rows(store, window)]
            chosen = [1 / chance for chance in chances if chance is not None]
            found.setdefault(window, []).append(sum(chosen) - (TEXTS - emitted))
            emitted += len(chosen)
    return found


def z_scores(found: dict[int, list[float]]) -> list[float]:
    return [
        statistics.mean(column) / (statistics.stdev(column) / math.sqrt(len(column)))
        for _, column in sorted(found.items())
    ]


def test_the_chances_that_shards_publish_give_unbiased_counts_of_new_texts() -> None:
    """Through lanes, pins, pool and assembler, lag and all."""
    assert all(abs(z) < 3.5 for z in z_scores(whole_runs(14)))


@pytest.mark.slow
def test_they_would_not_with_one_draw(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Rules, "epoch", CONSTANT)
    first, *later = z_scores(whole_runs(8))
    assert abs(first) < 3.5 and max(later) < -4

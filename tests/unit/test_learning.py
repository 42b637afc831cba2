"""What windows teach those `lag` later, and what inclusion probabilities promise: laws 2, 5, 8."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np

from buffers import draw
from daemon.learning.rules import NO_HALF, NO_NOISE_RATE
from daemon.policy import Groups, Learning, Quarantine
from daemon.ports import LaneId, Store
from daemon.registry.publish import Sample
from daemon.registry.registry import Registry
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS
from tests.selection import lane_split, ledger_rows, run, selected, shard_rows
from tests.streams import CLASSES, KEY, PERIOD_MS, Record, publish_table, say, small_policy
from tests.worlds import shards

WINDOWS = range(5, 15)
LAG = 4


def stream(values_of: Any, lanes: int = 2) -> dict[LaneId, list[Record]]:
    """`values_of(window)` in every window."""
    records: dict[LaneId, list[Record]] = {LaneId("u", n): [] for n in range(lanes)}
    for window in WINDOWS:
        for lane, rows in lane_split(values_of(window), lanes, window).items():
            records[lane] += rows
    return records


def said(window: int, count: int = 30) -> list[bytes]:
    return [say(window * 100 + n, f"say {window} {n}", CLASSES[n % 4]) for n in range(count)]


def test_a_new_intent_is_other_until_a_calibration_knows_it() -> None:
    """A8: the group set is frozen for a window, whatever its own records would support."""

    def values(window: int) -> list[bytes]:
        fresh = [say(window * 100 + 50 + n, f"new {window} {n}", "brand_new") for n in range(20)]
        return [*said(window), *(fresh if window >= 7 else [])]

    policy = small_policy(quarantine=Quarantine(assumed_rate=0.0), groups=Groups(support=3))
    store = run(stream(values), policy)
    groups = {
        window: {row["group"] for row in shard_rows(store, window) if row["label"] == "brand_new"}
        for window in WINDOWS
    }
    for window in WINDOWS:
        expected: set[str] = set()
        if window >= 7:
            expected = {"brand_new"} if window >= 7 + LAG else {"(other)"}
        assert groups[window] == expected
    assert shards(store)[8].kept.get("(other)", 0) >= 1, "other has a floor"


def cold_store(policy: Any) -> Store:
    store = MemoryStore()
    registry = Registry(store)
    publish_table(registry, policy, sample=Sample([], []))
    assert registry.editions[0].half is None
    return store


def test_cold_windows_are_uniform_and_say_so_in_every_row() -> None:
    """Balancing by unquarantined labels nearly doubled the noise that is kept."""
    policy = small_policy(identity="id", learning=Learning(minimum_rows=40, memory_windows=4))
    store = cold_store(policy)
    run(stream(said), policy, store=store)
    colds = {window: manifest.cold for window, manifest in shards(store).items()}
    assert colds[5] == colds[8] == NO_HALF
    assert colds[WINDOWS[-1]] == "", "its own shards taught the checkpoint's half"
    rows = shard_rows(store, 5)
    assert {row["cold"] for row in rows} == {NO_HALF}
    assert {row["weight"] for row in rows} == {1.0}
    assert {row["group"] for row in rows} == set(CLASSES), "named, though nothing was grouped"
    ranks = sorted(row["log_rank"] for row in selected(store, 5))
    assert ranks == uniform_ranks(store, 5)[: len(ranks)]
    assert {row["cold"] for row in shard_rows(store, WINDOWS[-1])} == {""}


def uniform_ranks(store: Store, window: int) -> list[float]:
    """Every accepted key's log-rank with weight one, smallest first."""
    rows = [row for row in ledger_rows(store, window) if row["reason"] == 0]
    keys = np.array([(row["key_hi"], row["key_lo"]) for row in rows], np.uint64)
    weights = np.full(len(rows), draw.WEIGHT_UNIT, np.int16)
    ranks = draw.log_rank(draw.draw(keys, "select", 0, KEY), weights)
    return sorted((ranks / draw.RANK_UNIT).tolist())


def audited(wrong_every: int) -> dict[LaneId, list[Record]]:
    """The stream, and answers for each utterance of a window in the next one."""
    records = stream(said)
    records[LABELS] = []
    for window in WINDOWS:
        for n in range(30):
            truth = CLASSES[(n + (n % wrong_every == 0)) % 4]
            body = {"id": f"u{window * 100 + n}", "label": truth, "shard": window}
            at = (window + 1) * PERIOD_MS + n
            records[LABELS].append((at, msgspec.json.encode(body)))
    return records


def test_audit_answers_switch_the_quarantine_on_and_none_leave_it_off() -> None:
    policy = small_policy(quarantine=Quarantine(assumed_rate=None, minimum_answers=5))
    quiet = shards(run(stream(said), policy))
    assert {manifest.cold for manifest in quiet.values()} == {NO_NOISE_RATE}
    assert {manifest.suspect_below for manifest in quiet.values()} == {None}
    thresholds = []
    for wrong_every in (30, 3):
        made = shards(run(audited(wrong_every), policy))
        assert made[5].cold == NO_NOISE_RATE
        last = made[WINDOWS[-1]]
        assert (last.cold, last.noise is not None) == ("", True)
        assert sum(m.labelled.answered for m in made.values()) >= 5 * 6
        thresholds.append(last.suspect_below)
    assert 0 < thresholds[0] < thresholds[1], "it follows the rate that was measured"


def test_an_answer_is_folded_once_and_by_the_window_of_its_own_time() -> None:
    policy = small_policy(quarantine=Quarantine(assumed_rate=None, minimum_answers=5))
    made = shards(run(audited(3), policy))
    for window, manifest in made.items():
        audit_rows = manifest.arms["audit"] if window > 5 else 0
        assert manifest.labelled.answered == audit_rows, "of the shard before it"
        assert manifest.labelled.unmatched == (30 - audit_rows if window > 5 else 0)

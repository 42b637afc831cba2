"""What windows teach those `lag` later, and what inclusion probabilities promise: laws 2, 5, 8."""

from __future__ import annotations

import dataclasses
import math
import statistics
from typing import Any

import msgspec
import numpy as np
import pytest

from buffers import draw
from daemon.lanes.arms import build_pool
from daemon.lanes.gather import Gathering
from daemon.lanes.lane import Lane, PutPart
from daemon.lanes.part import Part
from daemon.lanes.window import Segment
from daemon.learning.rules import NO_HALF, NO_NOISE_RATE
from daemon.policy import Groups, Kind, Learning, Quarantine
from daemon.ports import Batch, LaneId, Store
from daemon.registry.pin import FIRST
from daemon.registry.publish import Sample
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import merge
from daemon.shards.pool import pooled
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS
from tests.selection import labelled, lane_split, ledger_rows, run, selected, shard_rows
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


POPULATION = 120


def window_parts(store: Store, key: bytes, values: list[bytes]) -> tuple[list[Part], Any, Any]:
    """Two lanes' parts of one window, without a store in between."""
    registry = Registry(store)
    registry.read_editions()
    engines = Engines(store, key, threads=1)
    edition = registry.editions[0]
    engine = engines.of(edition)
    rules = engines.rules(5, edition, registry.calibration(FIRST))
    parts = []
    for number in (0, 1):
        lane = Lane(LaneId("u", number), "utterances", "id", period_ms=PERIOD_MS)
        lane.resume(0, 5, -1)
        lane.begin(5, Gathering(rules, build_pool(rules, rules.policy.pool), engine.grading.names))
        mine = values[number::2]
        times = np.full(len(mine), 5 * PERIOD_MS)
        batch = Batch(lane.lane, np.arange(len(mine), dtype=np.int64), times, list(mine))
        lane.take(len(mine), 5 * PERIOD_MS)
        lane.absorb(engine.prepare(rules, batch, Segment(5, 0, len(mine), 0, 0, 0)))
        (effect,) = lane.cover(5, "record")
        assert isinstance(effect, PutPart)
        parts.append(effect.part)
    return parts, engine, rules


def late_labels(key: bytes) -> dict[tuple[int, int], tuple[str, str]]:
    """Every second utterance gets another label: another weight and another group."""
    numbers = range(0, POPULATION, 2)
    ids = draw.identity(key, "id", [f"u{n}" for n in numbers]).tolist()
    return {
        (high, low): (CLASSES[(n // 2) % 4], "annotated")
        for (high, low), n in zip(ids, numbers, strict=True)
    }


@pytest.fixture(scope="module")
def estimates() -> tuple[list[float], list[float]]:
    """Horvitz-Thompson counts of the window under many keys: as published, second stage alone."""
    policy = small_policy(
        identity="id", capacity_rows=30, pool_rows=45, select=Kind("weighted", {"score": "el2n"}),
        groups=Groups(by=("label",), floor_rows=1), quarantine=Quarantine(assumed_rate=0.0),
    )  # fmt: skip
    store = MemoryStore()
    publish_table(Registry(store), policy)
    values = [say(n, f"say {n}", CLASSES[n % 4]) for n in range(POPULATION)]
    both, alone = [], []
    for number in range(160):
        key = b"key %028d" % number
        parts, engine, rules = window_parts(store, key, values)
        pool = pooled(parts, engine.grading, rules, late_labels(key))
        both.append(total(merge.select(pool, rules, 30)[0]))
        blind = dataclasses.replace(pool, taus={})
        alone.append(total(merge.select(blind, rules, 30)[0]))
    return both, alone


def total(taken: dict[int, merge.Taken]) -> float:
    return sum(1 / one.arms["selected"] for one in taken.values())


def z_score(found: list[float]) -> float:
    error = statistics.stdev(found) / math.sqrt(len(found))
    return (statistics.mean(found) - POPULATION) / error


def test_inclusion_probabilities_of_two_stages_give_unbiased_totals(
    estimates: tuple[list[float], list[float]],
) -> None:
    """One draw for both stages: 1 - exp(-min(w1 tau1, w2 tau2)); within three standard errors."""
    assert abs(z_score(estimates[0])) < 3
    assert z_score(estimates[1]) < -3, "the second stage alone is biased, so this can fail"


@pytest.mark.parametrize("lanes", [1, 4])
def test_labels_of_rows_outside_the_pool_change_counts_only(lanes: int) -> None:
    records = lane_split(labelled(90), lanes)
    bare = shard_rows(run(records, small_policy(identity="id")))
    body = {"id": "u100000", "label": "music"}
    records[LABELS] = [(6 * PERIOD_MS, msgspec.json.encode(body))]
    store = run(records, small_policy(identity="id"))
    assert shards(store)[5].labelled.outside_pool == 1
    assert shard_rows(store) == bare

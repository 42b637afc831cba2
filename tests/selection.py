"""One window at a time: records dealt out to lanes, and what the shard should hold."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from fractions import Fraction
from typing import Any

import numpy as np

from buffers import draw
from buffers.base import NEVER
from daemon import tables
from daemon.config.settings import Stream
from daemon.lanes import ledger
from daemon.learning import rules as rulebook
from daemon.learning.rules import Rules
from daemon.policy import Policy
from daemon.ports import LaneId, Store
from daemon.registry.registry import Registry
from daemon.shards import merge
from tests.cases import LABELS, Case, Edition, Schedule
from tests.streams import CLASSES, KEY, PERIOD_MS, Record, say
from tests.worlds import play, shards

WAITS = Stream(period_ms=PERIOD_MS, grace=1, label_wait=1, lag=4)
LAST = 9  # the first window that may use what window 5 taught


def lane_split(values: list[bytes], lanes: int, window: int = 5) -> dict[LaneId, list[Record]]:
    """One window's records dealt out to lanes, in order of time."""
    records: dict[LaneId, list[Record]] = {LaneId("u", n): [] for n in range(lanes)}
    for at, value in enumerate(values):
        records[LaneId("u", at % lanes)].append((window * PERIOD_MS + at % PERIOD_MS, value))
    for rows in records.values():
        rows.sort(key=lambda row: row[0])
    return records


def shard_rows(store: Store, window: int = 5) -> list[dict[str, Any]]:
    """The rows of a shard, one dict each."""
    columns, _ = tables.decode(store.get(shards(store)[window].rows_object))
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def run(records: dict[LaneId, list[Record]], policy: Policy, **changes: Any) -> Store:
    kinds = {lane: "labels" if lane == LABELS else "utterances" for lane in records}
    case = Case(records, kinds, changes.pop("stream", WAITS), (Edition(policy),))
    return play(case, Schedule(), **changes)


def selected(store: Store, window: int = 5) -> list[dict[str, Any]]:
    return [row for row in shard_rows(store, window) if "selected" in row["arms"]]


def labelled(count: int, texts: int = 10_000) -> list[bytes]:
    """Records with labels as unequal as traffic."""
    names = [*CLASSES, "music", "music", "music", None]
    return [say(n, f"say {n * 7 % texts}", names[n * n % 8]) for n in range(count)]


def ledger_rows(store: Store, window: int) -> list[dict[str, Any]]:
    """What was decided about every record, over all lanes."""
    rows = []
    for name in store.list("ledgers/"):
        if f"/{window:012d}-" in name:
            columns = ledger.read(store.get(name))
            lists = {column: values.tolist() for column, values in columns.items()}
            rows += [
                dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)
            ]
    return rows


def rules_of(store: Store) -> Rules:
    """Of the first windows."""
    registry = Registry(store)
    registry.read_editions()
    edition, learnt = registry.editions[0], registry.calibration(-1)
    return rulebook.make(5, edition, learnt, KEY, reads=("entropy",))


def losers(rows: list[dict[str, Any]], store: Store) -> frozenset[tuple[int, int, int]]:
    """Keys whose text has a more plausible label; of equal ones a hash tells. Where repeats count
    for nothing; a key's first record says what its label is."""
    groups, first = rules_of(store).groups, dict[tuple[int, int, int], dict[str, Any]]()
    for row in rows:
        if row["reason"] == 0:
            first.setdefault(key_of(row), row)
    ranked = sorted(
        (-row["plausibility"], draw.name_hash(KEY, groups[row["group"]]), key)
        for key, row in first.items()
        if row["plausibility"] >= 0  # without a label it contradicts nothing
    )
    best = {key[1]: key for _, _, key in reversed(ranked)}
    return frozenset(key for _, _, key in ranked if key != best[key[1]])


def brute_force(
    rows: list[dict[str, Any]], store: Store, capacity: int, lost: frozenset[Any] = frozenset()
) -> dict[Any, Any]:
    """(group, key) -> (rank, multiplicity), by listing every slot of every group. `lost`: keys
    that have none."""
    rules = rules_of(store)
    accepted = [row for row in rows if row["reason"] == 0 and key_of(row) not in lost]
    keys = np.array([(r["key_hi"], r["key_lo"]) for r in accepted], np.uint64)
    weights = np.array([r["weight"] for r in accepted], np.int16)
    ranks = draw.log_rank(draw.draw(keys, "select", 0, KEY), weights).tolist()
    counted: Counter[Any] = Counter()
    rank_of = {}
    for row, rank in zip(accepted, ranks, strict=True):
        key = key_of(row)
        counted[key] += 1
        rank_of[key] = rank
    slots = []
    for group, target in enumerate(rules.quotas.targets.tolist()):
        members = sorted((rank_of[key], key) for key in rank_of if key[0] == group)
        floor = int(rules.quotas.floors[group])
        for j, (rank, key) in enumerate(members, start=1):
            level = (0, Fraction(j)) if j <= floor else (1, Fraction(j, target))
            slots.append((level, int(rules.quotas.ties[group]), group, rank, key))
    slots.sort(key=lambda slot: slot[:4])
    kept = {key: (rank, counted[key]) for _, _, _, rank, key in slots[:capacity]}
    taus: dict[str, int] = {}
    for _, _, group, rank, _ in slots[capacity:]:
        name = rules.groups[group]
        taus[name] = min(rank, taus.get(name, NEVER))
    return {"kept": kept, "taus": taus}


def key_of(row: dict[str, Any]) -> tuple[int, int, int]:
    """What a row of a ledger is kept once by."""
    return row["group"], row["key_hi"], row["key_lo"]


def total(taken: dict[int, merge.Taken]) -> float:
    """How many there are in the traffic, as Horvitz and Thompson estimate it of what was taken."""
    return sum(1 / (one.arms["selected"] or math.nan) for one in taken.values())


def z_score(found: list[float], truth: int) -> float:
    """How many standard errors the mean of these estimates is off."""
    error = statistics.stdev(found) / math.sqrt(len(found))
    return (statistics.mean(found) - truth) / error

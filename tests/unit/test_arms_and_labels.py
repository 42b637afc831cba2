"""Arms and late labels: as in one lane, so in many; and every probability is the true one (law 8)."""

from __future__ import annotations

import math
import random
import statistics
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from daemon.policy import Arms, Groups, Kind, Policy, Quarantine
from daemon.ports import LaneId, Store
from daemon.registry.registry import Registry
from daemon.shards import merge
from daemon.shards import rows as row_tables
from daemon.shards.late import Late
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS
from tests.selection import labelled, lane_split, run, selected, shard_rows
from tests.streams import CLASSES, PERIOD_MS, Record, publish_table, say, small_policy
from tests.unit.test_late_labels import told, window_parts
from tests.unit.test_verify import grades
from tests.worlds import shards

STRICT = Quarantine(assumed_rate=0.5, margin=1.0, cap=0.5)


@dataclass
class World:
    """One window's records and the labels that came after them."""

    policy: Policy
    values: list[bytes]
    labels: list[Record]

    @staticmethod
    def random(seed: int) -> World:
        """Few texts, small arms, and as many late labels as records."""
        rng = random.Random(seed)
        count, texts = rng.randint(40, 90), rng.choice([12, 30, 200])
        names = [*CLASSES, None, "odd"]
        select: Any = rng.choice([Kind("default"), Kind("weighted", {"score": "el2n"})])
        policy = small_policy(
            identity=rng.choice(["text", "text", "id"]), select=select, quarantine=STRICT,
            capacity_rows=rng.choice([4, 12]), pool_rows=rng.choice([14, 60]),
            arms=Arms(rng.choice([2, 5]), rng.choice([2, 5]), rng.choice([3, 6])),
        )  # fmt: skip
        values = [
            say(n, f"say {rng.randrange(texts)}", rng.choice(names), intent=rng.choice(CLASSES))
            for n in range(count)
        ]
        about = [(rng.randrange(count), rng.choice([*CLASSES, "odd"])) for _ in range(count)]
        labels = [
            (6 * PERIOD_MS + at, msgspec.json.encode({"id": f"u{n}", "label": label}))
            for at, (n, label) in enumerate(about)
        ]
        return World(policy, values, labels)

    def cut(self, *edges: int) -> Store:
        """A run in which the records stand, in one order, in a lane between each two edges."""
        records: dict[LaneId, list[Record]] = {LABELS: self.labels}
        bounds = [0, *edges, len(self.values)]
        for number, (first, end) in enumerate(zip(bounds, bounds[1:], strict=False)):
            records[LaneId("u", number)] = [
                (5 * PERIOD_MS + at, self.values[at]) for at in range(first, end)
            ]
        return run(records, self.policy)


def facts(store: Store) -> tuple[Any, ...]:
    """All of a shard but for where its records stood, and how many parts there were."""
    made = shards(store)[5]
    rows = [
        {name: cell for name, cell in row.items() if name not in ("lane", "position")}
        for row in shard_rows(store)
    ]
    return (
        made.taus, made.labelled, made.arms, made.counts, made.kept, made.contradictions,
        made.histograms, made.lift, made.noise, made.calibration,
        sorted(rows, key=lambda row: str(row["id"])),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(16))
def test_late_labels_and_arms_do_not_depend_on_the_number_of_lanes(seed: int) -> None:
    """Law 1: what a lane had turned away from review came in again under its new key, so that
    arm, its tau and its probabilities differed; and labels were counted by what lanes kept."""
    world = World.random(seed)
    alone, count = facts(world.cut()), len(world.values)
    for edges in ((count // 2,), (count // 5, count // 3, count * 4 // 5)):
        for one, many in zip(alone, facts(world.cut(*edges)), strict=True):
            assert one == many


@pytest.mark.parametrize("identity", ["text", "id"])
@pytest.mark.parametrize("quarantine", [True, False])
def test_shards_of_a_band_that_refuses_are_identical_in_every_grade(
    identity: str, quarantine: bool
) -> None:
    """Rows outside the band wait for a late label, and `verify` looked for them nowhere."""
    log = lane_split(labelled(60, 40), 2)
    options = {"score": "entropy", "refuse": True, "quarantine": quarantine}
    policy = small_policy(identity=identity, quarantine=STRICT, select=Kind("band", options))
    store = run(log, policy)
    assert shards(store)[5].counts["outside_band"] > 5
    for finding in grades(store, 5, log):
        assert finding.identical, finding


def unions(policy: Policy, values: list[bytes], keys: int) -> list[list[dict[str, Any]]]:
    """The rows of a window under many keys: id, arms, weight and probability of being shown."""
    store, found = MemoryStore(), []
    publish_table(Registry(store), policy)
    for number in range(keys):
        parts, engine, rules = window_parts(store, b"key %028d" % number, values)
        merged = merge.merge(parts, engine.grading, rules, Late.none())
        table = row_tables.table(merged, rules, engine.grading.names)
        names = ("id", "arms", "weight", "inclusion_probability", "plausibility")
        cells = zip(*(table[name] for name in names), strict=True)
        found.append([dict(zip(names, row, strict=True)) for row in cells])
        suspects = sum(part.manifest.counts.reasons.get("suspect", 0) for part in parts)
        assert suspects == SUSPECTS[policy.select.kind]
    return found


SUSPECTS = {"default": 49, "weighted": 0}


@pytest.mark.parametrize("select", ["default", "weighted"])
def test_probabilities_of_all_arms_together_give_unbiased_totals(select: str) -> None:
    pass

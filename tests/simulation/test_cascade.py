"""Random worlds with two stages: no lane may go ahead with the second, and totals are unbiased."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from buffers.base import NEVER
from daemon.lanes import ledger
from daemon.lanes.arms import build_pool
from daemon.lanes.gather import Gathering
from daemon.lanes.lane import Lane, PutPart
from daemon.lanes.part import Part
from daemon.lanes.pin import FIRST
from daemon.lanes.window import Segment
from daemon.learning.rules import Rules
from daemon.policy import Arms, Groups, Kind, Policy, Quarantine
from daemon.ports import Batch, LaneId, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engine, Engines
from daemon.shards import cascade, merge, rivals, seconds
from daemon.shards.cascade import Stage
from daemon.shards.late import Late
from daemon.shards.pool import Pooled, offer, pooled
from scoring.supplies import shares
from tests.cascading import cascading, published
from tests.selection import total, z_score
from tests.streams import CLASSES, PERIOD_MS, say

POPULATION, CAPACITY, CANDIDATES = 120, 12, 18
Key = tuple[str, int, int]  # group, identity


def small(**changes: Any) -> Policy:
    """The first stage has little to do with the second, so that neither decides alone."""
    return cascading(
        CANDIDATES, capacity_rows=CAPACITY, arms=Arms(audit_rows=1, random_rows=1, review_rows=0),
        quarantine=Quarantine(assumed_rate=0.0), groups=Groups(by=("label",)),
        select=Kind("weighted", {"score": "margin", "eps": 0.02}), **changes,
    )  # fmt: skip


class World:
    """The real lanes and stages over one edition, without a store in between."""

    def __init__(self, key: bytes, store: Store) -> None:
        registry = Registry(store)
        registry.read_editions()
        edition = registry.editions[0]
        engines = Engines(store, key, threads=1)
        self.engine: Engine = engines.of(edition)
        self.rules: Rules = engines.rules(5, edition, registry.calibration(FIRST))

    def parts(self, dealt: Sequence[list[bytes]]) -> list[Part]:
        """What each lane gives of window 5."""
        made = []
        for number, values in enumerate(dealt):
            lane = Lane(LaneId("u", number), "utterances", "id", period_ms=PERIOD_MS)
            lane.resume(0, 5, -1)
            lane.begin(5, Gathering(self.rules, self.engine.grading.names))
            batch = Batch(
                lane.lane, np.arange(len(values), dtype=np.int64),
                np.full(len(values), 5 * PERIOD_MS), list(values),
            )  # fmt: skip
            lane.take(len(values), 5 * PERIOD_MS)
            segment = Segment(5, 0, len(values), 0, 0, 0)
            lane.absorb(self.engine.prepare(self.rules, batch, segment))
            (effect,) = lane.cover(5, "record")
            assert isinstance(effect, PutPart)
            made.append(effect.part)
        return made

    def staged(self, parts: Sequence[Part], *, hear: bool = True) -> tuple[Pooled, Stage]:
        """The pool of these parts after the second stage."""
        grading, rules = self.engine.grading, self.rules
        texts = rivals.texts(parts, rules, late=False) if hear else ()
        told = rivals.match(texts, (ledger.read(part.ledger) for part in parts))
        pool = pooled(parts, grading, rules, Late.none(), rivals=told)
        narrowed = cascade.narrow(pool, rules)
        rows = cascade.wanted(pool, narrowed)
        second = self.engine.second
        assert second is not None
        scores = second.score(pool.columns, [row for _, row in rows], shares(rules.terms.classes))
        held = seconds.of(pool.columns, rows, scores)
        return pool, cascade.weigh(pool, narrowed, held, grading, rules)

    def selected(self, parts: Sequence[Part]) -> set[Key]:
        """As shards are made: the second stage acts once all lanes have met."""
        pool, stage = self.staged(parts)
        taken, _, _ = merge.select(pool, self.rules, CAPACITY, stage)
        return {key_of(pool, one.row) for one in taken.values()}

    def selected_early(self, parts: Sequence[Part]) -> set[Key]:
        """As a lane would have it that does not wait for the others."""
        box = build_pool(self.rules, CAPACITY)
        for part in parts:
            pool, stage = self.staged([part])
            taken, _, _ = merge.select(pool, self.rules, CAPACITY, stage)
            rows = [one.row for one in taken.values()]
            offer(Keyed(box, pool), pool.columns, rows, self.rules)
        return set(box.items().items)


class Keyed:
    """A reservoir whose items are keys, as rows of several pools have the same numbers."""

    def __init__(self, box: Any, pool: Pooled) -> None:
        self._box, self._pool = box, pool

    def offer_many(self, groups: Any, ranks: Any, ids: Any, orders: Any, rows: Any, n: Any) -> None:
        self._box.offer_many(groups, ranks, ids, orders, [key_of(self._pool, r) for r in rows], n)


def key_of(pool: Pooled, row: int) -> Key:
    columns = pool.columns
    return columns["group"][row], columns["key_hi"][row], columns["key_lo"][row]


def differing(select: Callable[[World, Sequence[Part]], set[Key]], worlds: int) -> int:
    """In how many worlds three lanes give another selection than one."""
    store, count = published(small()), 0
    for seed in range(worlds):
        rng = random.Random(seed)
        values = [
            say(n, f"say {int(rng.paretovariate(0.5)) % 150}", rng.choice([*CLASSES, "music"]))
            for n in range(POPULATION)
        ]
        lanes: list[list[bytes]] = [[], [], []]
        for value in values:
            lanes[rng.choice([0, 0, 1, 2])].append(value)
        world = World(b"world %d" % seed, store)
        one = select(world, world.parts([values]))
        assert CAPACITY // 3 < len(one) <= CAPACITY, "most labels of a text lose to another"
        count += one != select(world, world.parts(lanes))
    return count


def test_the_second_stage_acts_after_all_lanes_have_met() -> None:
    assert differing(World.selected, 15) == 0


def test_a_second_stage_in_lanes_would_depend_on_how_records_lie_in_them() -> None:
    """The law can fail: so it is not enough that ranks are functions of their keys."""
    assert differing(World.selected_early, 12) >= 8


@pytest.mark.slow
def test_so_it_is_in_three_hundred_worlds() -> None:
    assert differing(World.selected, 300) == 0
    assert differing(World.selected_early, 300) > 200


@pytest.fixture(scope="module")
def estimates() -> tuple[list[float], list[float]]:
    """Horvitz-Thompson counts under many keys: as published, and by the second tau alone."""
    store = published(small(identity="id"))
    values = [say(n, f"say {n}", CLASSES[n % 4]) for n in range(POPULATION)]
    both, alone = [], []
    for number in range(70):
        world = World(b"key %028d" % number, store)
        pool, stage = world.staged(world.parts([values[::2], values[1::2]]))
        both.append(total(merge.select(pool, world.rules, CAPACITY, stage)[0]))
        never = {row: (weight, NEVER) for row, (weight, _) in stage.first.items()}
        blind = dataclasses.replace(stage, first=never)
        first = {r: dataclasses.replace(one, log_tau=NEVER) for r, one in pool.first.items()}
        pool = dataclasses.replace(pool, first=first)
        alone.append(total(merge.select(pool, world.rules, CAPACITY, blind)[0]))
    return both, alone


def test_chances_of_two_stages_give_unbiased_totals(
    estimates: tuple[list[float], list[float]],
) -> None:
    """One draw for both: 1 - exp(-min(w1 tau1, w2 tau2)); within three standard errors."""
    assert abs(z_score(estimates[0], POPULATION)) < 3
    blind = z_score(estimates[1], POPULATION)
    assert blind < -3, "the second stage alone is biased, so this can fail"


def test_texts_under_two_labels_count_once() -> None:
    """Whether the pool or the first stage turned the likelier label away."""
    store = published(small())
    values = [say(n, f"say {n // 2}", CLASSES[(n // 2 + n % 2) % 4]) for n in range(POPULATION)]
    found: dict[bool, list[float]] = {True: [], False: []}
    for number in range(100):
        world = World(b"key %028d" % number, store)
        parts = world.parts([values[::2], values[1::2]])
        for hear, counted in found.items():
            pool, stage = world.staged(parts, hear=hear)
            if not hear:
                pool = dataclasses.replace(pool, stay=stage.stay)
            counted.append(total(merge.select(pool, world.rules, CAPACITY, stage)[0]))
    assert abs(z_score(found[True], POPULATION // 2)) < 3
    assert z_score(found[False], POPULATION // 2) > 3, "so this can fail"

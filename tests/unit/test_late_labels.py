"""A label that comes after its record counts as one that came with it (law 8)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from buffers import draw
from buffers.base import NEVER
from daemon.lanes import ledger
from daemon.lanes.gather import Gathering
from daemon.lanes.lane import Lane, PutPart
from daemon.lanes.part import Part
from daemon.lanes.pin import FIRST
from daemon.lanes.window import Segment
from daemon.policy import Arms, Groups, Kind, Policy, Quarantine
from daemon.ports import Batch, LaneId, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import merge
from daemon.shards.late import match
from daemon.shards.pool import pooled
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS
from tests.selection import labelled, lane_split, run, selected, shard_rows, total, z_score
from tests.streams import CLASSES, PERIOD_MS, Record, publish_table, say, small_policy
from tests.worlds import shards

CALM = Quarantine(assumed_rate=0.0)
STRICT = Quarantine(assumed_rate=0.3, margin=1.0)
EL2N = Kind("weighted", {"score": "el2n"})


def told(labels: dict[int, str]) -> list[Record]:
    """Late labels of utterances, in the window after theirs."""
    return [
        (6 * PERIOD_MS + at, msgspec.json.encode({"id": f"u{n}", "label": label}))
        for at, (n, label) in enumerate(labels.items())
    ]


def sooner_or_later(
    labels: dict[int, str], texts: Callable[[int], str], count: int, policy: Policy, lanes: int
) -> tuple[Store, Store]:
    """The same labels in the records, and later in a lane of their own."""
    sooner = [say(n, texts(n), labels.get(n)) for n in range(count)]
    later = lane_split([say(n, texts(n)) for n in range(count)], lanes)
    later[LABELS] = told(labels)
    return run(lane_split(sooner, lanes), policy), run(later, policy)


def kept(store: Store) -> list[Any]:
    """What the selection holds, but for the lane's own order."""
    names = ("text", "group", "label", "log_rank", "weight", "multiplicity")
    return sorted(tuple(row[name] for name in names) for row in selected(store))


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("select", [EL2N, Kind("default")], ids=["el2n", "default"])
def test_labels_that_come_late_select_what_they_would_have_selected_in_time(
    lanes: int, select: Kind
) -> None:
    """With `el2n` a record without a label is refused, so it must be brought back."""
    policy = small_policy(
        identity="id", select=select, capacity_rows=30, pool_rows=120, quarantine=STRICT,
        groups=Groups(by=("label", "argmax"), limit=9),
    )  # fmt: skip
    labels = {n: CLASSES[n * 5 % 4] for n in range(100)}
    sooner, later = sooner_or_later(labels, lambda n: f"say {n}", 100, policy, lanes)
    assert shards(later)[5].labelled.late == 100 and shards(later)[5].labelled.outside_pool == 0
    if select == EL2N:
        assert shards(later)[5].counts["no_label"] == 100
    assert kept(sooner) == kept(later) and len(kept(later)) > 15


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_a_label_speaks_for_its_text_whoever_of_its_records_it_was_given_to(lanes: int) -> None:
    """A text is shown by its first record, and annotators may be asked about any other."""
    policy = small_policy(select=EL2N, quarantine=CALM, capacity_rows=20)
    values = lane_split([say(n, f"say {n % 8}") for n in range(80)], lanes)
    values[LABELS] = told({72 + n: CLASSES[n % 4] for n in range(8)})
    store = run(values, policy)
    rows = selected(store)
    assert {row["text"]: row["label"] for row in rows} == {
        f"say {n}": CLASSES[n % 4] for n in range(8)
    }
    assert {row["multiplicity"] for row in rows} == {10}
    assert (shards(store)[5].labelled.late, shards(store)[5].labelled.lost) == (8, 0)


@pytest.mark.parametrize("lanes", [1, 4])
def test_of_late_labels_that_disagree_about_a_text_the_most_plausible_counts(lanes: int) -> None:
    policy = small_policy(select=EL2N, quarantine=CALM, capacity_rows=20)
    plain = lane_split([say(n, f"say {n % 4}") for n in range(16)], lanes)
    judged = {}
    for label in CLASSES:
        alone = {**plain, LABELS: told({8 + n: label for n in range(4)})}
        for row in selected(run(alone, policy)):
            judged[row["text"], label] = row["plausibility"]
    everything = {n: CLASSES[(n // 4 + n) % 4] for n in range(16)}
    store = run({**plain, LABELS: told(everything)}, policy)
    rows = selected(store)
    assert len(rows) == 4 and shards(store)[5].labelled.lost == 12
    for row in rows:
        assert row["plausibility"] == max(judged[row["text"], label] for label in CLASSES)


def test_a_suspect_whose_label_is_corrected_is_a_candidate_again() -> None:
    policy = small_policy(identity="id", quarantine=STRICT, capacity_rows=60, pool_rows=100)
    values = labelled(100)
    store = run(lane_split(values, 2), policy)
    manifest = shards(store)[5]
    suspects = [row for row in shard_rows(store) if row["arms"] == ["review"]]
    assert manifest.counts["suspect"] > 5 and suspects
    corrected = {int(row["id"][1:]): row["argmax"] for row in suspects}
    records = {**lane_split(values, 2), LABELS: told(corrected)}
    after = {row["id"]: row for row in selected(run(records, policy))}
    assert {f"u{n}" for n in corrected} <= set(after)
    for n, label in corrected.items():
        assert (after[f"u{n}"]["label"], after[f"u{n}"]["group"]) == (label, label)


@pytest.mark.parametrize("lanes", [1, 4])
def test_labels_of_rows_outside_the_candidates_change_counts_only(lanes: int) -> None:
    policy = small_policy(identity="id", capacity_rows=4, pool_rows=16, arms=Arms(0, 1, 0))
    values = lane_split(labelled(90), lanes)
    bare = run(values, policy)
    changed = 0
    for n in range(8):
        store = run({**values, LABELS: told({n: "music", 10_000: "music"})}, policy)
        said = shards(store)[5].labelled
        assert said.late + said.outside_pool == 1, "of ids that the window knows"
        if said.outside_pool:
            assert shard_rows(store) == shard_rows(bare)
            changed += 1
    assert changed


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
        lane.begin(5, Gathering(rules, engine.grading.names))
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


@pytest.fixture(scope="module", params=["relabelled", "brought back"])
def estimates(request: pytest.FixtureRequest) -> tuple[list[float], list[float]]:
    """Horvitz-Thompson counts of the window under many keys: as published, second stage alone.

    The late labels change a label, or bring back what was refused without one.
    """
    bare = request.param == "brought back"
    policy = small_policy(
        identity="id", capacity_rows=30, pool_rows=45, select=Kind("weighted", {"score": "el2n"}),
        groups=Groups(by=("label",), floor_rows=1), quarantine=Quarantine(assumed_rate=0.0),
    )  # fmt: skip
    store = MemoryStore()
    publish_table(Registry(store), policy)
    values = [
        say(n, f"say {n}", None if bare and n % 2 == 0 else CLASSES[n % 4])
        for n in range(POPULATION)
    ]
    both, alone = [], []
    for number in range(160):
        key = b"key %028d" % number
        parts, engine, rules = window_parts(store, key, values)
        late = match(late_labels(key), [ledger.read(part.ledger) for part in parts])
        pool = pooled(parts, engine.grading, rules, late)
        both.append(total(merge.select(pool, rules, 30)[0]))
        never = {r: dataclasses.replace(one, log_tau=NEVER) for r, one in pool.first.items()}
        blind = dataclasses.replace(pool, first=never)
        alone.append(total(merge.select(blind, rules, 30)[0]))
    return both, alone


def test_inclusion_probabilities_of_two_stages_give_unbiased_totals(
    estimates: tuple[list[float], list[float]],
) -> None:
    """One draw for both stages: 1 - exp(-min(w1 tau1, w2 tau2)); within three standard errors."""
    assert abs(z_score(estimates[0], POPULATION)) < 3
    blind = z_score(estimates[1], POPULATION)
    assert blind < -3, "the second stage alone is biased, so this can fail"

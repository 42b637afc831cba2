"""Contradicting labels of one text: all but the most plausible go to review, and are counted.

Their places are the next rows'.
"""

from __future__ import annotations

from typing import Any

import pytest

from buffers import draw
from daemon.lanes import ledger
from daemon.offline import selection as offline
from daemon.policy import Groups, Kind, Policy, Quarantine
from daemon.ports import Store
from daemon.registry.registry import Registry
from daemon.shards import merge, rivals
from daemon.shards.late import Late
from daemon.shards.pool import pooled
from daemon.stores.memory import MemoryStore
from tests import selection
from tests.streams import CLASSES, publish_table, say, small_policy
from tests.unit.test_late_labels import window_parts
from tests.unit.test_offline_selection import candidates, engine_of
from tests.worlds import shards


def test_a_row_moved_to_review_says_how_often_its_text_was_said() -> None:
    values = [say(n, "the same", f"unknown {n % 2}") for n in range(10)]
    policy = small_policy(quarantine=Quarantine(assumed_rate=0.0))
    store = selection.run(selection.lane_split(values, 2), policy)
    rows = selection.shard_rows(store)
    moved = [row for row in rows if "review" in row["arms"] and "selected" not in row["arms"]]
    assert [row["multiplicity"] for row in moved] == [5]


def by_hypothesis(**changes: Any) -> Policy:
    groups = Groups(by=("hypothesis", "label", "argmax"), support=1, limit=9)
    quarantine = Quarantine(assumed_rate=0.0)
    return small_policy(
        select=Kind("weighted"), capacity_rows=40, groups=groups, quarantine=quarantine, **changes
    )


def said(labels: list[str]) -> list[bytes]:
    """One text, under another hypothesis each time, among others."""
    others = [say(n, f"say {n}", CLASSES[n % 4], intent=CLASSES[n % 4]) for n in range(8)]
    return others + [
        say(100 + n, "the same", label, intent=CLASSES[n]) for n, label in enumerate(labels)
    ]


def of_text(store: Store) -> list[tuple[str, list[str]]]:
    """(label, arms that tell of quarantine) of its rows."""
    rows = [row for row in selection.shard_rows(store) if row["text"] == "the same"]
    return [(row["label"], [a for a in row["arms"] if a in ("selected", "review")]) for row in rows]


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("capacity", [6, 12])
def test_a_row_that_loses_gives_its_place_to_the_next(lanes: int, capacity: int) -> None:
    """Held against every slot of every group, listed without those rows."""
    policy = small_policy(
        capacity_rows=capacity, pool_rows=100, quarantine=Quarantine(assumed_rate=0.0)
    )
    names = [*CLASSES, "music", "music", "music"]
    values = [say(n, f"say {n * 7 % 25}", names[n * n % 7]) for n in range(150)]
    store = selection.run(selection.lane_split(values, lanes), policy)
    manifest, rows = shards(store)[5], selection.ledger_rows(store, 5)
    lost = selection.losers(rows, store)
    expected = selection.brute_force(rows, store, capacity, lost)
    found = sorted(
        (round(row["log_rank"] * draw.RANK_UNIT), row["multiplicity"])
        for row in selection.selected(store)
    )
    assert len(found) == capacity and found == sorted(expected["kept"].values())
    assert {k: v for k, v in manifest.taus.items() if ":" not in k} == expected["taus"]
    before = selection.brute_force(rows, store, capacity)["kept"]
    assert manifest.contradictions == len(lost & set(before)) > 0, "those that had had a place"


@pytest.fixture(scope="module")
def totals() -> tuple[list[float], list[float]]:
    """Horvitz-Thompson counts of sixty texts, each under two labels, under many keys.

    And the same without what the ledgers say. Pools are twice as large as the shard.
    """
    policy = small_policy(
        capacity_rows=20, groups=Groups(by=("label",), floor_rows=1),
        select=Kind("weighted"), quarantine=Quarantine(assumed_rate=0.0),
    )  # fmt: skip
    values = [say(n, f"say {n // 2}", CLASSES[(n // 2 + n % 2) % 4]) for n in range(120)]
    store = MemoryStore()
    publish_table(Registry(store), policy)
    heard, unheard = [], []
    for number in range(160):
        parts, engine, rules = window_parts(store, b"key %028d" % number, values)
        texts = rivals.texts(parts, rules, late=False)
        found = rivals.match(texts, [ledger.read(part.ledger) for part in parts])
        for told, counted in ((found, heard), (rivals.NOBODY, unheard)):
            pool = pooled(parts, engine.grading, rules, Late.none(), rivals=told)
            assert len(pool.first) == 40
            counted.append(selection.total(merge.select(pool, rules, 20)[0]))
    return heard, unheard


def test_probabilities_of_rows_of_contradicted_texts_give_unbiased_totals(
    totals: tuple[list[float], list[float]],
) -> None:
    """Within three standard errors, though pools turned two thirds of the labels away."""
    assert abs(selection.z_score(totals[0], 60)) < 3
    assert selection.z_score(totals[1], 60) > 3, "unheard rivals leave a bias, so this can fail"


@pytest.mark.parametrize("label", ["music", "unknown"])
def test_one_label_under_several_hypotheses_contradicts_nothing(label: str) -> None:
    store = selection.run(selection.lane_split(said([label] * 3), 2), by_hypothesis())
    assert of_text(store) == [(label, ["selected"])] * 3
    assert shards(store)[5].contradictions == 0


@pytest.mark.parametrize("labels", [["music", "alarm", "music"], ["alarm", "music", "alarm"]])
def test_only_rows_of_a_less_plausible_label_lose(labels: list[str]) -> None:
    store = selection.run(selection.lane_split(said(labels), 1), by_hypothesis())
    found = [(label, arms) for label, arms in of_text(store) if "selected" in arms]
    moved = [label for label, arms in of_text(store) if arms == ["review"]]
    judged = {r["label"]: r["plausibility"] for r in selection.shard_rows(store)
              if r["text"] == "the same"}  # fmt: skip
    best = max(judged, key=lambda label: judged[label])
    assert {label for label, _ in found} == {best} and len(found) == labels.count(best)
    assert set(moved) == set(labels) - {best}
    assert shards(store)[5].contradictions == len(moved) == 3 - len(found)


@pytest.mark.parametrize("labels", [["music"] * 3, ["music", "alarm", "music"], ["music", "odd"]])
def test_a_selection_in_memory_compares_labels_too(labels: list[str]) -> None:
    policy = by_hypothesis()
    records = selection.lane_split(said(labels), 1)
    store = selection.run(records, policy)
    engine, rules = engine_of(store, 5)
    rows, ids, _ = candidates(engine, next(iter(records.values())))
    kept = offline.select(rows, rules, policy.capacity_rows)
    assert sorted(ids[row] for row in kept.rows) == sorted(
        row["id"] for row in selection.selected(store)
    )
    assert len(kept.contradicted) == shards(store)[5].contradictions == len(set(labels)) - 1


def test_a_text_that_was_said_twice_lately_is_two_rows_of_the_newest() -> None:
    """The reservoir `newest` keeps records, of which two may be one text and label."""
    policy = by_hypothesis(reservoir=Kind("newest"))
    values = said(["music"]) + [say(n, "the same", "music", intent=CLASSES[0]) for n in (7, 8)]
    store = selection.run(selection.lane_split(values, 1), policy)
    assert of_text(store) == [("music", ["selected"])] * 3
    assert shards(store)[5].contradictions == 0

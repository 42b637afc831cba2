"""Contradicting labels of one text: all but the most plausible go to review, and are counted."""

from __future__ import annotations

from typing import Any

import pytest

from daemon.offline import selection as offline
from daemon.policy import Groups, Kind, Policy, Quarantine
from daemon.ports import Store
from tests import selection
from tests.streams import CLASSES, say, small_policy
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

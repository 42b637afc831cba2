"""Arms and late labels: in many lanes as in one, and every probability the true one (law 8)."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
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
from scoring.types import GRID
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
        labels: list[Record] = [
            (6 * PERIOD_MS + at, msgspec.json.encode({"id": f"u{n}", "label": label}))
            for at, (n, label) in enumerate(about)
        ]
        return World(policy, values, labels)

    def cut(self, *edges: int) -> Store:
        """A run in which the records stand, in one order, in a lane between each two edges."""
        records: dict[LaneId, list[Record]] = {LABELS: self.labels}
        bounds = [0, *edges, len(self.values)]
        for number, (first, end) in enumerate(pairwise(bounds)):
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


SEEDS = [3, 5, 7, 25, 77, 104, 105, 117]  # worlds in which the numbers of lanes differed


@pytest.mark.parametrize("seed", SEEDS)
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
    store = run(log, small_policy(identity=identity, select=Kind("band", options)))
    assert shards(store)[5].counts["outside_band"] > 5
    for finding in grades(store, 5, log):
        assert finding.identical, finding


def windows(policy: Policy, values: list[bytes], keys: int) -> Iterator[list[dict[str, Any]]]:
    """The rows of a window's shard under each of many keys; `suspect`: refused for its label."""
    store = MemoryStore()
    publish_table(Registry(store), policy)
    for number in range(keys):
        parts, engine, rules = window_parts(store, b"key %028d" % number, values)
        merged = merge.merge(parts, engine.grading, rules, Late.none())
        table = row_tables.table(merged, rules, engine.grading.names)
        rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
        below = rules.terms.suspect_below or 0
        for row in rows:
            row["suspect"] = row["weight"] == 0 and 0 <= (row["plausibility"] or 0) * GRID < below
        yield rows


def z_score(found: list[float], truth: int) -> float:
    return (statistics.mean(found) - truth) / (statistics.stdev(found) / math.sqrt(len(found)))


def arms_policy(identity: Any, select: Kind, review: int = 5) -> Policy:
    """Small arms beside a small selection, and labels of which many are suspect."""
    return small_policy(
        identity=identity, select=select, capacity_rows=6, pool_rows=20, arms=Arms(5, 5, review),
        quarantine=Quarantine(assumed_rate=0.4, margin=1.0, cap=0.5),
        groups=Groups(by=("label", "argmax"), floor_rows=1),
    )  # fmt: skip


def test_each_probability_of_suspects_and_of_all_rows_gives_unbiased_totals() -> None:
    """Horvitz and Thompson 1952: a suspect in the audit or random arm could have been shown by
    review too, and was given a probability without it: totals came out a quarter too high."""
    policy, suspects, everybody = arms_policy("id", Kind("default")), [], []
    values = [say(n, f"say {n}", CLASSES[n % 4]) for n in range(80)]
    for rows in windows(policy, values, 120):
        assert all(("review" in row["arms"]) <= row["suspect"] for row in rows)
        everybody.append(sum(1 / row["inclusion_probability"] for row in rows))
        suspects.append(sum(1 / row["inclusion_probability"] for row in rows if row["suspect"]))
    assert abs(z_score(everybody, 80)) < 3
    assert abs(z_score(suspects, 65)) < 3, "of 80 records 65 are suspect"


def test_probabilities_of_two_uniform_arms_give_unbiased_totals() -> None:
    """A row that an arm did not take had to be smaller than the largest rank that the arm kept:
    the smallest that it turned away may be the row's own."""
    policy = arms_policy("id", Kind("weighted", {"score": "el2n"}))
    values = [say(n, f"say {n}") for n in range(80)]  # without a label none is selected
    found = []
    for rows in windows(policy, values, 120):
        assert not any({"selected", "review"} & set(row["arms"]) for row in rows)
        found.append(sum(1 / row["inclusion_probability"] for row in rows))
    assert abs(z_score(found, 80)) < 3


def test_of_texts_that_are_kept_once_a_suspect_that_review_did_not_show_has_no_probability() -> (
    None
):
    """Review draws by text, and another record may speak for it: nobody can tell the chance."""
    policy = arms_policy("text", Kind("default"), review=3)
    values = [say(n, f"say {n % 30}", CLASSES[n % 4]) for n in range(80)]
    seen = [row for rows in windows(policy, values, 10) for row in rows if row["suspect"]]
    reviewed = ["review" in row["arms"] for row in seen]
    assert [row["inclusion_probability"] is not None for row in seen] == reviewed
    assert reviewed.count(True) > 20 and reviewed.count(False) > 40


WARM = {"quarantine": Quarantine(assumed_rate=0.0), "groups": Groups(by=("argmax",))}
COLD = {"quarantine": Quarantine(assumed_rate=None), "groups": Groups(by=("label", "argmax"))}
ORDERS = [(None, "music"), ("music", None), ("music", "music"), (None, None)]


def only(text: str, labels: tuple[str | None, ...], policy: Policy, late: dict[int, str]) -> Any:
    """The row of a text that was said once in each of two lanes, and what late labels did."""
    records: dict[LaneId, list[Record]] = {
        LaneId("u", n): [(5 * PERIOD_MS + n, say(n, text, label))] for n, label in enumerate(labels)
    }
    store = run(records | {LABELS: told(late)}, policy)
    (row,) = selected(store)
    assert row["multiplicity"] == len(labels)
    return row, shards(store)[5].labelled


@cache
def plausibility(text: str, label: str) -> float:
    """Of a label that came with its record."""
    row, _ = only(text, (label,), small_policy(select=Kind("default"), **WARM), {})
    return float(row["plausibility"])


@pytest.mark.parametrize("about", [0, 1], ids=["of the row shown", "of the other"])
@pytest.mark.parametrize("own", ORDERS, ids=str)
@pytest.mark.parametrize("terms", [WARM, COLD], ids=["argmax", "cold"])
def test_a_late_label_speaks_for_its_text_whatever_its_record_said(
    terms: dict[str, Any], own: tuple[str | None, str | None], about: int
) -> None:
    """Law 8: where labels are no part of the key, a late label was heard only by a row whose own
    label was the one that it corrected. Of two that are left the more plausible counts."""
    policy = small_policy(select=Kind("default"), **terms)
    outcomes = set()
    for text in ("say 1", "say 2"):
        row, said = only(text, own, policy, {about: "alarm"})
        left = {"alarm", own[0] if about and own[0] else "alarm"}
        judged = {label: plausibility(text, label) for label in left}
        assert row["label"] == max(judged, key=judged.__getitem__)
        assert row["plausibility"] == judged[row["label"]]
        assert (said.late, said.outside_pool, said.lost) == (1, 0, len(left) - 1)
        outcomes.add(row["label"])
    assert outcomes == ({"alarm", "music"} if about and own[0] else {"alarm"})

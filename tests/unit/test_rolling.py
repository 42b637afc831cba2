"""The rolling reservoir is a merge of parts (law 9)."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec
import numpy as np
import pytest

from buffers import draw
from daemon import tables
from daemon.derived.history import History
from daemon.derived.rolling import LN2_STEPS, Rolled, decay_steps, roll, write
from daemon.policy import Groups, Policy, Quarantine, Rolling
from daemon.ports import LaneId, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import shard
from scoring.types import GRID
from tests.cases import Case, Edition, Schedule, random_case, schedules
from tests.selection import lane_split, ledger_rows, run
from tests.streams import CLASSES, KEY, Record, say, small_policy
from tests.worlds import play, shards

WINDOWS = range(5, 11)


def policy(half_life: int | None, **changes: Any) -> Policy:
    rolling = Rolling(windows=4, capacity_rows=20, half_life_windows=half_life)
    return small_policy(
        rolling=rolling, groups=Groups(by=("label",), limit=9),
        quarantine=Quarantine(assumed_rate=0.0), **changes,
    )  # fmt: skip


def stream(moody: bool = False) -> dict[LaneId, list[Record]]:
    """Texts that return window after window, with one label each or with a label by window."""
    records: dict[LaneId, list[Record]] = {LaneId("u", n): [] for n in range(2)}
    for window in WINDOWS:
        texts = [(window * 7 + n) % 60 for n in range(40)]
        values = [
            say(window * 100 + n, f"say {t}", CLASSES[(t * t + moody * window) % 4])
            for n, t in enumerate(texts)
        ]
        for lane, rows in lane_split(values, 2, window).items():
            records[lane] += rows
    return records


def rolled(store: Store, newest: int) -> Rolled:
    return roll(History(Registry(store), Engines(store, KEY, threads=1)), newest)


def brute_force(store: Store, newest: int, half_life: int | None) -> set[tuple[str, str]]:
    """(group, log-rank) of what is kept: the smallest decayed rank of every key of every window."""
    history = History(Registry(store), Engines(store, KEY, threads=1))
    _, rules = history.rules(newest)
    best: dict[tuple[int, int, int], int] = {}
    for window in range(newest - 3, newest + 1):
        rows = [row for row in ledger_rows(store, window) if row["reason"] == 0]
        keys = np.array([(r["key_hi"], r["key_lo"]) for r in rows], np.uint64)
        weights = np.array([r["weight"] for r in rows], np.int16)
        ranks = draw.log_rank(draw.draw(keys, "select", 0, KEY), weights).tolist()
        for row, rank in zip(rows, ranks, strict=True):
            key = (row["group"], row["key_hi"], row["key_lo"])
            aged = rank + decay_steps(newest - window, half_life)
            best[key] = min(best.get(key, aged), aged)
    slots = []
    for group, target in enumerate(rules.quotas.targets.tolist()):
        members = sorted(rank for key, rank in best.items() if key[0] == group)
        floor = int(rules.quotas.floors[group])
        for j, rank in enumerate(members, start=1):
            level = (0, j << 40) if j <= floor else (1, (j << 40) // target)
            slots.append((level, int(rules.quotas.ties[group]), rules.groups[group], rank))
    return {(group, str(rank)) for _, _, group, rank in sorted(slots)[:20]}


@pytest.mark.parametrize("half_life", [None, 2])
def test_a_rolling_shard_is_the_brute_force_selection_of_its_windows(half_life: int | None) -> None:
    store = run(stream(), policy(half_life))
    newest = 10
    made = rolled(store, newest)
    assert made.windows == (7, 8, 9, 10), "as many windows as the policy keeps"
    assert sum(made.kept.values()) == len(made.rows["id"]) == 20
    found = set()
    for group, rank, window in zip(
        made.rows["group"], made.rows["log_rank"], made.rows["window"], strict=True
    ):
        plain = round(rank * draw.RANK_UNIT)
        found.add((group, str(plain + decay_steps(newest - window, half_life))))
    assert found == brute_force(store, newest, half_life)


def test_of_labels_that_contradict_between_windows_the_most_plausible_stays() -> None:
    wide = msgspec.structs.replace(
        policy(None, capacity_rows=100), rolling=Rolling(windows=4, capacity_rows=400)
    )
    store = run(stream(moody=True), wide)
    rows = rolled(store, 10).rows
    assert len(rows["text"]) == len(set(rows["text"])) > 40
    judged: dict[str, float] = {}
    for window in range(7, 11):
        columns, _ = tables.decode(store.get(shards(store)[window].rows_object))
        for text, value in zip(columns["text"], columns["plausibility"], strict=True):
            judged[text] = max(value, judged.get(text, 0.0))
    assert all(p <= judged[t] for t, p in zip(rows["text"], rows["plausibility"], strict=True))
    assert rows["plausibility"] == [judged[text] for text in rows["text"]]


def test_a_label_that_a_window_turned_away_contradicts_the_candidates_of_others() -> None:
    """Ten texts of a rare label are all kept; of the next window's forty half are turned away."""
    records: list[Record] = []
    for window, texts, label in ((7, 10, 0), (8, 40, 1), (9, 4, 2), (10, 4, 3)):
        said = [say(window * 100 + n, f"say {n}", CLASSES[label]) for n in range(texts)]
        records += lane_split(said, 1, window)[LaneId("u", 0)]
    store = run({LaneId("u", 0): records}, policy(None, capacity_rows=6, pool_rows=20))
    best: dict[int, int] = {}
    for window in range(7, 11):
        for row in ledger_rows(store, window):
            if row["reason"] == 0:
                best[row["key_hi"]] = max(row["plausibility"], best.get(row["key_hi"], -1))
    rows = rolled(store, 10).rows
    keys = draw.identity(KEY, "text", [f"\x1f{text}" for text in rows["text"]])[:, 0].tolist()
    assert [round(p * GRID) for p in rows["plausibility"]] == [best[key] for key in keys] != []


def test_a_label_that_loses_between_windows_gives_its_place_to_the_next() -> None:
    store = run(stream(moody=True), policy(None, capacity_rows=100))
    made = rolled(store, 10).rows
    assert len(made["text"]) == len(set(made["text"])) == 20


def test_decay_is_a_constant_per_window() -> None:
    """Forward decay: halving a weight adds ln 2 to a log-rank, so no rank is ever rewritten."""
    assert decay_steps(0, 5) == 0 == decay_steps(9, None)
    assert decay_steps(5, 5) == LN2_STEPS
    assert pytest.approx(0.6931471805599453, rel=1e-11) == LN2_STEPS / draw.RANK_UNIT
    steps = [decay_steps(age, 3) for age in range(20)]
    assert steps == sorted(steps) and len(set(steps)) == 20


def test_old_rows_give_way_where_there_is_a_half_life() -> None:
    def ages(half_life: int | None) -> float:
        made = rolled(run(stream(), policy(half_life)), 10)
        return sum(10 - window for window in made.rows["window"]) / len(made.rows["window"])

    assert ages(1) < ages(None)


def rolls(seed: int) -> bool:
    """What is salted by its window is not rolled."""
    return all(edition.policy.rolling for edition in random_case(seed).editions)


@pytest.mark.parametrize("seed", list(filter(rolls, range(40)))[:5])
def test_a_rolling_shard_does_not_depend_on_schedules(seed: int) -> None:
    case: Case = random_case(seed)
    digests = set()
    for way in schedules(seed, 2):
        store = play(case, way)
        made = rolled(store, max(shards(store)))
        digests.add((made.rows_digest, made.selection_digest, made.windows))
    assert len(digests) == 1


def test_windows_of_several_editions_merge_under_the_newest_rules() -> None:
    first, later = policy(None), policy(None, capacity_rows=5)
    records = stream()
    case = Case(
        records, dict.fromkeys(records, "utterances"),
        msgspec.structs.replace(random_case(0).stream, grace=1, label_wait=0, lag=3),
        (Edition(first), Edition(later, 9, seed=1)),
    )  # fmt: skip
    store = play(case, Schedule())
    made = rolled(store, 10)
    assert len(made.rows["id"]) == 20
    assert set(made.rows["checkpoint"]) == {m.checkpoint for m in shards(store).values()}
    assert len(set(made.rows["checkpoint"])) == 2


def test_a_rolling_object_is_named_by_its_content_and_says_what_it_is() -> None:
    store = run(stream(), policy(None))
    history = History(Registry(store), Engines(store, KEY, threads=1))
    made = rolled(store, 10)
    for _ in range(2):
        write(history, made)
    names = list(store.list(shard.ROLLING_PREFIX))
    assert names == [made.name] and made.rows_digest[:32] in made.name
    rows, footer = tables.decode(store.get(made.name))
    assert shard.digests(rows, 10) == (made.selection_digest, made.rows_digest)
    assert msgspec.json.decode(footer)["windows"] == [7, 8, 9, 10]


def test_candidates_of_cold_windows_are_contradicted_too() -> None:
    """Nobody knew the noise of their labels, but they compete under the newest rules."""
    rng, records, number = random.Random(4), dict[LaneId, list[Record]](), itertools.count()
    for window in WINDOWS:
        values = [
            say(next(number), f"say {rng.randrange(60)}", rng.choice(CLASSES)) for _ in range(150)
        ]
        for lane, rows in lane_split(values, 2, window).items():
            records.setdefault(lane, []).extend(rows)
    unknown = policy(None, capacity_rows=10)
    known = msgspec.structs.replace(unknown, quarantine=Quarantine(assumed_rate=0.0))
    unknown = msgspec.structs.replace(unknown, quarantine=Quarantine())
    kinds = dict.fromkeys(records, "utterances")
    waits = msgspec.structs.replace(random_case(0).stream, grace=1, label_wait=0, lag=3)
    editions = Edition(unknown), Edition(known, 9)  # of one checkpoint
    store = play(Case(records, kinds, waits, editions), Schedule())
    history = History(Registry(store), Engines(store, KEY, threads=1))
    made = shards(store)
    assert [bool(manifest.cold) for manifest in made.values()] == [True] * 4 + [False] * 2
    best: dict[int, int] = {}
    for window in (9, 10):
        for row in ledger_rows(store, window):
            if row["reason"] == 0:
                best[row["key_hi"]] = max(row["plausibility"], best.get(row["key_hi"], -1))
    rows = roll(history, 10).rows
    keys = draw.identity(KEY, "text", [f"\x1f{text}" for text in rows["text"]])[:, 0].tolist()
    shown = [round(p * GRID) for p in rows["plausibility"]]
    assert {7, 8} & {*rows["window"]}
    assert all(p >= best.get(key, -1) for key, p in zip(keys, shown, strict=True))

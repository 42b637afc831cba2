"""Near repeats from records to rows: one bucket is one row, however the log is cut (law 2)."""

from __future__ import annotations

import dataclasses
import random
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buffers import draw
from daemon.decode.near import Identity, folding
from daemon.offline import selection
from daemon.policy import Arms, Kind, Policy, Quarantine
from daemon.ports import LaneId, Store
from daemon.sources import replay
from daemon.stores import local
from tests.cases import LABELS, Case, Edition, Schedule, random_case, schedules
from tests.erasing import ASKED, ask
from tests.replay.test_crashes import record
from tests.selection import (
    WAITS,
    brute_force,
    lane_split,
    ledger_rows,
    losers,
    run,
    selected,
    shard_rows,
)
from tests.streams import CLASSES, PERIOD_MS, Record, say, small_policy
from tests.unit.test_novelty import STREAM, novel
from tests.unit.test_offline_selection import candidates, engine_of, shown, told
from tests.unit.test_verify import fates
from tests.worlds import outcome, play, publish_all, shards, world_of

WAYS = ("{}", "{}", "um, {}", "{} please!", "can you {}?", "hey, i'd like to {}", "So: {}.")
OPEN = Quarantine(assumed_rate=0.0)


def nearly(text: str, rng: random.Random) -> str:
    """Another surface of the same bucket."""
    return rng.choice(WAYS).format(text)


def near_policy(**changes: Any) -> Policy:
    return small_policy(**{"identity": "near-en", **changes})


def log(seed: int, count: int = 150, texts: int = 25) -> list[bytes]:
    """Records of one window in some order, with labels as unequal as traffic."""
    rng = random.Random(seed)
    names = [*CLASSES, "music", "music", "music", None]
    said = [(n, nearly(f"say {n * 7 % texts}", rng), names[n * n % 8]) for n in range(count)]
    return [say(n, text, label) for n, text, label in said]


def kept(store: Store) -> set[tuple[Any, ...]]:
    """The selection without which record is shown."""
    return {(r["group"], r["log_rank"], r["weight"], r["multiplicity"]) for r in selected(store)}


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_shard_is_the_brute_force_selection_of_its_buckets(lanes: int) -> None:
    values = log(1)
    store = run(lane_split(values, lanes), near_policy(capacity_rows=16, pool_rows=200))
    rows = ledger_rows(store, 5)
    expected = brute_force(rows, store, 16, losers(rows, store))
    manifest = shards(store)[5]
    found = sorted((round(r["log_rank"] * draw.RANK_UNIT), r["multiplicity"])
                   for r in selected(store))  # fmt: skip
    assert len(expected["kept"]) == 16 and not manifest.cold
    assert found == sorted(expected["kept"].values()) and manifest.contradictions
    assert {k: v for k, v in manifest.taus.items() if ":" not in k} == expected["taus"]
    of_key: dict[tuple[int, int, int], set[tuple[int, ...]]] = {}
    for row in rows:
        scores = tuple(row[name] for name in ("weight", "plausibility", "score_entropy"))
        of_key.setdefault((row["group"], row["key_hi"], row["key_lo"]), set()).add(scores)
    assert len({key[1] for key in of_key}) == 25, "every surface of a text is in its bucket"
    assert all(len(scores) == 1 for scores in of_key.values()), "the model reads the bucket"
    unshown = [r for r in shard_rows(store) if "selected" not in r["arms"] and r["weight"]]
    assert unshown and {row["inclusion_probability"] for row in unshown} == {None}


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(40)), st.integers(1, 4), st.sampled_from(["near", "near-en"]))
def test_order_and_lanes_change_nothing_but_which_record_is_shown(
    order: list[int], lanes: int, identity: Identity
) -> None:
    policy = near_policy(identity=identity, capacity_rows=8, quarantine=OPEN)
    values = log(2, 40, 12)
    one = run(lane_split(values, 1), policy)
    other = run(lane_split([values[n] for n in order], lanes), policy)
    assert kept(other) == kept(one) and kept(one)
    assert shards(other)[5].taus == shards(one)[5].taus


def test_the_first_record_of_a_bucket_is_shown_and_all_are_counted() -> None:
    said = ["Um, play jazz", "play jazz", "play jazz please", "stop", "Stop!", "can you stop"]
    values = [say(n, text, "music") for n, text in enumerate(said)]
    for identity, expected in (
        ("near-en", {"Um, play jazz": 3, "stop": 3}),
        ("near", {"Um, play jazz": 1, "play jazz": 1, "play jazz please": 1, "stop": 2,
                  "can you stop": 1}),
        ("text", dict.fromkeys(said, 1)),
    ):  # fmt: skip
        store = run(lane_split(values, 1), near_policy(identity=identity, quarantine=OPEN))
        assert {row["text"]: row["multiplicity"] for row in selected(store)} == expected


def nearly_all(case: Case, identity: Identity, seed: int) -> Case:
    """The case with other surfaces of its texts, under a policy that folds them."""
    rng = random.Random(f"near {seed}")

    def said(record: Record) -> Record:
        time_ms, value = record
        body = msgspec.json.decode(value) if value and b'"text"' in value else {}
        if "text" not in body:
            return record
        return time_ms, msgspec.json.encode({**body, "text": nearly(body["text"], rng)})

    editions = tuple(
        dataclasses.replace(
            one,
            policy=msgspec.structs.replace(
                one.policy,
                identity=identity,
                # as `config check` asks: what reads the label is grouped by it first
                select=one.policy.select if one.policy.groups.by[0] == "label" else Kind("uniform"),
            ),
        )
        for one in case.editions
    )
    records = {lane: list(map(said, rows)) for lane, rows in case.records.items()}
    return dataclasses.replace(case, records=records, editions=editions)


@pytest.mark.parametrize("seed", range(8))
def test_any_schedule_gives_the_same_shards(seed: int) -> None:
    """Other batches, polls and read-ahead; labels that come late, new editions, novelty."""
    case = nearly_all(random_case(seed), "near-en" if seed % 4 else "near", seed)
    first, *others = [outcome(play(case, schedule)) for schedule in schedules(seed, 2)]
    assert first and all(other == first for other in others)


def test_a_recording_on_disk_is_replayed_to_the_same_bytes(tmp_path: Path) -> None:
    """Recorded once, replayed into two stores in another order and in other batches."""
    case = nearly_all(random_case(17), "near-en", 17)
    record(case, tmp_path / "recording")
    found = []
    for order, batch in ((1, 1), (2, 500)):
        store = local.build(local.Options(str(tmp_path / f"store {order}")))
        publish_all(case, store)
        options = replay.Options(str(tmp_path / "recording"), order=order, lanes_at_once=order)
        source: Any = replay.build(options)
        assert world_of(case, store).loop(source, batch_records=batch).run()
        found.append(outcome(store))
    assert len(found[0]) > 3 and found[0] == found[1]


def test_an_edition_that_keeps_texts_makes_what_it_made_before() -> None:
    """Where no text has a near repeat, folded ones are drawn as they were."""
    values = [say(n, f"say {n % 30}", CLASSES[n % 4]) for n in range(120)]
    stores = [run(lane_split(values, 2), near_policy(identity=i)) for i in ("text", "near-en")]
    assert kept(stores[0]) == kept(stores[1])


def test_labels_of_a_bucket_that_contradict_each_other_go_to_review() -> None:
    """As under `text`: the most plausible stays, the others are not filled up."""
    values = [
        say(4 * n + at, text.format(f"say {n}"), CLASSES[(n + at) % 4])
        for n in range(6)
        for at, text in enumerate(("{}", "um {}", "{} please", "{}!"))
    ]
    policy = near_policy(capacity_rows=40, quarantine=OPEN, arms=Arms(0, 1, 30))
    store = run(lane_split(values, 2), policy)
    folded = folding("near-en")
    assert folded is not None
    texts = Counter(folded(row["text"].lower(), None) for row in selected(store))
    assert set(texts.values()) == {1} and len(texts) == 6
    assert shards(store)[5].contradictions == 18


def test_a_late_label_speaks_for_the_bucket() -> None:
    values = [say(0, "um play jazz"), say(1, "play jazz please"), say(2, "stop", "alarm")]
    records = lane_split(values, 1)
    label = msgspec.json.encode({"id": "u1", "label": "music"})
    records[LABELS] = [(6 * PERIOD_MS, label)]
    store = run(records, near_policy(quarantine=OPEN))
    (row,) = [row for row in selected(store) if row["text"] == "um play jazz"]
    assert (row["id"], row["label"], row["multiplicity"]) == ("u0", "music", 2)


def test_a_near_repeat_of_what_was_emitted_is_refused() -> None:
    values = {5: ["play jazz"], 6: ["stop"], 9: ["um, play jazz please", "wake me"]}
    log: dict[LaneId, list[Record]] = {LaneId("u", 0): []}
    for window, texts in values.items():
        rows = [say(100 * window + at, text) for at, text in enumerate(texts)]
        log[LaneId("u", 0)] += [(window * PERIOD_MS, row) for row in rows]
    store = run(log, novel(identity="near-en"), stream=STREAM)
    assert [row["text"] for row in selected(store, 9)] == ["wake me"]
    assert shards(store)[9].counts["already_emitted"] == 1


def test_why_tells_of_every_record_of_a_bucket() -> None:
    rng = random.Random(3)
    values = [say(n, nearly(f"say {n % 9}", rng), "music") for n in range(60)]
    store = run(lane_split(values, 2), near_policy(quarantine=OPEN, arms=Arms(0, 1, 0)))
    rows = selected(store)
    assert sum(row["multiplicity"] for row in rows) == 60 and len(rows) == 9
    verdicts = Counter(fates(store, n)[0].verdict for n in range(60))
    assert verdicts["repeated"] in (50, 51) and verdicts["kept"] == 60 - verdicts["repeated"]


def test_a_row_goes_with_the_record_that_it_shows_and_with_no_near_repeat() -> None:
    """`sluice forget` asks by id: of whom the row is shown, and nobody else."""
    said = ["um, play jazz", "play jazz", "play jazz please", "stop"]
    rows: list[Record] = [(5_000 + n, say(n, text)) for n, text in enumerate(said)]
    records = {LaneId("u", 0): rows}
    kinds = {LaneId("u", 0): "utterances", ASKED: "erasures"}

    def left(*ids: int) -> dict[str, int]:
        asked = {ASKED: [ask(5, id=f"u{n}") for n in ids]}
        edition = Edition(near_policy(quarantine=OPEN))
        store = play(Case({**records, **asked}, kinds, WAITS, (edition,)), Schedule())
        return {row["text"]: row["multiplicity"] for row in selected(store)}

    assert left() == left(1, 2) == {"um, play jazz": 3, "stop": 1}
    assert left(0) == {"stop": 1}


@pytest.mark.parametrize("identity", ["near", "near-en"])
def test_a_shard_of_the_daemon_is_what_is_selected_in_memory(identity: Identity) -> None:
    policy = near_policy(identity=identity, capacity_rows=9)
    records = lane_split(log(4), 1)
    store = run(records, policy)
    engine, rules = engine_of(store, 5)
    rows, ids, _ = candidates(engine, records[LaneId("u", 0)])
    chosen = selection.select(rows, rules, policy.capacity_rows)
    assert told(chosen, rules, ids, rows.names) == shown(selected(store))

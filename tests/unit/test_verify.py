"""Verify in three grades, and why: what a registry can prove of its shards."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest

from daemon import tables
from daemon.derived import ranges, verify
from daemon.derived.history import History
from daemon.derived.why import Fate, why
from daemon.lanes import ledger
from daemon.lanes import part as parts
from daemon.policy import Quarantine
from daemon.ports import LaneId, Missing, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import shard
from daemon.shards.shard import ShardManifest
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS, Case, Schedule, random_case
from tests.selection import labelled, lane_split, ledger_rows, run, shard_rows
from tests.streams import CLASSES, KEY, ListSource, Record, say, small_policy
from tests.worlds import play, shards

Log = dict[LaneId, list[Record]]


def history(store: Store) -> History:
    return History(Registry(store), Engines(store, KEY, threads=1))


def grades(store: Store, window: int, log: Log, step: int = 1) -> list[verify.Finding]:
    looked = history(store)
    manifest = looked.registry.manifest(window)
    source = ListSource(log, {LABELS: "labels"}, step=step)
    return [
        verify.verify_manifest(looked, manifest),
        verify.verify_ledger(looked, manifest),
        verify.verify_log(looked, manifest, ranges.of(source)),
    ]


def verdicts(store: Store, log: Log, window: int = 5) -> dict[str, bool]:
    return {finding.grade: finding.identical for finding in grades(store, window, log)}


@pytest.mark.parametrize("seed", range(8))
def test_good_shards_are_identical_in_every_grade(seed: int) -> None:
    case: Case = random_case(seed)
    store = play(case, Schedule())
    for window in shards(store):
        for finding in grades(store, window, case.records, case.step):
            assert finding.identical, (window, finding)


def test_an_answer_about_a_shard_that_does_not_exist_yet_teaches_nothing_later_either() -> None:
    """A run finds no rows of it; `verify`, which could, must not look either."""
    records = lane_split(labelled(30), 2)
    bodies = [{"id": f"u{n}", "label": "lights", "shard": 5} for n in range(30)]
    records[LABELS] = [(5_001, msgspec.json.encode(body)) for body in bodies]
    store = run(records, small_policy())
    looked = history(store)
    manifest = looked.registry.manifest(5)
    assert manifest.labelled.unmatched == 30
    assert verify.verify_ledger(looked, manifest).identical


def world() -> tuple[Store, Log]:
    log = lane_split(labelled(60, 40), 2)
    policy = small_policy(quarantine=Quarantine(assumed_rate=0.0), capacity_rows=20)
    return run(log, policy), log


def changed(store: Store, name: str, data: bytes) -> Store:
    """The same store with one object replaced, which no process of ours could do."""
    other = MemoryStore()
    for each in store.list(""):
        other.create(each, data if each == name else store.get(each))
    return other


def with_rows(store: Store, alter: Any) -> tuple[Store, ShardManifest, dict[str, list[Any]]]:
    manifest = shards(store)[5]
    rows, footer = tables.decode(store.get(manifest.rows_object))
    alter(rows)
    data = tables.encode(rows, shard.row_types(shard.scores_of(rows)), footer)
    return changed(store, manifest.rows_object, data), manifest, rows


def test_a_changed_row_is_found_by_the_manifest() -> None:
    store, log = world()

    def alter(rows: dict[str, list[Any]]) -> None:
        rows["text"][3] = "never said"

    tampered, _, _ = with_rows(store, alter)
    assert verdicts(store, log) == dict.fromkeys(verify.GRADES, True)
    assert verdicts(tampered, log) == {"manifest": False, "ledger": True, "log": True}


@pytest.mark.parametrize("column", ["text", "weight", "group", "inclusion_probability"])
def test_a_forged_shard_is_found_by_the_ledger_which_names_row_and_column(column: str) -> None:
    """Rows and both digests changed together: the manifest agrees with itself."""
    store, log = world()

    def alter(rows: dict[str, list[Any]]) -> None:
        value = rows[column][3]
        rows[column][3] = f"{value}?" if isinstance(value, str) else value / 2

    tampered, manifest, rows = with_rows(store, alter)
    selection, content = shard.digests(rows, 5)
    forged = msgspec.structs.replace(manifest, selection_digest=selection, rows_digest=content)
    tampered = changed(tampered, shard.manifest_name(5), tables.canonical(forged))
    found = {finding.grade: finding for finding in grades(tampered, 5, log)}
    assert found["manifest"].identical
    assert not found["ledger"].identical
    place = f"{rows['lane'][3]}@{rows['position'][3]}"
    assert found["ledger"].detail == f"row {place} differs in column {column}"


def test_a_row_that_was_left_out_is_named() -> None:
    store, log = world()
    places: list[str] = []

    def alter(rows: dict[str, list[Any]]) -> None:
        places.append(f"{rows['lane'][0]}@{rows['position'][0]}")
        for values in rows.values():
            del values[0]

    tampered, manifest, rows = with_rows(store, alter)
    selection, content = shard.digests(rows, 5)
    forged = msgspec.structs.replace(manifest, selection_digest=selection, rows_digest=content)
    tampered = changed(tampered, shard.manifest_name(5), tables.canonical(forged))
    detail = grades(tampered, 5, log)[1].detail
    assert detail.startswith(f"row {places[0]} is missing from the shard")


def test_another_lesson_is_found() -> None:
    """What a shard taught decides later windows, so it is derived again too."""
    store, log = world()
    manifest = shards(store)[5]
    lesson = msgspec.structs.replace(manifest.calibration, window=4)
    forged = msgspec.structs.replace(manifest, calibration=lesson)
    tampered = changed(store, shard.manifest_name(5), tables.canonical(forged))
    assert "calibration" in grades(tampered, 5, log)[1].detail


def part_name(store: Store) -> str:
    return next(name for name in store.list("parts/u/00000/"))


@pytest.mark.parametrize("honest", [True, False])
def test_a_changed_part_is_found(honest: bool) -> None:
    """Sealed again it has another digest; unsealed it says other rows than its ledger."""
    store, log = world()
    name = part_name(store)
    part = parts.decode(store.get(name))
    rows = {column: values[1:] for column, values in part.rows.items()}
    forged = parts.Part(part.manifest, rows)
    tampered = changed(store, name, parts.encode(parts.seal(forged) if honest else forged))
    found = {finding.grade: finding for finding in grades(tampered, 5, log)}
    assert not found["ledger"].identical and not found["log"].identical
    words = "is not the one that was merged" if honest else "arm pool: the ledger selects other"
    assert words in found["ledger"].detail


def test_a_changed_text_in_a_part_is_found_where_the_row_was_selected() -> None:
    store, log = world()
    name = part_name(store)
    part = parts.decode(store.get(name))
    taken = {row["position"] for row in shard_rows(store) if row["lane"] == "u/0"}
    at = next(i for i, p in enumerate(part.rows["position"]) if p in taken)
    part.rows["text"][at] = "never said"
    tampered = changed(store, name, parts.encode(part))
    position = part.rows["position"][at]
    detail = grades(tampered, 5, log)[1].detail
    assert detail == f"row u/0@{position} differs in column text"


def test_a_changed_ledger_is_found() -> None:
    store, log = world()
    name = next(iter(store.list("ledgers/")))
    columns = {n: c.copy() for n, c in ledger.read(store.get(name)).items()}
    columns["weight"][0] ^= 1
    writer = ledger.LedgerWriter(("entropy", "margin", "el2n"))
    writer.add(columns)
    tampered = changed(store, name, writer.finish()[0])
    found = {finding.grade: finding for finding in grades(tampered, 5, log)}
    assert found["ledger"].detail == f"ledger {name} was changed"
    assert found["log"].identical, "the part's digest of the ledger is what the log must give"


@pytest.mark.parametrize("how", ["changed", "shorter", "refused"])
def test_another_log_is_found(how: str) -> None:
    store, log = world()
    lane = LaneId("u", 1)
    rows = list(log[lane])
    if how == "shorter":
        del rows[-1]
    else:
        rows[4] = (rows[4][0], say(1, "never said", "music") if how == "changed" else b"{")
    found = {f.grade: f for f in grades(store, 5, {**log, lane: rows})}
    assert (found["manifest"].identical, found["ledger"].identical) == (True, True)
    assert not found["log"].identical
    assert found["log"].detail.startswith("u/1 window 5: the log no longer holds the same records")
    assert "never said" not in found["log"].detail


def fates(store: Store, number: int) -> list[Fate]:
    return why(history(store), f"u{number}", KEY)


def why_world() -> Store:
    values = [say(n, f"say {n % 25}", CLASSES[n % 25 % 3]) for n in range(80)]
    values += [say(n, f"odd {n}", "lights") for n in range(80, 84)]
    values += [b"{", say(90, ""), say(91, "said twice", "music")]
    policy = small_policy(quarantine=Quarantine(assumed_rate=0.3, margin=1.0), capacity_rows=9)
    records = lane_split(values, 2)
    for lane, rows in lane_split(values, 2, 9).items():
        records[lane] += rows
    return run(records, policy)


def test_why_agrees_with_the_shard_about_every_utterance() -> None:
    store = why_world()
    looked, seen = history(store), Counter[str]()
    rows = {(r["lane"], r["position"]): r for w in (5, 9) for r in shard_rows(store, w)}
    reasons = {
        window: {row["position"]: row["reason"] for row in ledger_rows(store, window)}
        for window in (5, 9)
    }
    assert reasons[5].keys() != reasons[9].keys()
    for number in range(84):
        found = why(looked, f"u{number}", KEY)
        assert [fate.window for fate in found] == [5, 9]
        for fate in found:
            seen[fate.verdict] += 1
            row = rows.get((fate.lane, fate.position))
            arms = set(row["arms"]) if row else set()
            kept = "selected" in arms or (arms and "review" not in arms)
            assert (fate.verdict == "kept") == bool(kept)
            assert (fate.verdict == "review") == ("review" in arms and not kept)
            assert "say" not in fate.detail.split(), "no text of an utterance"
    assert set(seen) == {"kept", "review", "repeated", "evicted", "refused"}


def test_why_of_an_evicted_and_a_repeated_record_tells_rank_and_threshold() -> None:
    store = why_world()
    looked = history(store)
    everything = [fate for n in range(84) for fate in why(looked, f"u{n}", KEY)]
    for fate in everything:
        if fate.verdict == "evicted":
            assert float(str(fate.facts["log_rank"])) >= float(str(fate.facts["tau_log"]))
        if fate.verdict == "repeated":
            assert "tau_log" not in fate.facts
        if fate.verdict == "kept" and "selected" in fate.detail:
            assert 0 < float(str(fate.facts["inclusion_probability"])) <= 1


def test_why_of_what_was_never_seen_is_nothing() -> None:
    store = why_world()
    assert fates(store, 12345) == []
    assert why(history(store), "u1", b"another key, 32 bytes long, too.") == []


def test_why_of_a_window_without_a_shard_is_pending() -> None:
    store = why_world()
    open_store = MemoryStore()
    for name in store.list(""):
        if not name.startswith("shards/000000000009"):
            open_store.create(name, store.get(name))
    assert [fate.verdict for fate in fates(open_store, 5)][1] == "pending"
    with pytest.raises(Missing):
        Registry(open_store).manifest(9)

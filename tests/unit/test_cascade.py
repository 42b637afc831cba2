"""Two stages: nothing decides but the records; what is published of rows follows, and verifies."""

from __future__ import annotations

import math
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import tables
from daemon.derived import ranges, verify
from daemon.derived.history import History
from daemon.derived.rolling import roll
from daemon.derived.why import why
from daemon.lanes import part as parts
from daemon.policy import Groups, Kind, Quarantine, Rolling
from daemon.ports import EXIT_CONFIG, Fatal, LaneId, Store
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.shards import seconds
from daemon.stores.memory import MemoryStore
from scoring.types import MISSING
from tests.cascading import COSTLY, cascading, one_stage, published
from tests.cases import LABELS, Case, Edition, Schedule
from tests.selection import LAST, WAITS, labelled, lane_split, ledger_rows, selected, shard_rows
from tests.streams import CLASSES, KEY, ListSource, Record, say, small_policy
from tests.worlds import outcome, play, shards

Log = dict[LaneId, list[Record]]
ANYHOW = Schedule()


def copied(store: Store, but: str = "", data: bytes = b"") -> MemoryStore:
    """The same objects, one of them replaced, or left out where there is no data."""
    other = MemoryStore()
    for name in store.list(""):
        if name != but or data:
            other.create(name, data if name == but else store.get(name))
    return other


@pytest.fixture(scope="module")
def empty() -> Store:
    """A store with its edition, and nothing else."""
    return published(cascading())


def run(store: Store, log: Log, schedule: Schedule = ANYHOW, **changes: Any) -> Store:
    kinds = {lane: "labels" if lane == LABELS else "utterances" for lane in log}
    case = Case(log, kinds, WAITS, (Edition(cascading(**changes)),))
    return play(case, schedule, store=copied(store))


def history(store: Store) -> History:
    return History(Registry(store), Engines(store, KEY, threads=1))


def kept(store: Store) -> list[Any]:
    """What the selection holds, but for the lane's own order."""
    columns = ("text", "group", "label", "log_rank", "tau", "weight", "multiplicity")
    return sorted(tuple(str(row[name]) for name in columns) for row in selected(store))


@pytest.fixture(scope="module")
def in_one_lane(empty: Store) -> list[Any]:
    return kept(run(empty, lane_split(labelled(90, 50), 1)))


@settings(max_examples=10)
@given(rng=st.randoms(use_true_random=False), lanes=st.integers(1, 7), batch=st.integers(1, 40))
def test_order_lanes_and_batches_change_nothing(
    empty: Store, in_one_lane: list[Any], rng: Any, lanes: int, batch: int
) -> None:
    values = labelled(90, 50)
    rng.shuffle(values)
    schedule = Schedule(rng.randrange(99), batch, 30, rng.choice([0, 2]), 2)
    assert kept(run(empty, lane_split(values, lanes), schedule)) == in_one_lane
    assert len(in_one_lane) > 5


def test_schedules_of_one_log_give_one_outcome_for_every_object(empty: Store) -> None:
    log = lane_split(labelled(120, 60), 3)
    log[LaneId("u", 1)] += lane_split(labelled(60, 40), 1, LAST)[LaneId("u", 0)]
    one = run(empty, log, Schedule(1, 1, 3, 0, 1))
    other = run(empty, log, Schedule(7, 50, 100, 3, 3))
    assert outcome(one) == outcome(other) and len(shards(one)) == 2
    for name in one.list(seconds.PREFIX):
        ours, theirs = (seconds.decode(store.get(name)).columns for store in (one, other))
        assert ours == theirs


def test_only_candidates_and_the_audit_arm_are_scored_again(empty: Store) -> None:
    store = run(empty, lane_split(labelled(150, 120), 3))
    held = seconds.decode(store.get(seconds.name(5))).columns
    assert held["arm"].count("candidate") == 24 and held["arm"].count("audit") == 9
    manifest = shards(store)[5]
    assert manifest.cascade.candidates == 24
    half = manifest.calibration.halves[0].histograms
    published_rows = Registry(store)
    published_rows.read_editions()
    before = published_rows.editions[0].half
    assert before is not None
    audited = [steps for steps, arm in zip(held["score_el2n_mean"], held["arm"], strict=True)
               if arm == "audit" and steps != MISSING]  # fmt: skip
    faded = {s: c * 3 // 4 for s, c in before.histograms["el2n_mean"].items()}
    added = {s: c - faded.get(s, 0) for s, c in half["el2n_mean"].items()}
    assert sum(added.values()) == 1024 * len(audited), "of the audit arm alone"
    told = manifest.histograms["tracin"]
    assert sum(told["traffic"].values()) == sum(told["audit"].values()) == len(audited)
    assert told["random"] == told["review"] == {}, "known of candidates alone"
    rows = shard_rows(store)
    for row in rows:
        second = [row[f"score_{name}"] is not None for name in COSTLY]
        assert all(second) or not (set(row["arms"]) & {"selected"})
    assert all(row["score_entropy"] is not None for row in rows)


def test_the_second_stage_weighs_what_every_record_would_have_been_weighed_by(
    empty: Store,
) -> None:
    """Where all are candidates, the selection is that of the second policy alone."""
    log = lane_split(labelled(60, 40), 2)
    policy = cascading(60)
    wide = msgspec.structs.replace(one_stage(policy), select=policy.cascade.select, pool_rows=60)
    one = play(Case(log, dict.fromkeys(log, "utterances"), WAITS, (Edition(wide),)), Schedule(),
               store=published(wide))  # fmt: skip
    other = play(Case(log, dict.fromkeys(log, "utterances"), WAITS, (Edition(policy),)),
                 Schedule(), store=published(policy))  # fmt: skip
    assert kept(one) == kept(other) and len(kept(one)) == 8


def test_rows_say_with_which_chance_both_stages_took_them(empty: Store) -> None:
    store = run(empty, lane_split(labelled(150, 120), 3))
    manifest, rows = shards(store)[5], selected(store)
    made = [parts.decode(store.get(name)) for name in store.list(parts.PREFIX)]
    firsts = {
        (str(part.manifest.lane), position): weight / 4096
        for part in made
        for position, weight in zip(part.rows["position"], part.rows["weight"], strict=True)
    }
    assert set(manifest.cascade.taus) == set(manifest.taus) - {"arm:audit", "arm:random"}
    narrower = set()
    for row in rows:
        taus = [math.exp(t[row["group"]] / 2**40) for t in (manifest.cascade.taus, manifest.taus)]
        bounds = [firsts[row["lane"], row["position"]] * taus[0], row["weight"] * taus[1]]
        narrower.add(bounds[0] < bounds[1])
        assert row["inclusion_selected"] == pytest.approx(1 - math.exp(-min(bounds)))
        assert row["inclusion_selected"] == pytest.approx(1 - math.exp(-row["weight"] * row["tau"]))
        assert math.exp(row["log_rank"]) < row["tau"]
    assert narrower == {True, False}, "of some rows the first stage was the narrower, of others not"


def grades(store: Store, log: Log) -> dict[str, Any]:
    looked, source = history(store), ListSource(log, {LABELS: "labels"})
    manifest = looked.registry.manifest(5)
    return {
        finding.grade: finding
        for finding in (
            verify.verify_manifest(looked, manifest),
            verify.verify_ledger(looked, manifest),
            verify.verify_log(looked, manifest, ranges.of(source)),
        )
    }


def test_verify_finds_changed_scores_and_missing_ones(empty: Store) -> None:
    log = lane_split(labelled(100, 80), 2)
    store = run(empty, log)
    assert all(finding.identical for finding in grades(store, log).values())
    name = seconds.name(5)
    held = seconds.decode(store.get(name))
    held.columns["score_el2n_mean"][3] ^= 1
    changed = copied(store, name, seconds.encode(held))
    assert grades(changed, log)["ledger"].detail == f"{name} was changed"
    # a forger who changes what names it, too, is found by the shard, and by the model
    manifest = shards(store)[5]
    told = msgspec.structs.replace(manifest.cascade, digest=held.digest)
    forged = msgspec.structs.replace(manifest, cascade=told)
    twice = copied(changed, "shards/000000000005/manifest.json", tables.canonical(forged))
    found = grades(twice, log)
    assert found["manifest"].identical and not found["log"].identical
    assert found["log"].detail.startswith("the second stage scores u/")
    assert "is not there" in grades(copied(store, name), log)["ledger"].detail


def test_why_says_in_which_stage_a_record_was_turned_away(empty: Store) -> None:
    values = [say(n, f"say {n % 100}", CLASSES[n % 100 % 4]) for n in range(130)]
    store = run(empty, lane_split(values, 2))
    looked, words = history(store), set()
    texts = {row["text"] for row in selected(store)}
    held = seconds.decode(store.get(seconds.name(5))).columns
    positions = {
        (lane, at)
        for arm, lane, at in zip(held["arm"], held["lane"], held["position"], strict=True)
        if arm == "candidate"
    }
    for number in range(130):
        (fate,) = why(looked, f"u{number}", KEY)
        if f"say {number % 100}" in texts:
            assert fate.verdict in ("kept", "repeated"), fate
            words.add(fate.verdict)
        elif fate.verdict == "evicted":
            second = "second stage its rank" in fate.detail
            assert second or "no candidate" in fate.detail
            words.add(second)
            if (fate.lane, fate.position) in positions:
                assert second
    assert words == {"kept", "repeated", True, False}


def test_labels_that_come_late_are_scored_by_both_stages(empty: Store) -> None:
    """All costly scores read the label: late labels select what labels in time would have."""
    changes: dict[str, Any] = {
        "identity": "id", "pool_rows": 200, "quarantine": Quarantine(assumed_rate=0.0),
        "groups": Groups(by=("label", "argmax"), limit=9),
    }  # fmt: skip
    own = published(cascading(**changes))
    labels = {n: CLASSES[n * 5 % 4] for n in range(100)}
    sooner = [say(n, f"say {n}", labels[n]) for n in range(100)]
    later = lane_split([say(n, f"say {n}") for n in range(100)], 3)
    later[LABELS] = [
        (6_000 + n, msgspec.json.encode({"id": f"u{n}", "label": label}))
        for n, label in labels.items()
    ]
    one, other = run(own, lane_split(sooner, 3), **changes), run(own, later, **changes)
    assert shards(other)[5].counts["no_label"] == 100 and len(kept(other)) == 8
    names = ("text", "group", "label", "log_rank", "weight", "score_tracin")
    alike = [sorted(tuple(str(r[n]) for n in names) for r in selected(s)) for s in (one, other)]
    assert alike[0] == alike[1]
    known = [(r["inclusion_probability"], r["arms"]) for r in shard_rows(one)]
    assert all((chance is None) != ("selected" in arms) for chance, arms in known)


def test_who_comes_second_takes_the_scores_that_are_there(empty: Store) -> None:
    """Between making scores and making the shard a process may die: the next one goes on."""
    log = lane_split(labelled(80, 60), 2)
    whole = run(empty, log)
    half = MemoryStore()
    for name in whole.list(""):
        if not name.startswith(("shards/", "erased/")):
            half.create(name, whole.get(name))
    assert outcome(run(half, log)) == outcome(whole)


class Raced(MemoryStore):
    """Somebody with another engine writes the scores of window 5 in the last moment."""

    theirs = b""

    def create(self, name: str, data: bytes) -> bool:
        if name == seconds.name(5) and not self.theirs:
            held = seconds.decode(data)
            held.columns["score_el2n_mean"][3] ^= 1
            self.theirs = seconds.encode(held)
            super().create(name, self.theirs)
        return super().create(name, data)


def test_scores_that_another_wrote_in_the_same_moment_are_taken(empty: Store) -> None:
    log, raced = lane_split(labelled(80, 60), 2), Raced()
    for name in empty.list(""):
        raced.create(name, empty.get(name))
    case = Case(log, dict.fromkeys(log, "utterances"), WAITS, (Edition(cascading()),))
    play(case, ANYHOW, store=raced)
    told = shards(raced)[5].cascade
    assert told.digest == seconds.decode(raced.theirs).digest
    assert told.digest != shards(run(empty, log))[5].cascade.digest


def test_texts_of_earlier_shards_are_no_candidates(empty: Store) -> None:
    changes: dict[str, Any] = {"epoch": "window", "known_windows": 9}
    own = published(cascading(**changes))
    log = lane_split(labelled(90, 50), 2)
    for lane, rows in lane_split(labelled(90, 50), 2, 6).items():
        log[lane] += rows
    store = run(own, log, **changes)
    texts = [{row["text"] for row in selected(store, window)} for window in (5, 6)]
    assert all(texts) and not texts[0] & texts[1]
    repeats = shards(store)[6].novelty.repeats
    again = sum(row["reason"] == 0 for row in ledger_rows(store, 6))
    assert len(texts[0]) <= repeats < again, "in the pool of the lanes, taken out before M"


def test_a_window_of_a_cascade_cannot_be_rolled(empty: Store) -> None:
    log = lane_split(labelled(50), 1)
    store = run(empty, log)
    with pytest.raises(Fatal, match="cannot be rolled") as caught:
        roll(history(store), 5)
    assert caught.value.code == EXIT_CONFIG
    # an edition after it, of one stage, that rolls
    later = small_policy(rolling=Rolling(windows=9, capacity_rows=9), select=Kind("uniform"))
    both = published(later, published(cascading()), first_window=LAST)
    log[LaneId("u", 0)] += lane_split(labelled(50), 1, LAST)[LaneId("u", 0)]
    case = Case(log, dict.fromkeys(log, "utterances"), WAITS, (Edition(later),))
    with pytest.raises(Fatal, match="window 5 cannot be rolled"):
        roll(history(play(case, Schedule(), store=both)), LAST)

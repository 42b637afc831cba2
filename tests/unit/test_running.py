"""Where a run begins, what it obeys, how it ends, and what an operator may do: laws 3 to 6."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from daemon.clock import ManualClock
from daemon.config.settings import Stream
from daemon.lanes.part import read_manifest
from daemon.lanes.pin import Pin
from daemon.policy import Quarantine
from daemon.ports import EXIT_STATE, Batch, Fatal, LaneId, Retry, Store
from daemon.registry import bundle, skip
from daemon.registry.registry import Registry
from daemon.running import start
from daemon.running.intake import Intake, tail
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS, Case, Edition, Schedule, random_case
from tests.streams import PERIOD_MS, ListSource, Record, World, publish_table, say, small_policy
from tests.worlds import LiveSource, Stepper, outcome, play, publish_all, shards, world_of

A, B = LaneId("u", 0), LaneId("u", 1)
STREAM = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)


def spoken(windows: range, first: int = 0) -> list[Record]:
    return [
        (window * PERIOD_MS + at, say(first + window * 10 + at, f"say {window} {at}", "music"))
        for window in windows
        for at in range(3)
    ]


def case_of(lanes: dict[LaneId, list[Record]], *editions: Edition) -> Case:
    kinds = {lane: "labels" if lane == LABELS else "utterances" for lane in lanes}
    return Case(lanes, kinds, STREAM, editions or (Edition(small_policy()),))


def found(records: dict[LaneId, list[Record]], store: Store, **changes: Any) -> Any:
    registry = Registry(store)
    stream = msgspec.structs.replace(STREAM, **changes)
    kinds = {lane: "labels" if lane == LABELS else "utterances" for lane in records}
    return start.found(ListSource(records, kinds), registry, stream, ManualClock())


def test_the_first_window_is_that_of_the_smallest_time_at_the_start_offsets() -> None:
    records = {A: spoken(range(9, 12)), B: spoken(range(7, 12)), LABELS: spoken(range(2, 3))}
    assert found(records, MemoryStore()).first_window == 7, "label lanes have no say"
    records[A].insert(1, (6 * PERIOD_MS, b""))
    assert found(records, MemoryStore()).first_window == 7, "later records neither"


def test_whoever_starts_second_adopts_the_genesis() -> None:
    store = MemoryStore()
    first = found({A: spoken(range(9, 12)), B: []}, store)
    assert found({A: spoken(range(3, 5)), B: []}, store) == first
    assert [entry.lane for entry in first.lanes] == [A, B], "an idle lane is a lane"


@pytest.mark.parametrize(
    "changes",
    [{"period_ms": 2_000}, {"grace": 0}, {"label_wait": 1, "lag": 4}, {"lag": 4}],
)
def test_another_stream_is_refused(changes: dict[str, int]) -> None:
    store, records = MemoryStore(), {A: spoken(range(9, 12))}
    found(records, store)
    with pytest.raises(Fatal, match="the store was begun with") as raised:
        found(records, store, **changes)
    assert raised.value.code == EXIT_STATE


def test_a_recording_without_an_utterance_is_refused() -> None:
    with pytest.raises(Fatal, match="no utterance lane holds a record"):
        found({A: [], LABELS: spoken(range(5, 6))}, MemoryStore())


def test_a_lag_that_could_wait_in_a_circle_is_refused_before_anything_is_written() -> None:
    store = MemoryStore()
    with pytest.raises(Fatal, match="need 3"):
        found({A: spoken(range(9, 12))}, store, lag=2)
    assert list(store.list("")) == []


def test_intake_pauses_a_lane_with_enough_in_hand() -> None:
    source = ListSource({A: spoken(range(5, 9)), B: []})
    source.poll(1)  # what is gained
    intake = Intake(source, most_records=5)
    taken: list[int] = []
    while intake.waiting() or source._at[A] != 12:
        intake.fill(4)
        assert intake.waiting() <= 5 + 4
        assert (A in source._paused) == (intake.waiting() >= 5)
        head = intake.head(A)
        if (head is not None and intake.waiting() > 3) or source._at[A] == 12:
            assert head is not None
            taken += head.positions[:2].tolist()
            intake.take(A, len(head.positions[:2]))
    assert taken == list(range(12)), "in order, each once"
    assert intake.head(A) is None


def test_intake_forgets_a_lane_that_is_lost_or_sought() -> None:
    source = ListSource({A: spoken(range(5, 9))})
    source.poll(1)  # what is gained
    intake = Intake(source, most_records=1)
    intake.fill(4)
    assert A in source._paused
    intake.drop(A)
    assert (intake.head(A), intake.waiting(), source._paused) == (None, 0, set())


def test_the_tail_of_a_batch() -> None:
    batch = Batch(A, np.arange(3), np.arange(3), [b"a", None, b"c"])
    rest = tail(batch, 2)
    assert rest is not None and (rest.positions.tolist(), rest.values) == ([2], [b"c"])
    assert tail(batch, 3) is None


def through(store: Store, lane: LaneId) -> int:
    """The last window that the lane's parts cover."""
    names = list(store.list(f"parts/{lane.topic}/{lane.partition:05d}/"))
    return read_manifest(store.get(names[-1])).through


def test_a_recording_without_closings_closes_everything_at_its_end() -> None:
    case = case_of({A: spoken(range(5, 9)), B: spoken(range(5, 7)), LABELS: []})
    case = with_waits(case, label_wait=1, lag=4)
    store = play(case, Schedule())
    assert sorted(shards(store)) == [5, 6, 7, 8]
    assert {through(store, lane) for lane in case.records} == {9}, "labels are waited for"


def with_waits(case: Case, **changes: int) -> Case:
    return Case(
        case.records, case.kinds, msgspec.structs.replace(case.stream, **changes), case.editions
    )


def test_live_the_last_windows_stay_open_until_a_record_comes() -> None:
    case = case_of({A: spoken(range(5, 12)), B: spoken(range(5, 7))})
    store = MemoryStore()
    publish_all(case, store)
    process = Stepper(world_of(case, store), case, Schedule(), kind=LiveSource)
    quiet = 0
    while quiet < 20:
        quiet = 0 if process.turn() or not process.source.dry() else quiet + 1  # type: ignore[attr-defined]
    process.close()
    # A's own record of 11 closed 10 and states a time in 11: B may close up to 11 - grace - 1
    assert (through(store, A), through(store, B)) == (10, 9)
    assert sorted(shards(store)) == [5, 6, 7, 8, 9]


def test_a_recording_with_closings_ends_where_its_parts_end() -> None:
    case = case_of({A: spoken(range(5, 12)), B: spoken(range(5, 12), 1000)})
    origin = play(case, Schedule())
    cuts = {lane: cut[:3] for lane, cut in bundle.closings(origin, (A, B)).items()}
    store = MemoryStore()
    bundle.copy_decisions(origin, store)
    play(case, Schedule(5), store=store, recorded=cuts)
    assert outcome(store) == {w: outcome(origin)[w] for w in (5, 6, 7)}
    assert through(store, A) == through(store, B) == 7


def test_recorded_pins_are_obeyed() -> None:
    """Whatever the replay would have pinned itself: here edition 1 from window 6 to 7 only."""
    calm = Quarantine(assumed_rate=0.0)
    later = Edition(small_policy(capacity_rows=2, quarantine=calm), 90, seed=1)
    case = case_of({A: spoken(range(5, 12))}, Edition(small_policy(quarantine=calm)), later)
    origin = play(case, Schedule())
    assert {m.edition for m in shards(origin).values()} == {0}
    store = MemoryStore()
    publish_all(case, store)
    for window in (5, 6, 7):
        pin = msgspec.json.decode(origin.get(f"pins/{window:012d}.json"), type=Pin)
        changed = msgspec.structs.replace(pin, edition=int(window > 5))
        store.create(f"pins/{window:012d}.json", msgspec.json.encode(changed))
    play(case, Schedule(), store=store)
    made = shards(store)
    assert [made[w].edition for w in range(5, 12)] == [0, 1, 1, 0, 0, 0, 0]
    assert [made[w].arms["selected"] for w in range(5, 9)] == [3, 2, 2, 3]


def test_a_switch_of_editions_and_a_rollback_decide_from_their_windows_on() -> None:
    policy = small_policy()
    editions = (Edition(policy), Edition(policy, 7, seed=1), Edition(policy, 9))
    made = shards(play(case_of({A: spoken(range(5, 12))}, *editions), Schedule()))
    assert [made[w].edition for w in range(5, 12)] == [0, 0, 1, 1, 2, 2, 2]
    assert made[6].checkpoint == made[9].checkpoint != made[8].checkpoint
    halves = [[h.checkpoint for h in made[w].calibration.halves] for w in (6, 8, 9)]
    assert halves[1] == [made[8].checkpoint, made[5].checkpoint]
    assert halves[2] == [made[5].checkpoint, made[8].checkpoint], "folded on where it stood"


def without_b(case: Case, store: Store, seed: int) -> None:
    """A process that is not given B, until it can do nothing more."""
    process = Stepper(world_of(case, store), case, Schedule(seed), hidden={B})
    quiet = 0
    while quiet < 5:
        quiet = 0 if process.turn() else quiet + 1
    process.close()


def dead_lane() -> tuple[Case, MemoryStore]:
    """B is in the genesis, and nobody serves it."""
    case = case_of({A: spoken(range(5, 10)), B: spoken(range(5, 10), 1000)})
    store = MemoryStore()
    publish_all(case, store)
    world = world_of(case, store)
    source = ListSource(case.records, case.kinds)
    start.found(source, world.registry(), case.stream, ManualClock())
    without_b(case, store, 0)
    assert shards(store) == {}, "no shard without the lane"
    return case, store


def test_a_skipped_lane_stops_nobody_and_its_records_come_late() -> None:
    case, store = dead_lane()
    made = skip.skip(Registry(store), B, 6)
    assert (made.window, made.through, made.start, made.end) == (5, 6, 0, 0)
    assert made.closed_by == "operator"
    without_b(case, store, 1)
    assert sorted(shards(store)) == [5, 6]
    play(case, Schedule(2), store=store)
    counts = {window: manifest.counts for window, manifest in shards(store).items()}
    assert [counts[w]["records"] for w in range(5, 10)] == [3, 3, 3 + 9, 6, 6], "nothing is lost"
    assert [counts[w]["late"] for w in range(5, 10)] == [0, 0, 6, 0, 0]


def test_a_lane_is_skipped_from_the_end_of_its_newest_part_on() -> None:
    case, store = dead_lane()
    assert skip.skip(Registry(store), B, 5).through == 5
    again = skip.skip(Registry(store), B, 7)
    assert (again.window, again.through) == (6, 7)
    without_b(case, store, 1)
    assert sorted(shards(store)) == [5, 6, 7]


def test_a_skip_comes_too_late_for_a_part_that_is_there() -> None:
    case, store = dead_lane()
    play(case, Schedule(), store=store)
    before = list(store.list(""))
    for lane, window in ((A, 5), (B, 9), (LaneId("u", 7), 9)):
        with pytest.raises(Fatal) as raised:
            skip.skip(Registry(store), lane, window)
        assert raised.value.code == EXIT_STATE
    assert list(store.list("")) == before


def test_an_owner_that_was_skipped_resumes_behind_the_operator_s_part() -> None:
    case = case_of({A: spoken(range(5, 10)), B: spoken(range(5, 10), 1000)})
    store = MemoryStore()
    publish_all(case, store)
    process = Stepper(world_of(case, store), case, Schedule(0, 2, 3, 0, 1))
    while B not in process.loop.lanes or process.loop.lanes[B].window != 5:
        process.turn()
    with pytest.raises(Fatal, match="has not come"):
        skip.skip(Registry(store), B, 7)
    skip.skip(Registry(store), B, 5)
    assert any(process.ended() for _ in range(1000))
    process.close()
    assert "lost_race" in process.events
    counts = {window: manifest.counts for window, manifest in shards(store).items()}
    assert [counts[w]["records"] for w in range(5, 10)] == [3, 9, 6, 6, 6]
    assert sum(c["late"] for c in counts.values()) == 3


def test_a_published_edition_has_the_next_number_and_nothing_is_overwritten() -> None:
    store = MemoryStore()
    registry = Registry(store)
    publish_table(registry, small_policy())
    publish_table(Registry(store), small_policy(), seed=1, first_window=8)
    assert list(store.list("editions/")) == ["editions/000000.json", "editions/000001.json"]

    class Rival(MemoryStore):
        """Somebody else publishes in the same moment."""

        def create(self, name: str, data: bytes) -> bool:
            if name == "editions/000002.json":
                super().create(name, store.get("editions/000000.json").replace(b":0,", b":2,", 1))
            return super().create(name, data)

    rival = Rival()
    for name in store.list(""):
        rival.create(name, store.get(name))
    with pytest.raises(Retry, match="somebody else at the same moment"):
        publish_table(Registry(rival), small_policy(), seed=2)


def test_decisions_are_copied_once_and_without_what_follows_from_them() -> None:
    origin = play(random_case(5), Schedule())
    target = MemoryStore()
    assert bundle.copy_decisions(origin, target) > 3
    assert bundle.copy_decisions(origin, target) == 0
    kinds = {name.split("/")[0] for name in target.list("")}
    assert kinds == {"genesis.json", "editions", "checkpoints", "pins"}
    assert World(target).digests() == {}

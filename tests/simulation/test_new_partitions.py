"""Partitions that appear while a deployment runs: laws 3 and 4, the second circle of waiting."""

from __future__ import annotations

import msgspec
import pytest

from daemon.config.settings import Stream
from daemon.lanes.part import read_manifest
from daemon.lanes.pin import Pin
from daemon.ports import LaneId
from daemon.registry import bundle
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS, Case, Edition, Schedule
from tests.simulation.waiting import Waiting, light_parts, one_lane, random_waiting, run
from tests.streams import PERIOD_MS, say, small_policy
from tests.worlds import Stepper, outcome, publish_all, shards, world_of

OLD, NEW = LaneId("u", 0), LaneId("u", 9)


def waiting(old: tuple[int, ...], new: tuple[int, ...], replicas: int) -> Waiting:
    """One lane of the genesis, and one partition that is seen later."""
    return Waiting(one_lane(old[0]), {OLD: old, NEW: new}, replicas, (NEW,))


def unread(world: Waiting) -> list[int]:
    with light_parts():
        return [schedule for schedule in range(40) if run(world, schedule).unread]


def test_a_new_partition_does_not_hold_up_windows_from_before_it_was_seen() -> None:
    """The newest roster names a lane that never had the windows before it was named: if they had
    to be covered by it, nothing were learnt, nobody opened the next window, no evidence came."""
    assert unread(waiting(tuple(range(3, 30)), (3,), 1)) == []


def test_a_new_partition_that_alone_has_traffic_is_evidence_for_other_replicas() -> None:
    """Its parts count before a pin names it; or the idle lanes of the other replica never close,
    and the pin that would name it never comes."""
    assert unread(waiting((3, 4), tuple(range(12, 20)), 2)) == []


@pytest.mark.parametrize("group", range(3))
def test_no_world_with_new_partitions_is_stuck(group: int) -> None:
    """A9, at the bound of lag."""
    with light_parts():
        for seed in range(60 * group, 60 * group + 60):
            world = random_waiting(seed)
            for schedule in range(3):
                assert run(world, schedule).unread == 0, f"world {seed}"


def two_lanes() -> Case:
    """OLD speaks in windows 5 to 14; NEW said things in 6 and 7, and is seen later."""
    numbers = iter(range(1000))

    def rows(windows: range) -> list[tuple[int, bytes | None]]:
        return [
            (window * PERIOD_MS + at, say(n := next(numbers), f"say {n}", "music"))
            for window in windows
            for at in range(3)
        ]

    records = {OLD: rows(range(5, 15)), NEW: rows(range(6, 8))}
    kinds = dict.fromkeys(records, "utterances")
    stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
    return Case(records, kinds, stream, (Edition(small_policy()),))


def new_store(case: Case) -> MemoryStore:
    store = MemoryStore()
    publish_all(case, store)
    return store


SLOWLY = Schedule(3, 2, 4, 0, 1)


def seen_later(case: Case, store: MemoryStore) -> Stepper:
    return Stepper(world_of(case, store), case, SLOWLY, appear={NEW: 12})


def test_a_recorded_run_with_a_new_partition_is_replayed_as_it_was() -> None:
    """Live it began behind the newest pin; in a replay all pins are there from the start."""
    case, origin = two_lanes(), MemoryStore()
    publish_all(case, origin)
    finish(seen_later(case, origin))
    assert sum(m.counts["records"] for m in shards(origin).values()) == case.utterances
    cuts = bundle.closings(origin, tuple(case.records))
    replayed = MemoryStore()
    bundle.copy_decisions(origin, replayed)
    finish(Stepper(world_of(case, replayed), case, SLOWLY, recorded=cuts))
    assert outcome(replayed) == outcome(origin)


def finish(process: Stepper) -> None:
    """To the end of the recording, if it ever comes."""
    assert any(process.ended() for _ in range(400)), "nobody moves, and it is not the end"
    process.close()


MORE = LaneId("labels", 1)


def answered() -> Case:
    """Utterances without labels in windows 5 to 14, and their labels in the window after each;
    from window 9 on every other label is in a partition that is seen later."""
    records: dict[LaneId, list[tuple[int, bytes | None]]] = {OLD: [], LABELS: [], MORE: []}
    for window in range(5, 15):
        for at in range(6):
            number = window * 10 + at
            said = {"id": f"u{number}", "label": "music"}
            records[OLD].append((window * PERIOD_MS + at, say(number, f"say {number}")))
            lane = MORE if at % 2 and window >= 9 else LABELS
            records[lane].append(((window + 1) * PERIOD_MS + at, msgspec.json.encode(said)))
    kinds = {OLD: "utterances", LABELS: "labels", MORE: "labels"}
    stream = Stream(period_ms=PERIOD_MS, grace=1, label_wait=1, lag=4)
    return Case(records, kinds, stream, (Edition(small_policy()),))


@pytest.mark.parametrize("answers", [4, 12, 24])
def test_labels_of_a_partition_that_appears_are_heard(answers: int) -> None:
    """They were read by nobody: label lanes were those of the genesis for ever."""
    case, store = answered(), MemoryStore()
    publish_all(case, store)
    process = Stepper(world_of(case, store), case, SLOWLY, appear={MORE: answers})
    finish(process)
    pins = [msgspec.json.decode(store.get(name), type=Pin) for name in store.list("pins/")]
    naming = [pin.window for pin in pins if MORE in pin.label_lanes]
    assert naming and naming == list(range(naming[0], 15)), "from one pin on, in all"
    late = {window: m.labelled.late for window, m in shards(store).items()}
    for window in range(naming[0], 15):
        assert late[window] == 6, f"of window {window}"
    assert any(list(store.list("parts/labels/00001/")))


def first_window_with_new(store: MemoryStore) -> tuple[int, int]:
    """The first pin that names NEW, and the window of the first record that it gave."""
    pins = [msgspec.json.decode(store.get(name), type=Pin) for name in store.list("pins/")]
    manifests = [read_manifest(store.get(name)) for name in store.list("parts/u/00009/")]
    return (
        min(pin.window for pin in pins if NEW in pin.lanes),
        min(manifest.window for manifest in manifests if manifest.counts.records),
    )


@pytest.mark.parametrize("turns", range(0, 12, 2))
def test_a_crash_after_a_new_partition_was_seen_changes_nothing(turns: int) -> None:
    """Its records are late in the first window whose pin names it, and not in one that became
    the newest while nobody had a part of it."""
    case = two_lanes()
    store = new_store(case)
    process = seen_later(case, store)
    for _ in range(100):
        if process.source.hidden:
            process.turn()
    for _ in range(turns):
        process.turn()
    process.close()  # killed
    finish(Stepper(world_of(case, store), case, SLOWLY))
    named, began = first_window_with_new(store)
    assert began == named
    assert sum(m.counts["records"] for m in shards(store).values()) == case.utterances

"""Known faults, each as the smallest world that shows it. A mended one moves to its law's file."""

from __future__ import annotations

import msgspec
import pytest

from daemon.config.settings import Stream
from daemon.derived import verify
from daemon.derived.history import History
from daemon.lanes.part import read_manifest
from daemon.ports import LaneId
from daemon.registry import bundle
from daemon.registry.genesis import Genesis, LaneEntry
from daemon.registry.pin import Pin
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.stores.memory import MemoryStore
from tests.cases import LABELS, Case, Edition, Schedule
from tests.simulation.waiting import PERIOD_MS as LIGHT_PERIOD
from tests.simulation.waiting import Waiting, light_parts, random_waiting, run
from tests.streams import KEY, PERIOD_MS, say, small_policy
from tests.worlds import Stepper, outcome, play, publish_all, shards, world_of

OLD, NEW = LaneId("u", 0), LaneId("u", 9)


def waiting(old: tuple[int, ...], new: tuple[int, ...], replicas: int) -> Waiting:
    """One lane of the genesis, and one partition that is seen later."""
    entries = (LaneEntry("u", 0, "utterances", "id-u", 0),)
    genesis = Genesis(entries, LIGHT_PERIOD, 1, 0, 3, old[0])
    return Waiting(genesis, {OLD: old, NEW: new}, replicas, (NEW,))


def unread(world: Waiting) -> list[int]:
    with light_parts():
        return [schedule for schedule in range(40) if run(world, schedule).unread]


def test_a_new_partition_does_not_hold_up_windows_from_before_it_was_seen() -> None:
    """`Progress.settled` asks the newest roster to cover windows that its new lane never had.

    The lane's first part is named after the newest pin, and before that part exists its
    `through` is the genesis: nothing is learnt, nobody opens the next window, no evidence comes.
    """
    assert unread(waiting(tuple(range(3, 30)), (3,), 1)) == []


def test_a_new_partition_that_alone_has_traffic_is_evidence_for_other_replicas() -> None:
    """`Registry.refresh` reads parts of lanes that a pin names: those of a new one are not seen.

    So the idle lanes of another replica never close, and the pin that would name it never comes.
    """
    assert unread(waiting((3, 4), tuple(range(12, 20)), 2)) == []


@pytest.mark.parametrize("group", range(3))
def test_no_world_with_new_partitions_is_stuck(group: int) -> None:
    """A9 at the bound of lag: both faults above, over random worlds."""
    with light_parts():
        for seed in range(60 * group, 60 * group + 60):
            world = random_waiting(seed)
            for schedule in range(3):
                ended = run(world, schedule)
                assert (ended.unread, ended.lost) == (0, ()), f"world {seed}"


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
    """`start.stand` puts the new lane behind the newest pin: in a replay all pins are there."""
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
    """Its records are late in the first window whose pin names it; here a crash moves them on,
    because the lane has no part yet and `stand` looks for the newest pin again."""
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


def test_a_restart_still_names_the_empty_part_of_a_silent_lane() -> None:
    """`Registry._unsettled` drops a run of empty windows that began before what it keeps."""
    numbers = iter(range(1000))

    def at(windows: list[int]) -> list[tuple[int, bytes | None]]:
        return [(w * PERIOD_MS, say(n := next(numbers), f"say {n}", "music")) for w in windows]

    case = two_lanes()
    records = {LaneId("u", 0): at([*range(5, 30), 40, 41]), LaneId("u", 1): at([5, 29, 40, 41])}
    case = Case(records, dict.fromkeys(records, "utterances"), case.stream, case.editions)
    whole = play(case, SLOWLY)
    store = new_store(case)
    for attempt in range(400):
        process = Stepper(world_of(case, store), case, SLOWLY)
        for _ in range(2 + attempt % 3):
            process.turn()
        done = process.ended()
        process.close()
        if done:
            break
    named = {w: [ref.object for ref in m.parts] for w, m in shards(store).items()}
    assert named == {w: [ref.object for ref in m.parts] for w, m in shards(whole).items()}


def test_an_answer_about_a_shard_that_does_not_exist_yet_teaches_nothing_later_either() -> None:
    """`InputsReader` looks for the rows of any shard that an answer names: the run finds none,
    `verify` finds them afterwards and says that the calibration differs."""
    case = two_lanes()
    body = msgspec.json.encode({"id": "u0", "label": "lights", "shard": 5})
    records = {**case.records, LABELS: [(5 * PERIOD_MS + 1, body)]}
    kinds = {**case.kinds, LABELS: "labels"}
    store = play(Case(records, kinds, case.stream, case.editions), SLOWLY)
    history = History(Registry(store), Engines(store, KEY, threads=1))
    finding = verify.verify_ledger(history, history.registry.manifest(5))
    assert finding.identical, finding.detail

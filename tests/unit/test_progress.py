"""Coverage, pins and what a window waits for: laws 3 to 5."""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pytest

from daemon.lanes import pin as pins
from daemon.lanes.genesis import Genesis, LaneEntry, check_source, make
from daemon.lanes.pin import FIRST, Pin
from daemon.lanes.progress import Covered, Progress
from daemon.learning import edition as editions
from daemon.learning.edition import Edition
from daemon.policy import Policy
from daemon.ports import Fatal, LaneId, LaneInfo
from daemon.registry.registry import Registry
from daemon.running.pinning import Pinning
from daemon.stores.memory import MemoryStore

A, B, LABELS, NEW = LaneId("u", 0), LaneId("u", 1), LaneId("l", 0), LaneId("u", 7)
PERIOD, GRACE, WAIT, LAG = 10, 1, 1, 4


def genesis(*, labels: bool = True) -> Genesis:
    entries = [LaneEntry("l", 0, "labels", "id-l", 0)] if labels else []
    entries += [LaneEntry("u", n, "utterances", "id-u", 0) for n in (0, 1)]
    return Genesis(tuple(entries), PERIOD, GRACE, WAIT, LAG, 5)


def covered(lane: LaneId, window: int, through: int, records: int, time_ms: int = -1) -> Covered:
    time_ms = (through + 1) * PERIOD if time_ms < 0 else time_ms
    return Covered(lane, window, through, 0, records, time_ms, records)


def pin(window: int, *lanes: LaneId, calibration: int = FIRST, labels: bool = False) -> Pin:
    roster = tuple((x.topic, x.partition) for x in lanes or (A, B))
    return Pin(window, 0, calibration, roster, (("l", 0),) if labels else ())


def test_a_shard_waits_for_every_rostered_lane_and_for_the_labels() -> None:
    progress = Progress(genesis())
    assert progress.next_shard() is None
    progress.pin(pin(5, labels=True))
    progress.cover(covered(A, 5, 5, 3))
    assert progress.next_shard() is None, "lane B has no part"
    progress.cover(covered(B, 5, 8, 0))
    assert progress.next_shard() is None, "labels up to W + label_wait count for W"
    progress.cover(covered(LABELS, 5, 5, 0))
    assert progress.next_shard() is None
    progress.cover(covered(LABELS, 6, 6, 0))
    assert progress.next_shard() == 5
    progress.shard(5)
    assert progress.next_shard() is None


def test_shards_come_in_order() -> None:
    progress = Progress(genesis(labels=False))
    for window in (5, 6):
        progress.pin(pin(window))
        for lane in (A, B):
            progress.cover(covered(lane, window, window, 1))
    assert progress.next_shard() == 5
    progress.shard(5)
    assert progress.next_shard() == 6


def test_a_pinned_window_without_a_record_has_no_shard_and_stops_nothing() -> None:
    progress = Progress(genesis(labels=False))
    for window in (5, 6):
        progress.pin(pin(window))
    progress.cover(covered(A, 5, 5, 0))
    progress.cover(covered(A, 6, 6, 2))
    progress.cover(covered(B, 5, 6, 0))
    assert progress.next_shard() == 6


def test_there_is_no_fallback_for_a_calibration_that_is_not_learnt_yet() -> None:
    """A1: "the newest that I can see" made pins differ between schedules."""
    progress = Progress(genesis(labels=False))
    assert progress.calibration_for(5 + LAG - 1) == FIRST, "before anything was learnt"
    assert progress.calibration_for(5 + LAG) is None
    progress.pin(pin(5))
    for lane in (A, B):
        progress.cover(covered(lane, 5, 5, 1))
    assert progress.calibration_for(5 + LAG) is None, "its parts are there, its shard is not"
    progress.shard(5)
    assert progress.calibration_for(5 + LAG) == 5
    assert progress.calibration_for(6 + LAG) is None
    for lane in (A, B):
        progress.cover(covered(lane, 6, 6, 0))
    assert progress.calibration_for(6 + LAG) == 5, "nobody spoke: the one before"


def test_evidence_is_another_lane_s_part_and_never_its_own() -> None:
    progress = Progress(genesis())
    progress.cover(covered(A, 5, 5, 1, time_ms=95))
    assert progress.evidence(B) == progress.evidence(LABELS) == 9 - GRACE - 1
    assert progress.evidence(A) == -1
    progress.cover(covered(LABELS, 5, 5, 0, time_ms=139))
    assert progress.evidence(A) == 13 - GRACE - 1, "label lanes are evidence too"


def test_parts_that_come_twice_or_late_change_nothing() -> None:
    progress = Progress(genesis())
    progress.cover(covered(A, 5, 9, 0))
    progress.cover(covered(A, 5, 5, 4))
    assert progress.through(A) == 9
    assert progress.part_windows(A, 7, 7) == progress.part_windows(A, 3, 20) == [5]
    assert progress.part_windows(A, 10, 20) == progress.part_windows(A, 1, 4) == []
    assert progress.through(B) == 4, "before the first window of the genesis"


def test_old_windows_are_forgotten() -> None:
    """Memory is bounded by what is not settled, not by the age of the deployment."""
    progress = Progress(genesis(labels=False))
    for window in range(5, 400):
        progress.pin(pin(window))
        for lane in (A, B):
            progress.cover(covered(lane, window, window, 1))
        progress.shard(window)
    sizes = [len(progress.pins), len(progress.shards), len(progress._records)]
    sizes += [len(per_lane) for per_lane in progress._parts.values()]
    assert max(sizes) <= 2 * LAG + 2
    assert progress.calibration_for(400) == 396


def test_a_roster_never_shrinks() -> None:
    assert pins.roster((B, A), ()) == (("u", 0), ("u", 1))
    assert pins.roster((A, B, NEW), ()) == (("u", 0), ("u", 1), ("u", 7))
    assert pins.roster((A,), {NEW, B}) == (("u", 0), ("u", 1), ("u", 7))


def edition(number: int, first_window: int) -> Edition:
    return Edition(number, f"checkpoint {number}", ("a",), Policy(), None, first_window)


def test_the_highest_edition_whose_first_window_has_come_decides() -> None:
    known = [edition(0, 50), edition(1, 10), edition(2, 8), edition(3, 20)]

    def number(window: int) -> int:
        found = editions.effective(known, window)
        assert found is not None
        return found.number

    assert [number(w) for w in (1, 8, 10, 19, 20, 99)] == [0, 2, 2, 2, 3, 3]
    rollback = [*known, rollback_to_the_first()]
    assert editions.effective(rollback, 30) == rollback[-1], "a rollback is a new edition"
    assert editions.effective(rollback, 29) == known[3], "and decides nothing before its window"
    assert editions.effective([], 5) is None


def rollback_to_the_first() -> Edition:
    return Edition(4, "checkpoint 0", ("a",), Policy(), None, 30)


class Rules:
    """As much of engines as pins need."""

    def __init__(self) -> None:
        self.made: list[tuple[int, int, int]] = []

    def rules(self, window: int, edition: Edition, calibration: Any) -> Any:
        self.made.append((window, edition.number, calibration.window))
        return object()


def pinning() -> tuple[Pinning, Registry, Rules]:
    registry, rules = Registry(MemoryStore()), Rules()
    registry.found(genesis(labels=False))
    registry.publish(edition(0, 0))
    registry.start()
    return Pinning(registry, cast(Any, rules)), registry, rules


def test_a_pin_holds_edition_calibration_and_roster_and_is_made_once() -> None:
    pinned, registry, rules = pinning()
    opened = pinned.open(6)
    assert opened is not None
    assert opened[0] == Pin(6, 0, FIRST, (("u", 0), ("u", 1)))
    names = [f"pins/{window:012d}.json" for window in (5, 6)]
    assert list(registry.store.list("pins/")) == names, "with the one before it"
    registry.publish(edition(1, 0))
    assert pinned.open(6) == opened, "what is pinned does not change"
    later = pinned.open(7)
    assert later is not None and later[0].edition == 1
    assert rules.made == [(6, 0, FIRST), (7, 1, FIRST)], "rules are resolved once a window"


def passed(registry: Registry, lanes: tuple[LaneId, ...], through: int) -> None:
    """These lanes have covered all windows up to this one without a record."""
    assert registry.progress is not None
    for lane in lanes:
        first = registry.progress.through(lane) + 1
        registry.progress.cover(covered(lane, first, through, 0))


def test_a_run_of_windows_that_all_have_passed_is_one_pin() -> None:
    """Pins leave no window out, and cost nothing while nobody speaks."""
    pinned, registry, _ = pinning()
    assert pinned.open(6) is not None
    passed(registry, (A, B), 99)
    opened = pinned.open(60)
    assert opened is not None and opened[0].window == 60
    names = [int(n[5:17]) for n in registry.store.list("pins/")]
    assert names == [5, 6, 7, 57, 58, 59, 60]
    gap = msgspec.json.decode(registry.store.get(pins.name(7)), type=Pin)
    assert (gap.window, gap.through, gap.edition) == (7, 60 - LAG, pins.NOBODY)
    assert gap.lanes == (A, B), "the predecessor's: a gap names nobody new"


def test_nobody_pins_a_window_that_another_process_has_passed() -> None:
    """Its records would be lost: shards come in order, and the one behind was made already.

    Both ask for the first window without a pin, so the store settles who was first: either the
    others see the pin and wait for the lane that it names, or the lane passes the gap.
    """
    pinned, registry, _ = pinning()
    slow = Registry(registry.store)
    slow.start()
    slow.read_editions()
    assert slow.progress is not None
    slow.progress.saw(NEW)
    behind = Pinning(slow, cast(Any, Rules()))
    assert pinned.open(6) is not None
    passed(registry, (A, B), 99)
    assert pinned.open(60) is not None
    assert behind.pin(8) is None, "it has not looked since, and finds the gap by its name"
    assert behind.passed(8) == 60 - LAG
    assert behind.passed(57) is None


def test_a_lane_that_is_behind_and_first_is_waited_for() -> None:
    pinned, registry, _ = pinning()
    assert pinned.open(6) is not None
    slow = Registry(registry.store)
    slow.start()
    slow.read_editions()
    assert slow.progress is not None
    slow.progress.saw(NEW)
    assert Pinning(slow, cast(Any, Rules())).pin(7) is not None
    passed(registry, (A, B), 99)
    assert pinned.open(60) is None, "the first window without a pin has one now, and names NEW"
    passed(registry, (NEW,), 99)
    assert pinned.open(60) is not None


def test_a_window_that_is_not_learnt_enough_is_not_pinned() -> None:
    pinned, registry, _ = pinning()
    assert pinned.open(5 + LAG) is None
    assert list(registry.store.list("pins/")) == []


def test_a_recorded_pin_waits_for_the_calibration_that_it_names() -> None:
    """Pins of a recording are obeyed; the shard that teaches is made by the replay first."""
    pinned, registry, _ = pinning()
    registry.create_pin(Pin(20, 0, 17, (("u", 0),)))
    assert pinned.open(20) is None
    registry.create_pin(Pin(21, 0, FIRST, (("u", 0),)))
    assert pinned.open(21) is not None


def test_a_store_whose_topic_was_made_anew_is_refused() -> None:
    infos = (LaneInfo(A, "utterances", "id-u", 0), LaneInfo(B, "utterances", "id-u", 0))
    check_source(genesis(), infos)
    check_source(genesis(), (*infos, LaneInfo(NEW, "utterances", "id-u", 0)))
    with pytest.raises(Fatal, match="another id than the genesis"):
        check_source(genesis(), (infos[0]._replace(topic_id="id-2"), infos[1]))


@pytest.mark.parametrize("kind", ["labels", "erasures"])
def test_labels_and_erasures_come_from_topics_of_the_genesis(kind: str) -> None:
    """Else their parts would be waited for as if they held utterances."""
    known = [LaneInfo(entry.lane, entry.kind, entry.topic_id, 0) for entry in genesis().lanes]
    grown = known[-1]._replace(lane=LaneId(known[-1].lane.topic, 7))
    check_source(genesis(), (*known, grown))
    with pytest.raises(Fatal, match=f"new has {kind}, and this store was begun without it"):
        check_source(genesis(), (*known, LaneInfo(LaneId("new", 0), kind, "id-n", 0)))
    spoken = next(info for info in known if info.kind == "utterances")
    with pytest.raises(Fatal, match=f"has {kind}, and this store was begun with it as utterances"):
        check_source(genesis(), (spoken._replace(kind=kind),))


def test_a_genesis_sorts_its_lanes_and_refuses_a_small_lag() -> None:
    infos = (LaneInfo(B, "utterances", "x", 3), LaneInfo(A, "utterances", "x", 0))
    made = make(infos, period_ms=10, grace=1, label_wait=0, lag=3, first_window=2)
    assert [entry.lane for entry in made.lanes] == [A, B]
    assert made.entry(B) is not None and made.entry(NEW) is None
    with pytest.raises(Fatal, match="need 3"):
        make(infos, period_ms=10, grace=1, label_wait=0, lag=2, first_window=2)

"""The loop at work on live lanes: lanes that change hands, marks and holes, steady traffic, races."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import pytest

from daemon.config.settings import Stream
from daemon.lanes import part as parts
from daemon.lanes.part import PartManifest
from daemon.loop import Loop
from daemon.ports import Hole, LaneId, Polled, Retry, Store
from daemon.recording.writer import RecordingWriter, Topic
from daemon.registry import bundle
from daemon.sources import replay
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition, Schedule
from tests.selection import WAITS
from tests.streams import PERIOD_MS, ListSource, Record, say, small_policy
from tests.worlds import outcome, publish_all, shards, source_of, world_of

A, B = LaneId("u", 0), LaneId("u", 1)
TURNS = 3_000  # only a failing test takes so many


def spoken(lane: LaneId, windows: range | list[int], each: int = 4) -> list[Record]:
    """`each` records in each of the windows, spread evenly over its time."""
    first = lane.partition * 10_000
    return [
        (
            window * PERIOD_MS + at * PERIOD_MS // each,
            say(first + window * 20 + at, f"say {window} {at}", "music"),
        )
        for window in windows
        for at in range(each)
    ]


def case_of(records: dict[LaneId, list[Record]], stream: Stream = WAITS) -> Case:
    kinds = dict.fromkeys(records, "utterances")
    return Case(records, kinds, stream, (Edition(small_policy()),))


@dataclass
class Live(ListSource):
    """A group gives us lanes, and none of them ever says that it is complete.

    `mine`: what is ours now; the next answer tells what changed.
    """

    mine: set[LaneId] = field(default_factory=lambda: {A, B})
    ours: set[LaneId] = field(default_factory=set)
    committed: dict[LaneId, int] = field(default_factory=dict)

    def poll(self, limit: int) -> Polled:
        self._told = True
        if self.mine != self.ours:
            gained, lost = sorted(self.mine - self.ours), sorted(self.ours - self.mine)
            self.ours = set(self.mine)
            self._paused -= set(lost)
            return Polled((), tuple(gained), tuple(lost))
        self.hidden = set(self.records) - self.ours
        polled = super().poll(limit)
        self.hidden = set()  # every lane of the stream is seen, ours or not
        return polled

    def finished(self, lane: LaneId) -> bool:
        return False

    def commit(self, positions: dict[LaneId, int]) -> None:
        self.committed |= positions


Told = list[tuple[str, dict[str, object]]]


def loop_of(
    case: Case, store: Store, kind: type[ListSource] = Live, told: Told | None = None, **more: Any
) -> Loop:
    """A process over a store that gets the case's editions; `more`: as `World.loop` takes it."""
    if not list(store.list("editions/")):
        publish_all(case, store)
    heard: Told = [] if told is None else told
    source = source_of(case, Schedule(), kind)
    return world_of(case, store).loop(
        source, listener=lambda event, facts: heard.append((event, facts)), **more
    )


def until(loop: Loop, condition: Callable[[], bool], turns: int = TURNS) -> None:
    for _ in range(turns):
        if condition():
            return
        loop.turn()
    pytest.fail(f"it never came: {({str(n): x.position for n, x in loop.lanes.items()})}")


def until_quiet(*loops: Loop) -> None:
    """Nobody moves any more, for longer than a lane that waits leaves the source alone."""
    quiet = 0
    for _ in range(TURNS):
        quiet = 0 if any([loop.turn() for loop in loops]) else quiet + 1
        if quiet > 30:
            return
    pytest.fail("it never rests")


def manifests(store: Store, lane: LaneId) -> list[PartManifest]:
    return [parts.read_manifest(store.get(name)) for name in store.list(parts.prefix(lane))]


@pytest.mark.parametrize("then", [{A, B}, {B}, set()], ids=["gained", "swapped", "lost"])
def test_the_group_is_heard_while_all_lanes_wait_with_records_in_hand(then: set[LaneId]) -> None:
    """Law 3: lanes waited for one that the group had given us, and that nobody asked for."""
    case = case_of({A: spoken(A, range(5, 45), 10), B: spoken(B, range(5, 45), 10)})
    store = MemoryStore()
    loop = loop_of(case, store, poll_records=20)
    source: Any = loop.source
    source.mine = {A}
    until_quiet(loop)
    assert loop.intake.waiting() >= 20 and loop.intake.head(A) is not None, "A waits for B"
    assert shards(store) == {}
    source.mine = then
    until(loop, lambda: set(loop.lanes) == then, 50)
    until_quiet(loop)
    # A's own parts end with window 8, where it waited; with A and B all is read
    end = {2: 44, 1: 9, 0: 5}[len(then)]
    assert sorted(shards(store)) == list(range(5, end))
    loop._pipeline.close()


@dataclass
class Tailed(Live):
    """Behind B's last record lie 5 positions that hold none. B is read to its end first.

    `tail`: what they are; `when` they are told: with B's last records, while some of these wait
    in hand, or when B has nothing in hand. Told again after a seek, as a log is read again.
    """

    tail: str = "mark"
    when: str = "with"
    told: int = 0
    in_hand: Callable[[LaneId], bool] = lambda lane: True

    def poll(self, limit: int) -> Polled:
        if self.mine != self.ours:
            return super().poll(limit)
        unread = self._at[B] < len(self.records[B])
        paused = set(self._paused)
        self._paused |= {A} if unread else set()
        polled = super().poll(limit)
        self._paused = paused
        if self._spoken or self._at[B] < len(self.records[B]):
            return polled
        holds = self.in_hand(B) or any(batch.lane == B for batch in polled.batches)
        now = {"with": unread, "while": not unread and holds, "after": not holds}[self.when]
        if not now:
            return polled
        self._spoken, self.told = True, self.told + 1
        first = len(self.records[B])
        if self.tail == "hole":
            holes = (Hole(B, first, first + 5, "retention"),)
            return Polled(polled.batches, polled.gained, polled.lost, holes)
        return Polled(polled.batches, polled.gained, polled.lost, (), {B: first + 5})

    def __post_init__(self) -> None:
        super().__post_init__()
        self._spoken = False

    def seek(self, lane: LaneId, position: int) -> None:
        super().seek(lane, position)
        self._spoken = self._spoken and lane != B

    def end(self, lane: LaneId) -> int | None:
        return len(self.records[lane]) + (5 if lane == B else 0)


def tailed(tail: str, when: str, store: Store) -> tuple[Case, Loop]:
    """B speaks in windows 5, 6 and 11, and waits in 11 for what A has to teach."""
    case = case_of({A: spoken(A, range(5, 25)), B: spoken(B, [5, 6, 11])})
    loop = loop_of(case, store, Tailed)
    source: Any = loop.source
    source.tail, source.when = tail, when
    source.in_hand = lambda lane: loop.intake.head(lane) is not None
    return case, loop


TAILS = [(t, w) for t in ("mark", "hole") for w in ("with", "while", "after")][:3]
TAILS += [("hole", "while"), ("hole", "after")]  # a hole lies before the records of its answer


@pytest.mark.parametrize(("tail", "when"), TAILS)
def test_marks_and_holes_at_the_end_of_a_log_hold_nobody_up(tail: str, when: str) -> None:
    """Laws 3 and 6: B stood before its end for ever, and nothing of A could be closed."""
    store, plain = MemoryStore(), MemoryStore()
    case, loop = tailed(tail, when, store)
    until_quiet(loop)
    source: Any = loop.source
    assert source.told == 1
    assert loop.lanes[B].position == source.end(B) == 17
    assert sorted(shards(store)) == list(range(5, 23)), "A stands in 24, grace is 1"
    lost = [hole for manifest in manifests(store, B) for hole in manifest.lost]
    assert lost == ([(12, 17)] if tail == "hole" else []), "said in a part, once"
    assert manifests(store, B)[-1].end == 17
    loop._pipeline.close()
    other = loop_of(case, plain)
    until_quiet(other)
    other._pipeline.close()
    assert outcome(store) == outcome(plain), "they decide nothing"


@pytest.mark.parametrize("tail", ["mark", "hole"])
def test_a_recorded_run_whose_last_cut_lies_behind_its_records_is_replayed_to_its_end(
    tail: str, tmp_path: Path
) -> None:
    """The replay never reached that cut: its lane's last part was missing, and so were shards."""
    store, again = MemoryStore(), MemoryStore()
    case, loop = tailed(tail, "after", store)
    until_quiet(loop)
    loop._pipeline.close()
    cuts = bundle.closings(store, (A, B))
    assert cuts[B][-1].end == 17 > len(case.records[B])
    writer = RecordingWriter(tmp_path / "recording", [Topic("u", "id-u", "utterances", 2)])
    for lane, rows in case.records.items():
        times, values = zip(*rows, strict=True)
        writer.lane(lane).append(range(len(rows)), times, values)
    writer.close(cuts)
    bundle.copy_decisions(store, again)
    source = replay.build(replay.Options(str(tmp_path / "recording")))
    with closing(source):
        twin = world_of(case, again).loop(source)  # type: ignore[arg-type]
        until(twin, lambda: not twin.turn() and twin.ending.complete())
        twin._pipeline.close()
    assert outcome(again) == outcome(store) and len(outcome(again)) == 18

"""Positions that hold no record: marks of the log, and holes, live and replayed (laws 3 and 6)."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from daemon.lanes import part as parts
from daemon.lanes.gather import Gathering
from daemon.lanes.lane import Lane
from daemon.lanes.part import Part, PartManifest
from daemon.loop import Loop
from daemon.ports import Hole, LaneId, Polled, Store
from daemon.recording.writer import RecordingWriter, Topic
from daemon.registry import bundle
from daemon.sources import replay
from daemon.stores.memory import MemoryStore
from tests.cases import Case, Edition
from tests.selection import WAITS
from tests.streams import PERIOD_MS, ListSource, small_policy
from tests.unit.test_live_loop import (
    A,
    B,
    Listener,
    Live,
    case_of,
    loop_of,
    spoken,
    until,
    until_quiet,
)
from tests.worlds import outcome, publish_all, shards, world_of


def manifests(store: Store, lane: LaneId) -> list[PartManifest]:
    return [parts.read_manifest(store.get(name)) for name in store.list(parts.prefix(lane))]


@dataclass
class Tailed(Live):
    """Behind B's last record lie 5 positions that hold none. B is read to its end first.

    `tail`: what they are; `when` they are told: with B's last records, while some of these wait
    in hand, or when B has nothing in hand. Told again after a seek, as a log is read again.
    """

    tail: str = "mark"
    when: str = "with"
    told: int = 0
    spoken: bool = False
    in_hand: Callable[[LaneId], bool] = lambda lane: True

    def poll(self, limit: int) -> Polled:
        if self.mine != self.ours:
            return super().poll(limit)
        unread = self._at[B] < len(self.records[B])
        paused = set(self._paused)
        self._paused |= {A} if unread else set()
        polled = super().poll(limit)
        self._paused = paused
        if self.spoken or self._at[B] < len(self.records[B]):
            return polled
        holds = self.in_hand(B) or any(batch.lane == B for batch in polled.batches)
        now = {"with": unread, "while": not unread and holds, "after": not holds}[self.when]
        if not now:
            return polled
        self.spoken, self.told = True, self.told + 1
        first = len(self.records[B])
        if self.tail == "hole":
            holes = (Hole(B, first, first + 5, "retention"),)
            return Polled(polled.batches, polled.gained, polled.lost, holes)
        return Polled(polled.batches, polled.gained, polled.lost, (), {B: first + 5})

    def seek(self, lane: LaneId, position: int) -> None:
        super().seek(lane, position)
        self.spoken = self.spoken and lane != B

    def end(self, lane: LaneId) -> int | None:
        return len(self.records[lane]) + (5 if lane == B else 0)


def tailed(
    tail: str, when: str, store: Store, listener: Listener = lambda *_: None
) -> tuple[Case, Loop]:
    """B speaks in windows 5, 6 and 11, and waits in 11 for what A has to teach."""
    case = case_of({A: spoken(A, range(5, 25)), B: spoken(B, [5, 6, 11])})
    loop = loop_of(case, store, Tailed, listener)
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
    lags: dict[LaneId, tuple[int, float]] = {}
    case, loop = tailed(tail, when, store, lambda _, facts: lags.update(facts.get("lags", {})))
    until_quiet(loop)
    source: Any = loop.source
    assert source.told == 1
    assert loop.lanes[B].position == source.end(B) == 17
    assert (source.committed[B], lags[B]) == (17, (0, 0.0)), "nothing is left to read"
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
        until(lambda: not twin.turn() and twin.ending.complete(), twin)
        twin._pipeline.close()
    assert outcome(again) == outcome(store) and len(outcome(again)) == 18


class Blind(Gathering):
    """An open window that keeps nothing."""

    def __init__(self) -> None:
        """No rules are needed."""

    def absorb(self, p: Any) -> None:
        """Nothing to do."""


@pytest.mark.parametrize("more", [0, 3])
def test_a_mark_that_is_told_while_records_are_on_their_way_is_no_lag(more: int) -> None:
    """Records are decided on one segment after the other; with the last one, so is the mark."""
    lane = Lane(B, "utterances", "id-u", period_ms=PERIOD_MS)
    lane.resume(0, 5, -1)
    lane.begin(5, Blind())
    ends = [4, 4 + more] if more else [4]
    for end in ends:
        lane.take(end, 5 * PERIOD_MS)
    lane.reach(ends[-1] + 1)
    assert lane.absorbed == 0
    for first, end in zip([0, *ends], ends, strict=False):
        lane.absorb(SimpleNamespace(positions=np.arange(first, end)))  # type: ignore[arg-type]
        assert lane.absorbed == (lane.position if end == ends[-1] else end)
    assert lane.position == ends[-1] + 1


@dataclass
class Holed(ListSource):
    """Records stand at even positions. 19 is damaged, and is told each time it is passed."""

    def poll(self, limit: int) -> Polled:
        polled = super().poll(limit)
        passed = any(20 in batch.positions for batch in polled.batches)
        holes = (Hole(A, 19, 20, "corrupt"),) if passed else ()
        return Polled(polled.batches, polled.gained, polled.lost, holes)


@pytest.mark.parametrize("closed_by", ["record", "operator"])
def test_a_hole_is_stated_once_however_often_it_is_read(closed_by: str) -> None:
    """Law 6: who loses a race reads on from the other's part, and hears of the hole again."""
    rows = spoken(A, range(5, 15))
    case = Case({A: rows}, {A: "utterances"}, WAITS, (Edition(small_policy()),), step=2)
    store = MemoryStore()
    publish_all(case, store)
    first, raced = f"{parts.prefix(A)}{5:012d}.parquet", list[str]()
    create = store.create

    def beaten(name: str, data: bytes) -> bool:
        if name == first and not raced:
            raced.append(name)
            part = parts.decode(data)
            theirs = msgspec.structs.replace(part.manifest, closed_by=closed_by)
            create(name, parts.encode(parts.seal(Part(theirs, part.rows))))
        return create(name, data)

    store.create = beaten  # type: ignore[method-assign]
    assert loop_of(case, store, Holed, batch_records=50, poll_records=50).run()
    found = manifests(store, A)
    assert raced and sum(manifest.counts.records for manifest in found) == len(rows)
    assert [hole for manifest in found for hole in manifest.lost] == [(19, 20)]

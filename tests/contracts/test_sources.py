"""What every kind of source must do. One suite; the folder says which kinds there are."""

from __future__ import annotations

import pkgutil
import shutil
import tempfile
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import daemon.sources
from daemon.ports import Batch, LaneId, Polled, Source
from daemon.recording.writer import RecordingWriter, Topic
from tests.kafka.rig import Live

KINDS = sorted(module.name for module in pkgutil.iter_modules(daemon.sources.__path__))
LANES = (LaneId("said", 0), LaneId("said", 1), LaneId("labels", 0))
TOPICS = (Topic("said", "s-id", "utterances", 2), Topic("labels", "l-id", "labels", 1))
Record = tuple[int, int, bytes | None]  # position, time, value
Log = dict[LaneId, list[Record]]

VALUES = st.one_of(
    st.none(),
    st.binary(max_size=20),
    st.sampled_from([b"{}", b'{"a": [1, 2]}', b"null", b' {"a":1}', b'"\xff"', b"NaN", b"[" * 900]),
)


@st.composite
def logs(draw: st.DrawFn) -> Log:
    log: Log = {}
    for lane in LANES:
        gaps = draw(st.lists(st.integers(1, 3), max_size=12))
        positions = [sum(gaps[: at + 1]) - 1 for at in range(len(gaps))]
        log[lane] = [(p, draw(st.integers(0, 50)), draw(VALUES)) for p in positions]
    return log


class Replay:
    """Puts a log into a recording of one layout, and opens it with little read ahead."""

    layouts = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet", "numbered")
    finishes = True  # a lane says when no record can follow
    slow = False

    def __init__(self, layout: str, base: Path) -> None:
        self.layout, self.base = layout, base

    def open(self, log: Log, **options: Any) -> Source:
        kind = import_module("daemon.sources.replay")
        folder = Path(tempfile.mkdtemp(dir=self.base)) / "recording"
        with RecordingWriter(folder, TOPICS) as writer:
            for lane, records in log.items():
                self._write(writer, folder, lane, records)
        source: Source = kind.build(
            kind.Options(str(folder), **({"read_ahead_bytes": 60} | options))
        )
        return source

    def fit(self, log: Log) -> Log:
        """The log that this kind can hold and is most like it."""
        return log

    def reach(self, log: Log, lane: LaneId, position: int) -> int:
        """The furthest place up to `position` where a lane can be sought."""
        return position

    def assign(self, source: Source, lanes: set[LaneId]) -> None:
        source.assign(lanes)  # type: ignore[attr-defined]

    def close(self) -> None:
        pass

    def _write(
        self, writer: RecordingWriter, folder: Path, lane: LaneId, records: list[Record]
    ) -> None:
        if self.layout == "numbered":  # every file in another format, some without a record
            for number, form in enumerate(
                ("jsonl", "parquet", "jsonl.gz", "jsonl", "jsonl.zst"), 3
            ):
                part = records[(number - 3) * 3 : (number - 2) * 3]
                writer.lane(lane, form, number).append(*columns(part))  # type: ignore[arg-type]
            return
        writer.lane(lane, self.layout).append(*columns(records))  # type: ignore[arg-type]
        if self.layout == "parquet":  # small row groups, so that seeking skips some
            writer._writers[-1].close()
            path = folder / lane.topic / f"{lane.partition:05d}.parquet"
            names = {"offset": pa.int64(), "time": pa.int64(), "value": pa.binary()}
            table = pa.table(list(columns(records)), schema=pa.schema(names.items()))
            pq.write_table(table, path, row_group_size=2)
            writer._writers.pop()


Rig = Replay | Live
RIGS: dict[str, type[Rig]] = {"replay": Replay, "kafka": Live}


def columns(records: list[Record]) -> tuple[list[int], list[int], list[bytes | None]]:
    return [r[0] for r in records], [r[1] for r in records], [r[2] for r in records]


def flat(batch: Batch) -> list[Record]:
    rows = zip(batch.positions.tolist(), batch.times_ms.tolist(), batch.values, strict=True)
    return list(rows)


PLACES = [(kind, layout) for kind in KINDS for layout in getattr(RIGS.get(kind), "layouts", ("",))]
SLOW = {kind for kind, place in RIGS.items() if place.slow}
SLOWLY = [pytest.param(p, marks=pytest.mark.slow) if p[0] in SLOW else p for p in PLACES]


def _rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    kind, layout = request.param
    assert kind in RIGS, f"no place to try sources of the kind {kind}"
    base = tmp_path_factory.mktemp("sources")
    made = RIGS[kind](layout, base)
    yield made
    made.close()
    shutil.rmtree(base)


rig = pytest.fixture(scope="module", params=PLACES, ids="-".join)(_rig)
# for laws that take many logs
thorough = pytest.fixture(scope="module", params=SLOWLY, ids="-".join)(_rig)


def opened(rig: Rig, log: Log, **options: Any) -> Source:
    """A source whose lanes are gained and sought at their start."""
    source = rig.open(log, **options)
    polled = source.poll(10)
    assert polled.batches == ()
    assert set(polled.gained) == set(LANES)
    for lane in polled.gained:
        source.seek(lane, 0)
    return source


def drain(source: Source, limit: int = 4) -> Log:
    """Everything until three answers in a row hold nothing."""
    found: Log = {lane: [] for lane in LANES}
    silent = 0
    while silent < 3:
        polled = source.poll(limit)
        silent = 0 if polled.batches else silent + 1
        for batch in polled.batches:
            found[batch.lane] += flat(batch)
    return found


LOG: Log = {
    lane: [(2 * at + n, 100 * at + n, b'{"n":%d}' % at) for at in range(9)]
    for n, lane in enumerate(LANES)
}


def test_it_says_what_it_knows_of_its_lanes(rig: Rig) -> None:
    source = rig.open(rig.fit(LOG))
    assert [(info.lane, info.kind, info.topic_id) for info in source.lanes()] == [
        (LANES[0], "utterances", "s-id"),
        (LANES[1], "utterances", "s-id"),
        (LANES[2], "labels", "l-id"),
    ]
    source.close()


def test_a_lane_that_was_not_sought_yields_nothing(rig: Rig) -> None:
    log = rig.fit(LOG)
    source = rig.open(log)
    source.poll(10)
    source.seek(LANES[1], 0)
    assert drain(source) == {lane: log[lane] if lane == LANES[1] else [] for lane in LANES}
    source.close()


@settings(max_examples=15)
@given(log=logs(), limit=st.integers(1, 30), more=st.data())
def test_every_record_comes_once_and_in_order(
    thorough: Rig, log: Log, limit: int, more: Any
) -> None:
    rig, log = thorough, thorough.fit(log)
    order = more.draw(st.one_of(st.sampled_from(["behind", "round-robin"]), st.integers(0, 99)))
    source = opened(rig, log, order=order, lanes_at_once=more.draw(st.integers(1, 4)))
    assert drain(source, limit) == log
    for lane in LANES:
        assert source.end(lane) == (log[lane][-1][0] + 1 if log[lane] else 0)
        assert source.finished(lane) == rig.finishes
    source.close()


@settings(max_examples=15)
@given(log=logs(), more=st.data())
def test_to_resume_anywhere_equals_not_to_have_stopped(thorough: Rig, log: Log, more: Any) -> None:
    rig, log = thorough, thorough.fit(log)
    source = opened(rig, log)
    want: Log = {}
    for lane in LANES:
        position = rig.reach(log, lane, more.draw(st.integers(0, 40)))
        source.seek(lane, position)
        want[lane] = [record for record in log[lane] if record[0] >= position]
    assert drain(source) == want
    source.close()


def test_what_was_read_before_a_pause_is_held_and_not_lost(rig: Rig) -> None:
    log = rig.fit(LOG)
    source = opened(rig, log)
    first: Log = {lane: [] for lane in LANES}
    for batch in source.poll(2).batches:
        first[batch.lane] += flat(batch)
    for lane in LANES:
        source.pause(lane)
    assert source.poll(100).batches == ()
    source.resume(LANES[1])
    first[LANES[1]] += drain(source)[LANES[1]]
    assert first[LANES[1]] == log[LANES[1]]
    for lane in LANES:
        source.resume(lane)
    rest = drain(source)
    assert {lane: first[lane] + rest[lane] for lane in LANES} == log
    source.close()


def test_lost_lanes_yield_nothing_until_they_are_sought_again(rig: Rig) -> None:
    log = rig.fit(LOG)
    source = opened(rig, log, lanes_at_once=3)
    source.poll(3)
    rig.assign(source, {LANES[0], LANES[2]})
    polled: Polled = source.poll(100)
    assert LANES[1] in polled.lost, "a busy group may take and give the others, too"
    assert [batch for batch in polled.batches if batch.lane == LANES[1]] == []
    assert drain(source)[LANES[1]] == []
    rig.assign(source, set(LANES))
    assert LANES[1] in source.poll(100).gained
    assert drain(source)[LANES[1]] == []
    source.seek(LANES[1], log[LANES[1]][4][0])
    assert drain(source)[LANES[1]] == log[LANES[1]][4:]
    source.close()


def test_a_lane_lost_and_gained_between_two_polls_stays(rig: Rig) -> None:
    log = rig.fit(LOG)
    source = opened(rig, log)
    rig.assign(source, set())
    rig.assign(source, set(LANES))
    assert drain(source) == log
    source.close()


STEPS = st.one_of(
    st.tuples(st.just("poll"), st.integers(1, 9)),
    st.tuples(st.just("pause"), st.sampled_from(LANES)),
    st.tuples(st.just("resume"), st.sampled_from(LANES)),
    st.tuples(st.just("end"), st.sampled_from(LANES)),
    st.tuples(st.just("seek"), st.sampled_from(LANES), st.integers(0, 40)),
)


@settings(max_examples=30)
@given(log=logs(), steps=st.lists(STEPS, max_size=30), seed=st.integers(0, 9))
def test_any_schedule_equals_the_plain_list(
    thorough: Rig, log: Log, steps: list[tuple[Any, ...]], seed: int
) -> None:
    rig, log = thorough, thorough.fit(log)
    source = opened(rig, log, order=seed, lanes_at_once=1 + seed % 3)
    rest = {lane: list(records) for lane, records in log.items()}
    paused: set[LaneId] = set()
    calls: dict[str, Callable[..., Any]] = {"pause": source.pause, "resume": source.resume}
    for name, *given_ in [*steps, *(("resume", lane) for lane in LANES)]:
        if name == "poll":
            batches = source.poll(given_[0]).batches
            assert sum(len(batch.values) for batch in batches) <= given_[0]
            assert batches or not any(rest[lane] for lane in LANES if lane not in paused)
            for batch in batches:
                assert batch.lane not in paused
                rows = flat(batch)
                assert rows == rest[batch.lane][: len(rows)]
                del rest[batch.lane][: len(rows)]
        elif name == "end":
            last = log[given_[0]][-1:]
            assert source.end(given_[0]) == (last[0][0] + 1 if last else 0)
        elif name == "seek":
            position = rig.reach(log, *given_)
            source.seek(given_[0], position)
            rest[given_[0]] = [record for record in log[given_[0]] if record[0] >= position]
        else:
            calls[name](*given_)
            paused = paused | set(given_) if name == "pause" else paused - set(given_)
    assert drain(source) == rest
    source.close()

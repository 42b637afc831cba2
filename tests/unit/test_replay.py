"""What only a replayed recording does: its order, its cuts, and lanes that still grow."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from daemon.ports import Closing, LaneId, Source
from daemon.recording.writer import RecordingWriter, Topic
from daemon.sources.replay import Options, build

SAID, MORE = LaneId("said", 0), LaneId("said", 1)
Sought = Callable[..., Source]
TOPICS = [Topic("said", "id", "utterances", 2)]


def write(
    folder: Path,
    times: Mapping[LaneId, Sequence[int]],
    closings: Mapping[LaneId, Sequence[Closing]] | None = None,
) -> Path:
    """A recording of records at positions 0, 1, 2 ... with these times."""
    writer = RecordingWriter(folder / "recording", TOPICS)
    for lane, column in times.items():
        writer.lane(lane).append(range(len(column)), column, [b"{}"] * len(column))
    writer.close(closings)
    return folder / "recording"


@pytest.fixture
def sought() -> Iterator[Sought]:
    """Opens recordings with every lane sought at 0, and closes them."""
    with ExitStack() as stack:

        def open_(path: Path, **options: object) -> Source:
            source = build(msgspec.convert({"path": str(path)} | options, Options))
            stack.callback(source.close)
            for lane in source.poll(1).gained:
                source.seek(lane, 0)
            return source

        yield open_


def served(source: Source, limit: int) -> list[tuple[int, int]]:
    """(partition, records) of each batch, in order, until there are no more."""
    found = []
    while batches := source.poll(limit).batches:
        found += [(batch.lane.partition, len(batch.values)) for batch in batches]
    return found


def positions(source: Source) -> dict[LaneId, list[int]]:
    found: dict[LaneId, list[int]] = {}
    while batches := source.poll(100).batches:
        for batch in batches:
            found.setdefault(batch.lane, []).extend(batch.positions.tolist())
    return found


def test_the_lane_furthest_behind_is_read_first(tmp_path: Path, sought: Sought) -> None:
    path = write(tmp_path, {SAID: [0, 10, 20, 30], MORE: [5, 6, 7, 100]})
    assert served(sought(path), 1) == [(0, 1), (1, 1), (1, 1), (1, 1), *[(0, 1)] * 3, (1, 1)]
    assert served(sought(path), 2) == [(0, 2), (1, 2), (1, 2), (0, 2)]


def test_of_lanes_equally_behind_the_first_by_name_is_read(tmp_path: Path, sought: Sought) -> None:
    path = write(tmp_path, {SAID: [1, 2], MORE: [1, 2]})
    assert served(sought(path), 1) == [(0, 1), (1, 1), (0, 1), (1, 1)]


def test_a_paused_lane_holds_nobody_back(tmp_path: Path, sought: Sought) -> None:
    source = sought(write(tmp_path, {SAID: [0, 1], MORE: [50, 60]}))
    source.pause(SAID)
    assert positions(source) == {MORE: [0, 1]}


def test_round_robin_takes_turns(tmp_path: Path, sought: Sought) -> None:
    path = write(tmp_path, {SAID: [0, 0, 0], MORE: [9, 9, 9]})
    assert served(sought(path, order="round-robin"), 1) == [(0, 1), (1, 1)] * 3


def test_a_seed_decides_the_order_and_the_same_one_the_same(tmp_path: Path, sought: Sought) -> None:
    path = write(tmp_path, {SAID: [0] * 20, MORE: [0] * 20})
    orders = {seed: tuple(served(sought(path, order=seed), 1)) for seed in range(5)}
    assert len(set(orders.values())) == 5
    assert orders == {s: tuple(served(sought(path, order=s), 1)) for s in range(5)}


def test_several_lanes_share_the_limit(tmp_path: Path, sought: Sought) -> None:
    path = write(tmp_path, {SAID: [0] * 9, MORE: [1] * 9})
    batches = sought(path, lanes_at_once=5).poll(7).batches
    assert [(batch.lane, len(batch.values)) for batch in batches] == [(SAID, 3), (MORE, 4)]
    assert len(sought(path, lanes_at_once=5).poll(1).batches) == 1


CUTS = [Closing(4, 4, 2, 5, 50, "record"), Closing(5, 7, 5, 8, 80, "evidence")]


def test_a_lane_with_cuts_is_what_its_cuts_cover(tmp_path: Path, sought: Sought) -> None:
    """Law 3: a recording with closings ends where its parts end."""
    path = write(tmp_path, {SAID: range(20), MORE: range(20)}, {SAID: CUTS})
    source = sought(path)
    assert {info.lane: info.start for info in source.lanes()} == {SAID: 2, MORE: 0}
    assert source.closings(SAID) == tuple(CUTS)
    assert source.closings(MORE) == ()
    assert (source.end(SAID), source.end(MORE)) == (8, 0)
    assert source.finished(SAID)
    source.seek(SAID, 2)
    assert positions(source) == {SAID: [2, 3, 4, 5, 6, 7]}
    source.seek(SAID, 8)
    assert positions(source) == {}


def test_without_cuts_the_run_finds_its_own(tmp_path: Path, sought: Sought) -> None:
    source = sought(write(tmp_path, {SAID: range(3)}))
    assert source.closings(SAID) is None
    assert (source.end(SAID), source.end(MORE)) == (3, 0)


@pytest.mark.parametrize(
    "options", [{"order": "oldest"}, {"order": -1}, {"lanes_at_once": 0}, {"seed": 1}, {"path": ""}]
)
def test_options_that_say_nothing_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"path": "x"} | options, Options)


APPENDER = """
import sys
from pathlib import Path
from daemon.ports import LaneId
from daemon.recording.writer import RecordingWriter, Topic
lane = LaneId("said", 0)
topics = [Topic("said", "id", "utterances", 1)]
with RecordingWriter(Path(sys.argv[1]), topics, live=True) as writer:
    out = writer.lane(lane, number=1)
    for step in sys.stdin:
        number, what = step.split()
        if what == "half":
            out._writer._file.write(b'{"offset":%s,"time":1,' % number.encode())
        elif what == "rest":
            out._writer._file.write(b'"value":%s}\\n' % number.encode())
        elif what == "next":
            out = writer.lane(lane, number=int(number))
        else:
            out.append([int(number)], [1], [number.encode()])
        out.flush()
        print("done", flush=True)
"""


def test_an_open_lane_is_followed_while_another_process_appends(tmp_path: Path) -> None:
    command = [sys.executable, "-c", APPENDER, str(tmp_path / "live")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, bufsize=1) as child:
        assert child.stdin is not None
        assert child.stdout is not None

        def step(text: str) -> list[bytes | None]:
            print(text, file=child.stdin)
            assert child.stdout.readline() == "done\n"  # type: ignore[union-attr]
            return [value for batch in source.poll(9).batches for value in batch.values]

        print("0 whole", file=child.stdin)
        assert child.stdout.readline() == "done\n"
        source = build(Options(str(tmp_path / "live"), read_ahead_bytes=10))
        assert source.poll(1).gained == (SAID,)
        source.seek(SAID, 0)
        assert step("1 half") == [b"0"]
        assert step("1 rest") == [b"1"]
        assert step("5 half") == []
        assert source.end(SAID) is None
        assert not source.finished(SAID)
        assert step("5 rest") == [b"5"]
        assert step("2 next") == []
        assert step("7 whole") == [b"7"]
        source.seek(SAID, 5)
        assert step("8 whole") == [b"5"]
        child.stdin.close()
        assert child.wait() == 0
    assert positions(source) == {SAID: [7, 8]}
    assert source.finished(SAID)
    assert source.end(SAID) == 9
    source.close()

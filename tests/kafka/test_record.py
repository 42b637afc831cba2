"""A recording of topics replays as the run that read them: the same shards, digest for digest."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from kafka import KafkaProducer, TopicPartition

from daemon.__main__ import main
from daemon.config.settings import Stream
from daemon.ports import EXIT_CONFIG, EXIT_OK, EXIT_STATE, LaneId
from daemon.recording.playback import LaneReader, open_recording
from daemon.stores import local
from tests.cases import Case, random_case
from tests.kafka.broker import CLIENT, Broker, unique
from tests.kafka.follower import Follower, options
from tests.kafka.live import TIMES, configure, fill, kafka, renamed, running
from tests.streams import PERIOD_MS
from tests.worlds import shards

STREAM = Stream(period_ms=PERIOD_MS, grace=1, label_wait=0, lag=3)
Rows = list[tuple[int, int, bytes | None]]


def rows_of(folder: Path, lane: LaneId) -> Rows:
    recording = open_recording(folder)
    reader = LaneReader(recording, lane, 1 << 16)
    found: Rows = []
    while (columns := reader.read()) is not None:
        positions, times = columns.positions.tolist(), columns.times_ms.tolist()
        found += zip(positions, times, columns.values, strict=True)
    reader.close()
    return found


def as_rows(case: Case, lane: LaneId) -> Rows:
    return [(at, time, value) for at, (time, value) in enumerate(case.records[lane])]


def digests(store: Path) -> dict[int, tuple[str, str, str]]:
    """window -> what its shard holds and taught."""
    opened = local.build(local.Options(str(store)))
    return {
        window: (m.rows_digest, m.selection_digest, repr(m.calibration))
        for window, m in shards(opened).items()
    }


def call(*words: object) -> int:
    return main([str(word) for word in words])


@pytest.fixture
def labelled() -> Case:
    """With late labels and audit answers."""
    return next(c for c in map(random_case, range(40)) if "labels" in c.kinds.values())


def test_topics_without_a_run_are_recorded_as_they_are(
    broker: Broker, tmp_path: Path, labelled: Case, capsys: pytest.CaptureFixture[str]
) -> None:
    case = renamed(labelled, fill(broker, labelled.records))
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="store")
    assert call("record", tmp_path / "all", "-c", config) == EXIT_OK
    recording = open_recording(tmp_path / "all")
    assert {lane: info.kind for lane, info in recording.lanes.items()} == case.kinds
    for lane in case.records:
        assert rows_of(tmp_path / "all", lane) == as_rows(case, lane)
    assert recording.closings is None
    assert recording.registry is None
    capsys.readouterr()
    assert call("record", tmp_path / "all", "-c", config) == EXIT_CONFIG
    assert "exists already" in capsys.readouterr().err


def replay(root: Path, case: Case, recording: str, store: str) -> dict[int, tuple[str, str, str]]:
    source = f"{{kind: replay, options: {{path: {root / recording}}}}}"
    config = configure(root, case, source, name=f"replay-{store}", store=store)
    assert call("run", "-c", config) == EXIT_OK
    return digests(root / store)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_recording_of_a_live_run_gives_its_shards(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    case = random_case(seed)
    case = renamed(case, fill(broker, case.records))
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")
    with running(broker, case, tmp_path / "live"):
        assert call("record", tmp_path / "whole", "-c", config) == EXIT_OK
    lived = digests(tmp_path / "live")
    assert len(lived) >= 3
    assert replay(tmp_path, case, "whole", "again") == lived


@pytest.mark.parametrize("seed", [0, 2, 5])
def test_a_stretch_of_a_run_gives_the_shards_of_its_windows(
    broker: Broker, tmp_path: Path, seed: int
) -> None:
    case = random_case(seed, windows=9)
    case = renamed(case, fill(broker, case.records))
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")
    with running(broker, case, tmp_path / "live"):
        pass
    lived = digests(tmp_path / "live")
    windows = sorted(lived)
    first, until = windows[len(windows) // 2], windows[-1] + seed % 2
    words = ("--from", first, "--until", until)
    assert call("record", tmp_path / "some", "-c", config, *words) == EXIT_OK
    again = replay(tmp_path, case, "some", "again")
    wanted = {w: d for w, d in lived.items() if first <= w < until}
    assert wanted
    assert {w: d for w, d in again.items() if w >= first} == wanted


def test_a_run_whose_records_are_gone_says_from_where_on_it_can_be_recorded(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    case = random_case(2, windows=9)
    case = renamed(case, fill(broker, case.records))
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")
    with running(broker, case, tmp_path / "live"):
        pass
    lane = next(lane for lane, kind in case.kinds.items() if kind == "utterances")
    broker.admin.delete_records({TopicPartition(*lane): 5})
    assert call("record", tmp_path / "gone", "-c", config) == EXIT_STATE
    said = capsys.readouterr().err
    hint = re.search(rf"lost records of {lane} .*--from (\d+) is the first window", said)
    assert hint, said
    assert not (tmp_path / "gone").exists()
    assert call("record", tmp_path / "rest", "-c", config, "--from", hint[1]) == EXIT_OK
    # without the run's decisions it is a recording of what is left
    assert call("record", tmp_path / "left", "-c", config, "--records-only") == EXIT_OK
    assert rows_of(tmp_path / "left", lane) == as_rows(case, lane)[5:]
    assert open_recording(tmp_path / "left").lanes[lane].start == 5


def test_the_run_that_is_recorded_keeps_its_lanes(broker: Broker, tmp_path: Path) -> None:
    case = random_case(1)
    case = renamed(case, fill(broker, case.records))
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")
    group = re.search(r"group: ([a-z0-9-]+)", config.read_text())
    assert group
    said = sorted({lane.topic for lane in case.records})
    follower = Follower(options(broker, *said, group=group[1], allow_create_time=True))
    follower.stand(*case.records)
    told = list(follower.told)
    assert call("record", tmp_path / "all", "-c", config) == EXIT_OK
    follower.until(lambda: bool(follower.poll()) or True)
    assert follower.told == told
    follower.source.close()


def test_bounds_of_records(
    broker: Broker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(1_000 * n + 500, b'{"n":%d}' % n) for n in range(20)]
    first, second = LaneId("said", 0), LaneId("said", 1)
    names = fill(broker, {first: rows, second: rows})
    lanes = [LaneId(names["said"], number) for number in (0, 1)]
    case = Case(dict.fromkeys(lanes, rows), dict.fromkeys(lanes, "utterances"), STREAM, ())
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")

    def taken(folder: str, *words: str) -> list[list[int]]:
        assert call("record", tmp_path / folder, "-c", config, "--format", "jsonl.zst", *words) == 0
        return [[position for position, *_ in rows_of(tmp_path / folder, at)] for at in lanes]

    assert taken("a", "--from", f"{lanes[0]}=3", "--until", f"{lanes[1]}=7") == [
        list(range(3, 20)), list(range(7)),
    ]  # fmt: skip
    assert taken("b", "--from", "4", "--until", "9") == [list(range(4, 9))] * 2, "of window numbers"
    times = ("--from", "1970-01-01T00:00:04.501", "--until", "1970-01-01T00:00:09.500Z")
    assert taken("c", *times) == [list(range(5, 9))] * 2, "until is exclusive"
    assert taken("d", "--from", "99") == [[], []]
    assert taken("e", "--until", f"{lanes[0]}=999") == [list(range(20))] * 2
    for words in (("--from", "noon"), ("--from", "4", "--from", "5"), ("--until", "nowhere/7=1")):
        assert call("record", tmp_path / "f", "-c", config, *words) == EXIT_CONFIG
    assert "nowhere/7 is no lane" in capsys.readouterr().err
    assert not (tmp_path / "f").exists()


def test_what_was_aborted_is_not_recorded_and_leaves_its_gap(
    broker: Broker, tmp_path: Path
) -> None:
    topic = broker.topic("said", **TIMES)
    producer = KafkaProducer(
        bootstrap_servers=broker.bootstrap, transactional_id=unique("writer"), **CLIENT
    )
    producer.init_transactions()
    for keep in (True, False, True, False):
        producer.begin_transaction()
        for number in range(3):
            producer.send(topic, b"%d" % number, partition=0, timestamp_ms=1_000)
        producer.flush()
        (producer.commit_transaction if keep else producer.abort_transaction)()
    producer.close()
    lane = LaneId(topic, 0)
    case = Case({lane: []}, {lane: "utterances"}, STREAM, ())
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="live")
    assert call("record", tmp_path / "all", "-c", config) == EXIT_OK
    assert [position for position, *_ in rows_of(tmp_path / "all", lane)] == [0, 1, 2, 8, 9, 10]
    assert (tmp_path / "all").stat().st_mode & 0o077 == 0

"""A recording is played into topics: each lane byte for byte, at the pace that was asked for."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.admin import ConfigResource, ConfigResourceType

from daemon.__main__ import main
from daemon.clock import ManualClock
from daemon.commands import feed
from daemon.kafka.topics import APPEND_TIME, TIME_TYPE
from daemon.ports import EXIT_CONFIG, EXIT_DEPENDENCY, EXIT_OK, EXIT_STATE, LaneId
from daemon.recording.playback import open_recording
from daemon.recording.writer import RecordingWriter, Topic
from tests.cases import Case, random_case
from tests.kafka.broker import Broker, free_port, unique
from tests.kafka.follower import Follower, options
from tests.kafka.live import configure, kafka, renamed

VALUES: list[bytes | None] = [
    b"{}", b"", None, b'{"a": [1,  2]}', b"\xff\x00\n", b'"\xe2\x80\xa8"', b" {} ", b"x" * 70_000,
]  # fmt: skip


@pytest.fixture
def case() -> Case:
    """Three lanes and a label lane, none of them on the broker yet."""
    case = next(c for c in map(random_case, range(99)) if len(c.kinds) >= 4)
    case.records[LaneId("u", 1)][:0] = [(5_000, value) for value in VALUES]
    return renamed(case, {lane.topic: unique(lane.topic) for lane in case.records})


def write(folder: Path, case: Case) -> Path:
    counts: dict[str, int] = {}
    for lane in case.records:
        counts[lane.topic] = max(counts.get(lane.topic, 0), lane.partition + 1)
    kinds = {lane.topic: kind for lane, kind in case.kinds.items()}
    topics = [Topic(name, "id", kinds[name], n) for name, n in counts.items()]  # type: ignore[arg-type]
    with RecordingWriter(folder, topics) as writer:
        for lane, rows in case.records.items():
            times, values = [t for t, _ in rows], [v for _, v in rows]
            writer.lane(lane).append(range(7, 7 + 3 * len(rows), 3), times, values)
    return folder


@pytest.fixture
def words(broker: Broker, tmp_path: Path, case: Case) -> Iterator[list[str]]:
    """Of a call of `sluice feed` for the case's recording."""
    config = configure(tmp_path, case, kafka(broker, case), name="live", store="store")
    folder = write(tmp_path / "recording", case)
    return iter([["feed", str(folder), "-c", str(config)]])


def there(broker: Broker, case: Case) -> dict[LaneId, list[bytes | None]]:
    follower = Follower(options(broker, *sorted({lane.topic for lane in case.records})))
    for lane, rows in case.records.items():
        follower.read(lane, len(rows))
    follower.source.close()
    return {lane: [value for _, value in rows] for lane, rows in follower.rows.items()}


@pytest.fixture
def call(words: Iterator[list[str]]) -> list[str]:
    return next(words)


def test_each_lane_is_played_byte_for_byte(
    broker: Broker, case: Case, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*call, "--create", "--rate", "100000"]) == EXIT_OK
    values = {lane: [v for _, v in rows] for lane, rows in case.records.items()}
    assert there(broker, case) == values
    total = sum(map(len, values.values()))
    assert f"fed {total} records into {len(values)} lanes" in capsys.readouterr().out
    for topic in {lane.topic for lane in values}:
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic)]
        found = broker.admin.describe_configs(asked, config_filter="all")["topic"][topic]
        assert found[TIME_TYPE]["value"] == APPEND_TIME


def test_missing_topics_are_made_only_where_asked_for(
    broker: Broker, case: Case, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(call) == EXIT_CONFIG
    assert "--create makes it, with " in capsys.readouterr().err
    assert not {lane.topic for lane in case.records} & set(broker.admin.list_topics())


def test_a_topic_with_too_few_partitions_is_refused_before_anything_is_sent(
    broker: Broker, case: Case, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    wide = max(case.records).topic
    broker.create(wide, 1)
    assert main([*call, "--create"]) == EXIT_CONFIG
    assert f"topic {wide} has 1 partitions, and the recording" in capsys.readouterr().err
    others = {lane.topic for lane in case.records} - {wide}
    assert not others & set(broker.admin.list_topics()), "no other topic was made either"


def test_a_broken_recording_is_found_before_anything_is_sent(
    broker: Broker, case: Case, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lane = max(case.records)
    path = Path(call[1]) / lane.topic / f"{lane.partition:05d}.jsonl"
    path.write_bytes(path.read_bytes() + b'{"time": 5')
    assert main([*call, "--create"]) == EXIT_STATE
    assert not {lane.topic for lane in case.records} & set(broker.admin.list_topics())


def test_without_a_broker_it_says_so(
    case: Case, tmp_path: Path, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"{{kind: kafka, options: {{bootstrap: ['127.0.0.1:{free_port()}'], topics: [t], "
    config = configure(tmp_path, case, source + "group: g}}", name="nobody", store="s")
    assert main([*call[:2], "-c", str(config)]) == EXIT_DEPENDENCY
    assert "nobody listens" in capsys.readouterr().err


def test_a_source_that_is_no_kafka_has_no_topics(
    case: Case, tmp_path: Path, call: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    source = f"{{kind: replay, options: {{path: {call[1]}}}}}"
    config = configure(tmp_path, case, source, name="replay", store="s")
    for command in ("feed", "record"):
        folder = call[1] if command == "feed" else str(tmp_path / "new")
        assert main([command, folder, "-c", str(config)]) == EXIT_CONFIG
        assert "source.kind is replay" in capsys.readouterr().err


@pytest.mark.parametrize("pace", [{"rate": 50}, {"speed": 4.0}, {}])
def test_records_wait_until_they_are_due(tmp_path: Path, case: Case, pace: dict[str, int]) -> None:
    recording = open_recording(write(tmp_path / "recording", case))
    clock = ManualClock()
    arguments = argparse.Namespace(**({"rate": None, "speed": None} | pace))
    records = list(feed.timed(recording))
    assert [time for time, *_ in records] == sorted(time for time, *_ in records)
    begin, first = clock.monotonic(), records[0][0]
    for number, _ in enumerate(feed.paced(iter(records), clock, arguments)):
        due = number / 50 if "rate" in pace else (records[number][0] - first) / 4_000
        assert clock.monotonic() - begin == pytest.approx(due if pace else 0.0, abs=1e-6)


@pytest.mark.parametrize("wrong", [("--rate", "0"), ("--speed", "0"), ("--speed", "nan")])
def test_a_pace_that_is_none_is_refused(call: list[str], wrong: tuple[str, str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*call, *wrong])
    assert ended.value.code == EXIT_CONFIG


def test_help_says_that_times_are_new(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["feed", "--help"])
    assert "append times, and so windows, are not those of the recording" in " ".join(
        capsys.readouterr().out.split()
    )

"""The format of recordings: what is written is read again, and whatever is wrong is named."""

from __future__ import annotations

import gzip
import json
import stat
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.ports import EXIT_STATE, Closing, Fatal, LaneId
from daemon.recording.lanefile import JsonLines
from daemon.recording.lanetable import ParquetRows
from daemon.recording.playback import LaneReader, open_recording
from daemon.recording.writer import FORMATS, Format, RecordingWriter, Topic

LANE = LaneId("said", 0)
TOPIC = {"topic": "said", "topic_id": "id", "kind": "utterances", "partitions": 1}
SECRET = "my secret sentence"
Record = tuple[int, int, bytes | None]


def by_hand(folder: Path, name: str, content: bytes | str, **manifest: Any) -> Path:
    """A recording of one lane as a person would write it."""
    (folder / "said").mkdir(parents=True, exist_ok=True)
    about = {"version": 1, "topics": [TOPIC | manifest]}
    (folder / "recording.json").write_text(json.dumps(about))
    data = content.encode() if isinstance(content, str) else content
    (folder / "said" / name).write_bytes(data)
    return folder


def rows(folder: Path, position: int = 0, block: int = 1 << 18) -> list[Record]:
    found: list[Record] = []
    with closing(LaneReader(open_recording(folder), LANE, block)) as reader:
        reader.seek(position)
        while (columns := reader.read()) is not None:
            found += zip(columns[0].tolist(), columns[1].tolist(), columns[2], strict=True)
        assert reader.ended
    return found


def refused(folder: Path, *named: str) -> None:
    with pytest.raises(Fatal) as caught:
        rows(folder)
    assert caught.value.code == EXIT_STATE
    assert all(part in str(caught.value) for part in named), str(caught.value)
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__  # no cause is shown that could repeat the content


@pytest.mark.parametrize("form", FORMATS)
@given(values=st.lists(st.one_of(st.none(), st.binary(), st.text().map(str.encode))))
def test_every_value_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, form: Format, values: list[bytes | None]
) -> None:
    folder = tmp_path_factory.mktemp("recordings") / "one"
    records = [(3 * at, 100_000 - at, value) for at, value in enumerate(values)]
    with RecordingWriter(folder, [Topic("said", "id", "utterances", 1)]) as writer:
        writer.lane(LANE, form).append(*[[r[c] for r in records] for c in range(3)])  # type: ignore[arg-type]
    assert rows(folder) == records


def test_json_stays_readable(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", [Topic("said", "id", "utterances", 1)]) as writer:
        deep = b"[" * 300 + b"]" * 300
        values = [b'{"text": "lights on"}', b'{"a":\n1}', b" {}", deep, b'"\xff"', None]
        writer.lane(LANE).append(range(6), range(6), values)
    lines = (tmp_path / "r/said/00000.jsonl").read_text().splitlines()
    assert lines[0] == '{"offset":0,"time":0,"value":{"text": "lights on"}}'
    assert ["raw" in json.loads(line) for line in lines[1:5]] == [True] * 4
    assert json.loads(lines[5]) == {"offset": 5, "time": 5, "tombstone": True}
    assert [value for *_, value in rows(tmp_path / "r")] == values


LINES = '{"time":7,"value":{"a": 1}}\r\n{"time":5,"offset":4,"raw":"AP8="}\n{"value":null,"time":6}'


@pytest.mark.parametrize("block", [1, 10, 30, 1000])
@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
def test_lines_by_hand(tmp_path: Path, block: int, suffix: str) -> None:
    """Without offsets they count from 0; one that is given is counted on from."""
    data = gzip.compress(LINES.encode()) if suffix.endswith("gz") else LINES.encode()
    by_hand(tmp_path, f"00000.{suffix}", data)
    want = [(0, 7, b'{"a": 1}'), (4, 5, b"\x00\xff"), (5, 6, b"null")]
    assert rows(tmp_path, block=block) == want
    assert rows(tmp_path, 1, block=block) == want[1:]


@pytest.mark.parametrize(
    "line",
    [
        SECRET,
        f'{{"time":1,"value":"{SECRET}"',
        f'{{"time":1,"value":"{SECRET}"}} 2',
        f'{{"time":"{SECRET}","value":1}}',
        f'{{"value":"{SECRET}"}}',
        f'{{"time":1,"value":1,"{SECRET}":1}}',
        f'{{"time":1,"value":1,"raw":"{SECRET}"}}',
        '{"time":1,"value":1,"raw":"AA=="}',
        '{"time":1,"value":1,"tombstone":true}',
        '{"time":1,"raw":"AA==","tombstone":true}',
        '{"time":1}',
        '{"time":1,"tombstone":false}',
        *(f'{{"time":{time},"value":1}}' for time in ("1.5", "-1", "99999999999999999999")),
        '{"time":1,"offset":-1,"value":1}',
        '{"time":1,"offset":1,"value":1}',
        '{"time":1,"offset":0,"value":1}',
        "[1]",
        "",
        '{"time":1,"value":' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"time":1,\n"value":1}',
    ],
)
def test_a_wrong_line_is_named_by_its_number(tmp_path: Path, line: str) -> None:
    good = '{"time":1,"value":1}\n'
    by_hand(tmp_path, "00000.jsonl", good * 2 + line + "\n" + good)
    refused(tmp_path, "00000.jsonl", "line or row 3")


def test_lines_are_counted_across_pieces_and_per_file(tmp_path: Path) -> None:
    by_hand(tmp_path, "unrelated", "")
    (tmp_path / "said/00000").mkdir()
    good = '{"time":1,"value":1}\n'
    (tmp_path / "said/00000/000009.jsonl").write_text(good * 20_000)
    (tmp_path / "said/00000/000010.jsonl").write_text(good * 30_000 + "{}\n")
    refused(tmp_path, "000010.jsonl", "line or row 30001")
    (tmp_path / "said/00000/000010.jsonl").write_text('{"time":1,"value":1,"offset":19999}')
    refused(tmp_path, "000010.jsonl", "line or row 1", "ascend")


def test_broken_and_endless_files_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress(LINES.encode() * 100)
    by_hand(tmp_path / "cut", "00000.jsonl.gz", whole[:-20])
    refused(tmp_path / "cut", "00000.jsonl.gz")
    by_hand(tmp_path / "odd", "00000.jsonl.zst", b"not zstd")
    refused(tmp_path / "odd", "00000.jsonl.zst")
    by_hand(tmp_path / "bomb", "00000.jsonl.gz", gzip.compress(b" " * (65 << 20), 1))
    refused(tmp_path / "bomb", "00000.jsonl.gz", "endless")
    by_hand(tmp_path / "table", "00000.parquet", b"PAR1 no")
    refused(tmp_path / "table", "00000.parquet")


def parquet(path: Path, group: int = 3, **named: Any) -> Path:
    path.mkdir(parents=True)
    pq.write_table(pa.table(named), path / "t", row_group_size=group)
    return by_hand(path, "00000.parquet", (path / "t").read_bytes())


def test_parquet_without_offsets_counts_rows(tmp_path: Path) -> None:
    values = [b"%d" % at for at in range(10)]
    folder = parquet(tmp_path / "r", time=list(range(10)), value=values)
    assert rows(folder, 7) == [(at, at, values[at]) for at in range(7, 10)]
    reader = ParquetRows(folder / "said/00000.parquet", position=100, skip_to=104)
    columns = reader.read(final=True)
    assert columns is not None
    assert columns.positions.tolist() == [103, 104, 105]  # one row group was passed over
    reader.close()


@pytest.mark.parametrize(
    "named",
    [
        {"time": [1]},
        {"time": [1], "value": ["text"]},
        {"time": ["1"], "value": [b""]},
        {"time": [1], "value": [b""], "key": [b""]},
        {"time": [1, None], "value": [b"", b""]},
        {"time": [1, -1], "value": [b"", b""]},
        {"time": [1, 1], "value": [b"", b""], "offset": [0, None]},
        {"time": [1, 1], "value": [b"", b""], "offset": [1, 1]},
        {"time": [1] * 4, "value": [b""] * 4, "offset": [4, 5, 6, 2]},
    ],
)
def test_a_wrong_table_is_refused(tmp_path: Path, named: dict[str, Any]) -> None:
    refused(parquet(tmp_path / "r", **named), "00000.parquet")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "missing"),
        ("{", "should be"),
        ("[]", "should be"),
        ("[" * 100_000, "should be"),
        ("{}", "version"),
        ('{"version":2,"topics":[]}', "version"),
        ('{"version":1,"topics":[]}', "topics: must be a list"),
        ('{"version":1,"topics":[],"more":1}', "unknown field"),
        (json.dumps({"version": 1, "topics": [TOPIC, TOPIC]}), "twice"),
        (json.dumps({"version": 1, "topics": [TOPIC | {"topic": ".."}]}), "[0].topic: must"),
        (json.dumps({"version": 1, "topics": [TOPIC | {"topic": "a/b"}]}), "[0].topic: must"),
        (json.dumps({"version": 1, "topics": [TOPIC | {"topic": "registry"}]}), "[0].topic: must"),
        (json.dumps({"version": 1, "topics": [TOPIC, TOPIC | {"kind": SECRET}]}), "[1].kind: must"),
        (json.dumps({"version": 1, "topics": [TOPIC | {"partitions": 0}]}), "[0].partitions: must"),
        (json.dumps({"version": 1, "topics": [TOPIC | {"starts": [1, 2]}]}), "start"),
    ],
)
def test_a_wrong_manifest_is_refused(tmp_path: Path, content: str | None, what: str) -> None:
    if content is not None:
        (tmp_path / "recording.json").write_text(content)
    refused(tmp_path, "recording.json", what)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "should be"),
        ('{"said/1":[]}', "not recorded"),
        ('{"said/0":[[1,1,0,5]]}', "should be"),
        ('{"said/0":[[1,1,0,5,0,"clock"]]}', "cannot be"),
        ('{"said/0":[[2,1,0,5,0,"record"]]}', "cannot be"),
        ('{"said/0":[[1,1,6,5,0,"record"]]}', "cannot be"),
        ('{"said/0":[[1,1,0,5,0,"record"],[2,2,6,7,0,"record"]]}', "follow"),
        ('{"said/0":[[1,1,0,5,0,"record"],[3,3,5,7,0,"record"]]}', "follow"),
    ],
)
def test_wrong_closings_are_refused(tmp_path: Path, content: str, what: str) -> None:
    by_hand(tmp_path, "00000.jsonl", "")
    (tmp_path / "closings.json").write_text(content)
    refused(tmp_path, "closings.json", what)


def test_closings_of_lanes_that_are_open_are_refused(tmp_path: Path) -> None:
    by_hand(tmp_path, "00000.jsonl", "", complete=False)
    (tmp_path / "closings.json").write_text("{}")
    refused(tmp_path, "closings.json", "open")


@pytest.mark.parametrize(
    ("names", "what"),
    [
        ([], "missing"),
        (["00000.json"], "missing"),
        (["00000.jsonl", "00000.parquet"], "more than one"),
        (["00000.jsonl", "00000/000001.jsonl"], "more than one"),
        (["00000/000001.jsonl", "00000/000003.jsonl"], "lacks"),
        (["00000/000001.jsonl", "00000/1.jsonl.gz"], "two of one number"),
        (["00000/000001.jsonl", "00000/000002.json"], "not numbered"),
    ],
)
def test_lanes_with_a_wrong_set_of_files_are_refused(
    tmp_path: Path, names: list[str], what: str
) -> None:
    by_hand(tmp_path, "unrelated", "")
    for name in names:
        (tmp_path / "said" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "said" / name).write_text("")
    refused(tmp_path, "said/00000", what)


def test_a_recording_names_its_starts_and_its_registry(tmp_path: Path) -> None:
    by_hand(tmp_path, "00000.jsonl", "", starts=[40])
    recording = open_recording(tmp_path)
    assert recording.lanes[LANE].start == 40
    assert recording.registry is None
    (tmp_path / "registry").mkdir()
    assert open_recording(tmp_path).registry == tmp_path / "registry"


def test_a_writer_leaves_no_recording_where_it_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RecordingWriter(tmp_path / "r", [topic()]) as writer:
        writer.lane(LANE).append([0], [1 // 0], [b""])
    refused(tmp_path / "r", "recording.json", "missing")
    with pytest.raises(FileExistsError):
        RecordingWriter(tmp_path / "r", [topic()])
    with pytest.raises(msgspec.ValidationError):
        RecordingWriter(tmp_path / "s", [topic(topic="../up")])


def topic(**changes: Any) -> Topic:
    return Topic(**(TOPIC | changes))


def test_what_people_said_is_for_its_owner_alone(tmp_path: Path) -> None:
    with RecordingWriter(tmp_path / "r", [topic(partitions=2)]) as writer:
        writer.lane(LANE, number=1).append([0], [0], [b""])
        writer.close({LANE: [Closing(0, 0, 0, 1, 9, "record")]})
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "r").rglob("*.json*")}
    assert modes == {0o600}
    folders = [path for path in (tmp_path / "r", *(tmp_path / "r").rglob("*")) if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_a_half_line_is_no_record_until_the_file_is_final(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"time":1,"value":1}\n{"time":2,"value":2}')
    reader = JsonLines(path, 0, 1000)
    first, none, second, end = [reader.read(final=f) for f in (False, False, True, True)]
    assert (first and first.values, none) == ([b"1"], None)
    assert (second and second.values, end) == ([b"2"], None)
    reader.close()

"""What no replay would take is refused while it is recorded, and named where it stands already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from daemon.recording.writer import FORMATS, Format, RecordingWriter, Topic
from tests.unit.test_recording import LANE, by_hand, refused, rows

TOPICS = (Topic("said", "id", "utterances", 1),)
BAD: tuple[tuple[Sequence[int], Sequence[int], int, str], ...] = (
    ((1, 2), (5, -1), 2, "position 2: the time -1 is no count of milliseconds since 1970"),
    ((1,), (2**63,), 1, "position 1: the time 9223372036854775808 is no count"),
    ((1, 1), (5, 5), 2, "position 1 follows 1: positions must ascend"),
    ((2, 1), (5, 5), 2, "position 1 follows 2"),
    ((0,), (5,), 1, "position 0 follows 0"),
    ((2**63 - 1,), (5,), 1, "positions must ascend"),
    ((1, 2), (5,), 2, "differ in number"),
    ((1, 2), (5, 5), 1, "differ in number"),
)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize(("positions", "times", "values", "what"), BAD, ids=range(len(BAD)))
def test_what_cannot_be_read_again_is_not_written(
    tmp_path: Path,
    form: Format,
    positions: Sequence[int],
    times: Sequence[int],
    values: int,
    what: str,
) -> None:
    """None of the refused rows is written, and the lane goes on after them."""
    with RecordingWriter(tmp_path / "r", TOPICS) as writer:
        lane = writer.lane(LANE, form)
        lane.append([0], [0], [b"0"])
        with pytest.raises(ValueError, match=what):
            lane.append(positions, times, [b"1"] * values)
        lane.append([1], [2**63 - 1], [None])
    assert rows(tmp_path / "r") == [(0, 0, b"0"), (1, 2**63 - 1, None)]


def test_a_first_position_below_zero_is_refused(tmp_path: Path) -> None:
    with (
        RecordingWriter(tmp_path / "r", TOPICS) as writer,
        pytest.raises(ValueError, match="position -1 follows -1"),
    ):
        writer.lane(LANE).append([-1], [0], [b""])


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ('{"time":-1,"value":1}', "has a time that is no whole number of milliseconds since 1970"),
        ('{"time":"my secret sentence","value":1}', "has a time that is no whole number"),
        ('{"value":1}', "has no time"),
        ('{"time":1,"offset":-2,"value":1}', "has an offset that is no whole number, 0 or more"),
        ('{"time":1,"raw":"?"}', "has a raw that is no base64 text"),
        ('{"time":1,"tombstone":"my secret sentence"}', "neither true nor false"),
        ('{"time":1,"my secret sentence":1}', 'a line is {"time": MILLISECONDS, "value": YOUR'),
        ("my secret sentence", 'a line is {"time": MILLISECONDS, "value": YOUR JSON}'),
    ],
)
def test_a_recorded_fault_is_named_by_what_it_is(tmp_path: Path, line: str, what: str) -> None:
    """Other programs write recordings too: a time below 0 ends the replay at its line."""
    by_hand(tmp_path, "00000.jsonl", f'{{"time":0,"value":1}}\n{line}\n')
    refused(tmp_path, "00000.jsonl", "line or row 2", what)


def test_a_recorded_time_below_zero_in_parquet(tmp_path: Path) -> None:
    table = pa.table({"time": [3, -1], "value": [b"1", b"2"]})
    pq.write_table(table, tmp_path / "t")
    by_hand(tmp_path, "00000.parquet", (tmp_path / "t").read_bytes())
    refused(tmp_path, "00000.parquet", "line or row 2", "has a time below 0")

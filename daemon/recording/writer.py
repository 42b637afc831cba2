"""A recording: what topics held, in a folder, to be replayed as if it were live.

    recording.json                                  version and topics
    <topic>/<partition, 5 digits>.jsonl             a lane (or .jsonl.gz, .jsonl.zst, .parquet)
    <topic>/<partition, 5 digits>/000001.jsonl      or numbered files, each of any of these formats
    <lane file or folder>.end                       says that an open lane is complete
    closings.json                                   optional: how the recorded run cut its lanes,
                                                    "topic/0": [[window, through, start, end,
                                                    time_ms, closed_by], ...]
    registry/                                       optional: its genesis, editions and pins

The lane of a topic that is not `complete` may be appended to while it is read: as plain .jsonl, or
by further numbered files, of which any other format appears whole (by a rename). What a line or a
row holds: lanefile.py, lanetable.py. Recordings hold what people said, so a folder made here is
for its owner alone.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Annotated, Any, Literal, Self

import msgspec
import pyarrow as pa
from msgspec import Meta, Raw, Struct

from daemon.ports import Closing, LaneId
from daemon.recording.lanefile import CODECS
from daemon.recording.lanetable import ParquetWriter
from daemon.recording.lanewriter import INT64_MAX, Checked, LaneWriter

VERSION = 1
RECORDING, CLOSINGS, REGISTRY = "recording.json", "closings.json", "registry"
Format = Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"]
FORMATS: tuple[Format, ...] = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
_BRACKETS = 200  # deeper values are written as raw: how deep JSON may be depends on the reader
_NotNegative = Annotated[int, Meta(ge=0, le=INT64_MAX)]
_Name = Annotated[str, Meta(pattern=r"^(?!\.{1,2}$)(?!registry$)[A-Za-z0-9._-]{1,200}$")]


class Topic(Struct, frozen=True, forbid_unknown_fields=True):
    """A recorded topic. `starts`: first position of each partition, where it is not 0."""

    topic: _Name
    topic_id: str
    kind: Literal["utterances", "labels", "erasures"]
    partitions: Annotated[int, Meta(ge=1, le=99_999)]
    complete: bool = True
    starts: tuple[_NotNegative, ...] = ()


class Manifest(Struct, frozen=True, forbid_unknown_fields=True):
    """recording.json."""

    version: int
    topics: Annotated[tuple[Topic, ...], Meta(min_length=1)]


class RecordingWriter:
    """Makes a recording in a new folder. A context: without an error it ends in `close`.

    `live`: readers may begin at once, and lanes are complete when `finish` says so; otherwise the
    folder becomes a recording when it is closed. Raises FileExistsError where something is there.
    """

    def __init__(self, folder: Path, topics: Sequence[Topic], *, live: bool = False) -> None:
        self.folder = folder
        changed = (msgspec.structs.replace(topic, complete=not live) for topic in topics)
        manifest = Manifest(VERSION, tuple(changed))
        self._manifest = msgspec.json.format(msgspec.json.encode(manifest))
        msgspec.json.decode(self._manifest, type=Manifest)  # structs check what they decode only
        self._live = live
        self._writers: list[LaneWriter] = []
        self._files: dict[LaneId, Path] = {}
        self._lanes = [LaneId(t.topic, number) for t in topics for number in range(t.partitions)]
        folder.mkdir(0o700, parents=True)
        for topic in topics:
            (folder / topic.topic).mkdir(0o700)
        if live:
            _write(folder / RECORDING, self._manifest)

    def lane(self, lane: LaneId, form: Format = "jsonl", number: int | None = None) -> LaneWriter:
        """Writer of the lane's file, or of a numbered file of it (the first is 1)."""
        path = self.folder / lane.topic / f"{lane.partition:05d}"
        if number is None:
            self._files[lane] = target = Path(f"{path}.{form}")
        else:
            self._files[lane] = path
            path.mkdir(0o700, exist_ok=True)
            target = path / f"{number:06d}.{form}"
        file = open(target, "xb", opener=_private)  # noqa: SIM115 - the writer closes it
        writer = Checked(ParquetWriter(file) if form == "parquet" else JsonWriter(file, form))
        self._writers.append(writer)
        return writer

    def finish(self, lane: LaneId) -> None:
        """Say that an open lane is complete. Its writers are closed."""
        _write(self._files[lane].with_name(self._files[lane].name + ".end"), b"")

    def close(self, closings: Mapping[LaneId, Sequence[Closing]] | None = None) -> None:
        """Complete every lane and the recording; `closings` make a replay cut as the run did."""
        for writer in self._writers:
            writer.close()
        for lane in self._lanes:
            if lane not in self._files:
                self.lane(lane).close()
            marker = self._files[lane].with_name(self._files[lane].name + ".end")
            if self._live and not marker.exists():
                self.finish(lane)
        if closings is not None:
            cuts = {str(lane): list(listed) for lane, listed in closings.items()}
            _write(self.folder / CLOSINGS, msgspec.json.encode(cuts))
        if not self._live:
            _write(self.folder / RECORDING, self._manifest)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *rest: object) -> None:
        if kind is None:
            self.close()
        else:
            for writer in self._writers:
                writer.close()


class JsonWriter:
    """Writes a line per record, compressed as the format says."""

    def __init__(self, file: IO[bytes], form: str) -> None:
        codec = CODECS.get(Path(form).suffix)
        self._raw = file
        self._file: Any = file
        if codec:
            self._file = pa.CompressedOutputStream(pa.PythonFile(file, "w"), codec)

    def append(
        self, positions: Sequence[int], times_ms: Sequence[int], values: Sequence[bytes | None]
    ) -> None:
        rows = zip(positions, times_ms, map(_field, values), strict=True)
        self._file.write(b"".join(b'{"offset":%d,"time":%d,%b}\n' % row for row in rows))

    def flush(self) -> None:
        self._file.flush()

    def close(self) -> None:
        self._file.close()
        self._raw.close()


def _field(value: bytes | None) -> bytes:
    """The value as a member of a line: as it is where a reader gets the same bytes out again."""
    if value is None:
        return b'"tombstone":true'
    if value.count(b"[") + value.count(b"{") <= _BRACKETS and b"\n" not in value:
        try:
            value.decode()
            if bytes(msgspec.json.decode(value, type=Raw)) == value:  # no space around it
                return b'"value":' + value
        except (msgspec.DecodeError, UnicodeDecodeError):
            pass
    return b'"raw":"%b"' % base64.b64encode(value)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)


def _write(path: Path, data: bytes) -> None:
    """All or nothing, for a reader that looks meanwhile."""
    spare = path.with_name(f".{path.name}~")
    with open(spare, "wb", opener=_private) as file:
        file.write(data)
    spare.rename(path)

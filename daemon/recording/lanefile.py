"""Reads a file of a recorded lane: the columns that every format gives, and lines of JSON.

A line is an object with "time" (milliseconds since 1970, >= 0), optionally "offset", and one of

    "value": any JSON       passed on as its bytes in the line
    "raw": "base64"         bytes that are no JSON, or that span lines
    "tombstone": true       a record without a value

Without an offset it is one more than that of the line before. Offsets ascend; gaps are allowed.
Faults are Fatal, naming file and line (or row), never content.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, NamedTuple, NoReturn, Protocol

import msgspec
import numpy as np
import pyarrow as pa
from msgspec import Meta, Raw, Struct

from daemon.ports import EXIT_STATE, Fatal, Int64s

CODECS: Mapping[str, str] = {".gz": "gzip", ".zst": "zstd"}  # suffix -> pyarrow's name
LINE_MAX = 64 << 20  # bytes; a line without an end, say of zeros from a small .gz, stops here
_NO_RECORD = 'is no record of a recording: a line is {"time": MILLISECONDS, "value": YOUR JSON}'
_ASKS: Mapping[str, str] = {  # how msgspec ends its message -> what we say
    "field `time`": "has no time",
    "`$.time`": "has a time that is no whole number of milliseconds since 1970, 0 or more",
    "`$.offset`": "has an offset that is no whole number, 0 or more",
    "`$.raw`": "has a raw that is no base64 text",
    "`$.tombstone`": "has a tombstone that is neither true nor false",
}
_TIME = Meta(ge=0, le=2**63 - 1)  # milliseconds since 1970


class Columns(NamedTuple):
    """Consecutive records, columns of length n >= 1: positions ascend; None is a tombstone."""

    positions: Int64s
    times_ms: Int64s
    values: list[bytes | None]


class FileReader(Protocol):
    """Reads one file forward. `position`: what the next record has at least."""

    position: int

    def read(self, final: bool) -> Columns | None:
        """The next records; None: there are none now. `final`: the file grows no more."""

    def close(self) -> None: ...


class _Line(Struct, frozen=True, forbid_unknown_fields=True):
    time: Annotated[int, _TIME]
    value: Raw = Raw()
    raw: bytes | None = None
    tombstone: bool = False
    offset: Annotated[int, Meta(ge=0, le=2**63 - 2)] | None = None


class JsonLines:
    """Takes whole lines only: what stands behind the last line feed may still grow."""

    def __init__(self, path: Path, position: int, block_bytes: int) -> None:
        self.position = position
        self._path, self._block = path, block_bytes
        self._rest, self._lines = b"", 0
        self._decoder = msgspec.json.Decoder(_Line)
        codec = CODECS.get(path.suffix)
        try:
            # Unbuffered: what is appended to the file later is then seen by a later read.
            self._file: Any = pa.input_stream(str(path), codec) if codec else path.open("rb", 0)
        except OSError:
            refuse(path, "cannot be opened")

    def read(self, final: bool) -> Columns | None:
        parts = [self._rest]
        size = len(self._rest)
        while True:
            try:
                block = self._file.read(self._block)
            except OSError:  # also of a codec: broken or cut
                refuse(self._path, "cannot be read", self._lines + 1)
            cut = block.rfind(b"\n") + 1
            if not block or cut:
                break
            parts.append(block)
            size += len(block)
            if size > LINE_MAX:
                refuse(self._path, "has an endless line", self._lines + 1)
        text = b"".join((*parts, memoryview(block)[:cut]))
        if block or (final and text):
            self._rest = block[cut:]
            return self._columns(text)
        self._rest = text
        return None

    def close(self) -> None:
        self._file.close()

    def _columns(self, text: bytes) -> Columns:
        count = text.count(b"\n") + (not text.endswith(b"\n"))
        try:
            lines = self._decoder.decode_lines(text)
        except (msgspec.MsgspecError, RecursionError):
            lines = []
        if len(lines) != count:
            self._refuse_line(text)
        values: list[bytes | None] = [bytes(line.value) for line in lines]
        odd = [line.raw is not None or line.tombstone for line in lines]
        if True in odd or not all(values):
            values = [self._odd(line, at) for at, line in enumerate(lines, start=1)]
        offsets = [line.offset for line in lines]
        positions = self._positions(offsets)
        times = np.array([line.time for line in lines], np.int64)
        self.position = after(self._path, positions, self.position, self._lines)
        self._lines += count
        return Columns(positions, times, values)

    def _odd(self, line: _Line, at: int) -> bytes | None:
        given = (bool(bytes(line.value)), line.raw is not None, line.tombstone)
        if sum(given) != 1:
            refuse(self._path, "needs one of value, raw and tombstone", self._lines + at)
        return bytes(line.value) if given[0] else line.raw

    def _positions(self, offsets: list[int | None]) -> Int64s:
        missing = offsets.count(None)
        if missing == len(offsets):
            return np.arange(self.position, self.position + missing, dtype=np.int64)
        if missing:
            following = self.position
            for at, offset in enumerate(offsets):
                offsets[at] = following if offset is None else offset
                following = (offsets[at] or 0) + 1
        return np.array(offsets, np.int64)

    def _refuse_line(self, text: bytes) -> NoReturn:
        said = map(self._say, text.split(b"\n"))
        at, what = next(((at, what) for at, what in enumerate(said) if what), (0, _NO_RECORD))
        refuse(self._path, what, self._lines + at + 1)

    def _say(self, line: bytes) -> str:
        """What is wrong with a line, in words of ours alone; "" for nothing."""
        try:
            self._decoder.decode(line)
        except msgspec.ValidationError as error:
            said = str(error)  # it may quote the line, so only its end is looked at
            return next((what for end, what in _ASKS.items() if said.endswith(end)), _NO_RECORD)
        except (msgspec.MsgspecError, RecursionError):
            return _NO_RECORD
        return ""


def after(path: Path, positions: Int64s, least: int, lines: int) -> int:
    """One past the last position. Fatal where they do not ascend from `least`."""
    if positions.size == 0:
        return least
    wrong = np.flatnonzero(np.diff(positions, prepend=least - 1) <= 0)
    if wrong.size:
        refuse(path, "has offsets that do not ascend", lines + int(wrong[0]) + 1)
    return int(positions[-1]) + 1


def refuse(path: Path, what: str, line: int | None = None) -> NoReturn:
    where = f"{path}, line or row {line}" if line is not None else f"{path}"
    hint = "Restore the recording, or record it again"
    raise Fatal(f"{where}: {what}", code=EXIT_STATE, hint=hint) from None

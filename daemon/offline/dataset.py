"""A file of rows as records: JSON lines (plain, .gz or .zst) or Parquet.

A line is one row, as it would be a record's value. A row of a Parquet file is a JSON object of its
columns, its times in microseconds. A row without an id gets one of its number and its content, so
it is the same in every run: `row-NUMBER-` and 16 hex digits of BLAKE2b of its JSON. Numbers count
lines or rows from 1; blank lines are none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from daemon.ports import EXIT_CONFIG, EXIT_STATE, Fatal
from daemon.recording.lanefile import CODECS, LINE_MAX

BLOCK = 1 << 20  # bytes
BATCH = 4_096  # rows
SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".parquet")
_BOM = b"\xef\xbb\xbf"
_UNSAYABLE = (TypeError, ValueError, OverflowError)  # of what JSON or Python has no word for


class Row(NamedTuple):
    """One row: its number in the file, and its JSON with an id."""

    number: int
    value: bytes


class DataSet:
    """Rows of a file, forward, as often as needed. Raises Fatal, never with what a row says."""

    def __init__(self, path: Path, id_path: str, where: tuple[str, str] | None = None) -> None:
        """`id_path`: dotted path of the id. `where`: a path and the text that stands there."""
        if not path.name.endswith(SUFFIXES):
            hint = f"write it as {', '.join(SUFFIXES)}"
            raise Fatal(f"{path} is of no format that is read", code=EXIT_CONFIG, hint=hint)
        if not path.is_file():
            hint = "give a file of rows: JSON lines or Parquet"
            raise Fatal(f"there is no file {path}", code=EXIT_CONFIG, hint=hint)
        self.path = path
        self._id, self.where = id_path.split("."), where

    @cached_property
    def digest(self) -> str:
        """sha256 of the file's bytes."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @cached_property
    def count(self) -> int:
        """Rows, those alone that `where` names. Raises Fatal where there are none."""
        count = sum(1 for _ in self.rows())
        if not count:
            what = "no row" if self.where is None else f"no row whose {self.where[0]} is as asked"
            hint = "is it the right file, or does another field name the split?"
            raise Fatal(f"{self.path} holds {what}", code=EXIT_STATE, hint=hint)
        return count

    def rows(self) -> Iterator[Row]:
        """Every row, in the order of the file."""
        parquet = self.path.suffix == ".parquet"
        try:
            for number, value in self._table() if parquet else self._lines():
                if self.where and _text(at(value, self.where[0])) != self.where[1]:
                    continue
                yield Row(number, self._named(number, value))
        except (OSError, pa.ArrowException):
            raise Fatal(
                f"{self.path} cannot be read to its end",
                code=EXIT_STATE,
                hint="it is damaged, cut, or in another format than its name says",
            ) from None

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        codec = CODECS.get(self.path.suffix)
        with pa.input_stream(str(self.path), codec) as stream:
            rest, number = b"", 0
            while block := stream.read(BLOCK):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    number += 1
                    if row := _row(line, number):
                        yield number, row
                if len(rest) > LINE_MAX:
                    raise OSError("an endless line")
            if row := _row(rest, number + 1):
                yield number + 1, row

    def _table(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        with pq.ParquetFile(self.path, pre_buffer=False) as file:
            for batch in file.iter_batches(BATCH, use_threads=False):
                for value in self._values(_in_microseconds(batch)):
                    number += 1
                    yield number, value

    def _values(self, batch: pa.RecordBatch) -> list[bytes]:
        """JSON of each row."""
        try:
            return [msgspec.json.encode(row) for row in batch.to_pylist()]
        except _UNSAYABLE:
            raise Fatal(
                f"{self.path}: column {_unsayable(batch)!r} holds what JSON cannot say",
                code=EXIT_STATE,
                hint="leave the column out of the file, or write it as text",
            ) from None

    def _named(self, number: int, value: bytes) -> bytes:
        """The row with an id: as it is where it has one, or where it is no object."""
        found = _object(value)
        if found is None or _at(found, self._id) is not None:
            return value
        inside = found
        for name in self._id[:-1]:
            inside = inside.setdefault(name, {})
            if not isinstance(inside, dict):
                return value
        content = hashlib.blake2b(value, digest_size=8).hexdigest()
        inside[self._id[-1]] = f"row-{number}-{content}"
        return msgspec.json.encode(found)


def at(value: bytes, path: str) -> Any:
    """What stands at a dotted path of a row's JSON; None where nothing does."""
    return _at(_object(value), path.split("."))


def _in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times in nanoseconds are cut: Python's are no finer."""
    for index, field in enumerate(batch.schema):
        kind = field.type
        if kind == pa.duration("ns"):
            coarse = pa.duration("us")
        elif pa.types.is_timestamp(kind) and kind.unit == "ns":
            coarse = pa.timestamp("us", kind.tz)
        else:
            continue
        cut = batch.column(index).cast(coarse, safe=False)
        batch = batch.set_column(index, field.name, cut)
    return batch


def _unsayable(batch: pa.RecordBatch) -> str:
    """The name of the first column that cannot be written as JSON."""
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        try:
            msgspec.json.encode(column.to_pylist())
        except _UNSAYABLE:
            return str(name)
    raise AssertionError("one of them is")


def _row(line: bytes, number: int) -> bytes:
    return line.removeprefix(_BOM if number == 1 else b"").strip(b" \t\r")


def _object(value: bytes) -> dict[str, Any] | None:
    try:
        found = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None  # the decoder will refuse it, and say why
    return found if isinstance(found, dict) else None


def _at(found: Any, path: Sequence[str]) -> Any:
    for name in path:
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()

"""Columns to Parquet and back, and the digest of columns: bytes depend on content alone.

File bytes carry the writer's version, so nothing is ever compared by them: digests are taken
over a canonical encoding of names and values (law 6).
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

# Arrow's own pool keeps what was freed (tests.bench.bench_memory shows it)
pa.set_memory_pool(pa.system_memory_pool())

MANIFEST_KEY = b"sluice"
Columns = Mapping[str, Sequence[Any]]

_TYPES: Mapping[str, pa.DataType] = {
    "u64": pa.uint64(),
    "i64": pa.int64(),
    "i16": pa.int16(),
    "f64": pa.float64(),
    "str": pa.string(),
    "strs": pa.list_(pa.string()),
    "bytes": pa.binary(),
}
_encoder = msgspec.json.Encoder()  # dicts keep their order: who makes one sorts it


def canonical(value: Any) -> bytes:
    """JSON of a struct or of plain data, without spaces; equal content in equal order only."""
    return _encoder.encode(value)


def digest(value: Any) -> str:
    """sha256 hex of the canonical encoding."""
    return hashlib.sha256(canonical(value)).hexdigest()


def digest_columns(columns: Columns) -> str:
    """sha256 hex over the names and values of columns, in their order."""
    sha = hashlib.sha256()
    for name, values in columns.items():
        sha.update(canonical([name, list(values)]))
        sha.update(b"\n")
    return sha.hexdigest()


def encode(columns: Columns, types: Mapping[str, str], manifest: bytes) -> bytes:
    """A Parquet file (zstd) with `manifest` in its footer. `types`: column -> a key of _TYPES."""
    schema = pa.schema(
        [pa.field(name, _TYPES[types[name]]) for name in columns],
        metadata={MANIFEST_KEY: manifest},
    )
    table = pa.table(
        [pa.array(columns[name], type=_TYPES[types[name]]) for name in columns], schema=schema
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def table_of(data: bytes, only: Sequence[str] | None = None) -> Any:
    """The pyarrow.Table of Parquet bytes, or of some columns that may be missing.

    Raises pyarrow.ArrowException, OSError.

    On this thread: the threads of `pq.read_table` may abort a process that ends soon after.
    """
    columns = None if only is None else list(only)
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    return file.read(columns=columns, use_threads=False)


def decode(data: bytes) -> tuple[dict[str, list[Any]], bytes]:
    """Columns as lists, and the manifest. Raises pyarrow.ArrowInvalid for what is no Parquet."""
    table = table_of(data)
    metadata = table.schema.metadata or {}
    columns = {name: table.column(name).to_pylist() for name in table.column_names}
    return columns, metadata.get(MANIFEST_KEY, b"")


def manifest_of(data: bytes) -> bytes:
    """The manifest alone, without reading a row."""
    metadata: Mapping[bytes, bytes] = pq.read_metadata(pa.BufferReader(data)).metadata or {}
    return metadata.get(MANIFEST_KEY, b"")

"""Files of a recorded lane as Parquet, in and out.

Columns: `offset` (may be absent: then the row number), `time` (milliseconds, >= 0), `value`
(binary, null for a tombstone). Offsets ascend; gaps are allowed. Read and written by row groups.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from daemon.ports import Int64s
from daemon.recording.lanefile import Columns, after, refuse

_BATCH_ROWS = 8_192
_GROUP_ROWS = 65_536
_SCHEMA = pa.schema(
    [
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("time", pa.int64(), nullable=False),
        pa.field("value", pa.binary()),
    ]
)


class ParquetRows:
    """Reads a row group in pieces; row groups that hold nothing wanted are not read."""

    def __init__(self, path: Path, position: int, skip_to: int) -> None:
        self.position = position
        self._path, self._rows = path, 0
        try:
            self._file = pq.ParquetFile(path, pre_buffer=False)
            schema = self._file.schema_arrow
        except (pa.ArrowException, OSError):
            refuse(path, "is no readable Parquet file")
        kinds: dict[str, Callable[[Any], bool]] = {
            "offset": pa.types.is_integer,
            "time": pa.types.is_integer,
            "value": lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
        }
        names = set(schema.names)
        if not {"time", "value"} <= names <= set(kinds) or not all(
            kinds[name](schema.field(name).type) for name in names
        ):
            refuse(path, "needs the columns offset (or none), time: int64, value: binary")
        self._numbered = "offset" in schema.names
        self._batches = self._read_groups(skip_to)

    def read(self, final: bool) -> Columns | None:
        try:
            batch = next(self._batches, None)
        except (pa.ArrowException, OSError):
            refuse(self._path, "cannot be read", self._rows + 1)
        if batch is None:
            return None
        if batch["time"].null_count or (self._numbered and batch["offset"].null_count):
            refuse(self._path, "has a null as time or offset here or soon after", self._rows + 1)
        times = _integers(batch["time"])
        if times.size and times.min() < 0:
            refuse(self._path, "has a time below 0", self._rows + int(np.argmax(times < 0)) + 1)
        if self._numbered:
            positions = _integers(batch["offset"])
        else:
            positions = np.arange(self.position, self.position + len(times), dtype=np.int64)
        self.position = after(self._path, positions, self.position, self._rows)
        self._rows += len(times)
        return Columns(positions, times, batch["value"].to_numpy(zero_copy_only=False).tolist())

    def close(self) -> None:
        self._file.close()

    def _read_groups(self, skip_to: int) -> Iterator[Any]:
        for group in range(self._file.num_row_groups):
            about = self._file.metadata.row_group(group)
            last = self.position + about.num_rows - 1
            if self._numbered:
                names = [about.column(at).path_in_schema for at in range(about.num_columns)]
                limits = about.column(names.index("offset")).statistics
                last = limits.max if limits is not None and limits.has_min_max else skip_to
            if last < skip_to:
                self.position = max(self.position, last + 1)
                self._rows += about.num_rows
                continue
            yield from self._file.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False)


def _integers(column: Any) -> Int64s:
    found: Int64s = column.to_numpy().astype(np.int64)
    return found


class ParquetWriter:
    """Writes rows into an open file, a row group at a time. The file is whole after `close`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        # Smallest and largest value of a row group would be utterances in the clear, twice.
        self._writer = pq.ParquetWriter(
            file, _SCHEMA, compression="zstd", write_statistics=["offset", "time"]
        )
        self._positions: list[int] = []
        self._times: list[int] = []
        self._values: list[bytes | None] = []

    def append(
        self, positions: Sequence[int], times_ms: Sequence[int], values: Sequence[bytes | None]
    ) -> None:
        self._positions.extend(positions)
        self._times.extend(times_ms)
        self._values.extend(values)
        if len(self._positions) >= _GROUP_ROWS:
            self._write()

    def flush(self) -> None:
        """Nothing: a Parquet file cannot be read before its end is written."""

    def close(self) -> None:
        self._write()
        self._writer.close()
        self._file.close()

    def _write(self) -> None:
        columns = [self._positions, self._times, self._values]
        if self._positions:
            self._writer.write_table(pa.table(columns, schema=_SCHEMA), row_group_size=_GROUP_ROWS)
            self._positions, self._times, self._values = [], [], []

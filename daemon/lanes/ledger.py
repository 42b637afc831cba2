"""The ledger: what was decided about every record of a lane's window, without its text.

Row groups of a fixed size, so that neither memory nor content depends on how records came.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from daemon import tables
from daemon.ports import EXIT_STATE, Fatal

GROUP_ROWS = 65_536
FIXED: Mapping[str, Any] = {
    "position": np.int64,
    "reason": np.uint8,  # code of scoring.types.REASONS
    "key_hi": np.uint64,  # identity of (locale, normalised text), or of the id
    "key_lo": np.uint64,
    "id_hi": np.uint64,  # identity of the utterance id
    "id_lo": np.uint64,
    "group": np.int16,  # index into the groups of the window
    "label": np.int32,  # class index, NO_LABEL, UNKNOWN_LABEL
    "weight": np.int16,
    "plausibility": np.int16,
}
Arrays = dict[str, npt.NDArray[Any]]


def dtypes(scores: tuple[str, ...]) -> dict[str, Any]:
    """Column -> dtype, scores last."""
    return {**FIXED, **{f"score_{name}": np.int16 for name in scores}}


@dataclass(slots=True, eq=False)
class LedgerWriter:
    """Collects columns; whole row groups are encoded as soon as they are full."""

    scores: tuple[str, ...]
    rows: int = 0
    _pending: list[Arrays] = field(default_factory=list)
    _pending_rows: int = 0
    _sha: Any = field(default_factory=hashlib.sha256)
    _sink: io.BytesIO = field(default_factory=io.BytesIO)
    _writer: Any = None

    def add(self, columns: Arrays) -> None:
        """Rows in position order; every column of `dtypes` must be there."""
        count = len(columns["position"])
        self.rows += count
        self._pending.append(columns)
        self._pending_rows += count
        if self._pending_rows >= GROUP_ROWS:
            joined = self._joined()
            whole = self._pending_rows // GROUP_ROWS * GROUP_ROWS
            for first in range(0, whole, GROUP_ROWS):
                self._write({n: c[first : first + GROUP_ROWS] for n, c in joined.items()})
            self._pending = [{n: c[whole:] for n, c in joined.items()}]
            self._pending_rows -= whole

    def finish(self) -> tuple[bytes, str]:
        """The Parquet file and the digest of its content."""
        if self._pending_rows or self._writer is None:
            self._write(self._joined())
        self._writer.close()
        return self._sink.getvalue(), self._sha.hexdigest()

    def _joined(self) -> Arrays:
        return {
            name: np.concatenate(
                [np.empty(0, dtype), *(np.asarray(c[name], dtype) for c in self._pending)]
            )
            for name, dtype in dtypes(self.scores).items()
        }

    def _write(self, columns: Arrays) -> None:
        table = pa.table({name: pa.array(column) for name, column in columns.items()})
        if self._writer is None:
            # hashes do not compress and dictionaries of them only cost time
            self._writer = pq.ParquetWriter(
                self._sink,
                table.schema,
                compression={n: "NONE" if n[-3:] in ("_hi", "_lo") else "ZSTD" for n in columns},
                use_dictionary=["reason", "group", "label"],
                store_schema=False,
                write_statistics=False,
            )
        self._writer.write_table(table)
        for name, column in columns.items():
            self._sha.update(name.encode())
            self._sha.update(np.ascontiguousarray(column).tobytes())


def read(data: bytes, only: Sequence[str] | None = None) -> Arrays:
    """The columns of a ledger as numpy arrays, or some of them. Raises Fatal for a damaged one."""
    try:
        table = tables.table_of(data, only)
        table = table if only is None else table.select(list(only))
    except (pa.ArrowException, OSError, KeyError) as error:
        raise Fatal(
            "a ledger in the store cannot be read",
            code=EXIT_STATE,
            hint="it was damaged; what its part and shard say still stands",
        ) from error
    return {name: table.column(name).to_numpy() for name in table.column_names}


def content_digest(columns: Arrays) -> str:
    """The digest that `LedgerWriter.finish` gave for these columns."""
    writer = LedgerWriter(tuple(n[len("score_") :] for n in columns if n.startswith("score_")))
    writer.add(columns)
    return writer.finish()[1]

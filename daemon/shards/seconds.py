"""The second-stage scores of a window, as the store holds them: made once, read by everybody.

Whoever makes the shard has a model at hand; whoever verifies it, or follows a row, needs none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from daemon import tables
from daemon.shards.columns import Columns

PREFIX = "seconds/"
CANDIDATE, AUDIT = "candidate", "audit"  # why a row was scored: to be selected, to be learnt from
KEY_TYPES: Mapping[str, str] = {
    "arm": "str", "lane": "str", "position": "i64", "key_hi": "u64", "key_lo": "u64",
}  # fmt: skip
Wanted = list[tuple[str, int]]  # why, and the row of a pool


def name(window: int) -> str:
    """Of the object: the first one of that name decides, whoever made it (law 6)."""
    return f"{PREFIX}{window:012d}.parquet"


@dataclass(frozen=True, slots=True, eq=False)
class Seconds:
    """Columns as KEY_TYPES says, and one per score: steps of the grid, or MISSING."""

    columns: Columns

    @property
    def digest(self) -> str:
        """Of all columns."""
        return tables.digest_columns(self.columns)

    def places(self) -> dict[tuple[str, str, int], int]:
        """(why, lane, position) -> row. One record may stand for a text and be audited too: a late
        label of the text is not always its own."""
        columns = self.columns
        keys = zip(columns["arm"], columns["lane"], columns["position"], strict=True)
        return {key: at for at, key in enumerate(keys)}


def of(columns: Columns, rows: Wanted, scores: Mapping[str, Sequence[int]]) -> Seconds:
    """Scores by name, in the order of `rows`, with what tells the records."""
    out: Columns = {"arm": [arm for arm, _ in rows]}
    for column in ("lane", "position", "key_hi", "key_lo"):
        out[column] = [columns[column][row] for _, row in rows]
    return Seconds({**out, **{f"score_{n}": list(steps) for n, steps in scores.items()}})


def encode(made: Seconds) -> bytes:
    """The bytes of the object."""
    types = {n: KEY_TYPES.get(n, "i16") for n in made.columns}
    return tables.encode(made.columns, types, b"")


def decode(data: bytes) -> Seconds:
    """Raises pyarrow.ArrowInvalid for what is no Parquet."""
    return Seconds(tables.decode(data)[0])

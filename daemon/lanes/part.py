"""Parts: what one lane gives of one window; one Parquet file with its manifest inside (law 6)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import Struct, field

from daemon import tables
from daemon.learning.calibration import Counts
from daemon.ports import EXIT_BUG, EXIT_STATE, Fatal, LaneId

PREFIX = "parts/"
VERSION = 1

# rows of an utterance part, besides one column per score
ROW_TYPES: Mapping[str, str] = {
    "arm": "str",  # pool, waiting, audit, random or review
    "key_hi": "u64",
    "key_lo": "u64",
    "id_hi": "u64",
    "id_lo": "u64",
    "group": "str",
    "log_rank": "i64",
    "weight": "i16",
    "multiplicity": "i64",
    "position": "i64",
    "time_ms": "i64",
    "id": "str",
    "text": "str",
    "locale": "str",
    "intent": "str",
    "confidence": "f64",
    "slots": "str",
    "label": "str",
    "label_source": "str",
    "user": "str",
    "event_time_ms": "i64",
    "signals": "str",
    "argmax": "str",
    "plausibility": "i16",
    "top_index": "bytes",  # uint16 class indices of the largest probabilities
    "top_share": "bytes",  # the probabilities in 1/65535
}
LABEL_TYPES: Mapping[str, str] = {"position": "i64", "time_ms": "i64", "value": "bytes"}
ERASURE_TYPES: Mapping[str, str] = {
    "position": "i64",
    "time_ms": "i64",
    "id_hi": "u64",  # keyed hash of the utterance's id, zeros where none is named
    "id_lo": "u64",
    "user": "str",  # keyed hash of the user, "" where none is named
    "reason": "str",  # why the record erases nothing, "" where it does
}


class PartManifest(Struct, frozen=True):
    """Start, end and how the window was closed stand inside; the name says only which window."""

    topic: str
    partition: int
    topic_id: str
    kind: str  # "utterances" | "labels" | "erasures"
    window: int
    through: int  # last window that the part covers; > window only without records
    start: int  # position of the first record, equal to the end of the part before
    end: int
    time_ms: int  # the lane's time when it closed: evidence for idle lanes
    closed_by: str  # "record" | "evidence" | "end" | "operator"
    lost: tuple[tuple[int, int], ...] = ()  # positions [a, b) that nobody could read any more
    edition: int = -1  # what its pin named; -1 where no record needed a pin
    calibration: int = -1
    counts: Counts = Counts()
    pool_taus: dict[str, int] = field(default_factory=dict)  # group -> log-rank, if any left
    waiting_taus: dict[str, int] = field(default_factory=dict)  # of what the policy refused
    arm_taus: dict[str, int] = field(default_factory=dict)
    scores: tuple[str, ...] = ()
    ledger: str = ""  # object name, "" without records
    ledger_digest: str = ""
    engine: str = ""
    digest: str = ""  # of rows, counts, taus and ledger: not of how the window was closed
    erased: dict[int, int] = field(default_factory=dict)  # position -> shard that says so (law 8)
    version: int = VERSION

    @property
    def lane(self) -> LaneId:
        return LaneId(self.topic, self.partition)


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """A manifest, its rows as columns, and the bytes of the ledger that it names."""

    manifest: PartManifest
    rows: dict[str, list[Any]]
    ledger: bytes = b""


def prefix(lane: LaneId) -> str:
    return f"{PREFIX}{lane.topic}/{lane.partition:05d}/"


def name(lane: LaneId, window: int) -> str:
    """(window, topic, partition) and nothing else: the first object of that name is the part."""
    return f"{prefix(lane)}{window:012d}.parquet"


def ledger_name(lane: LaneId, window: int, digest: str) -> str:
    """Content-addressed: a ledger whose part lost a race is an orphan, never a conflict."""
    return f"ledgers/{lane.topic}/{lane.partition:05d}/{window:012d}-{digest[:32]}.parquet"


def row_types(kind: str, scores: tuple[str, ...]) -> Mapping[str, str]:
    """Column -> type, of a part's rows."""
    if kind != "utterances":
        return LABEL_TYPES if kind == "labels" else ERASURE_TYPES
    return {**ROW_TYPES, **{f"score_{score}": "i16" for score in scores}}


def with_content(manifest: PartManifest, **fields: Any) -> PartManifest:
    """The manifest with what an utterance window says besides its range."""
    return msgspec.structs.replace(manifest, **fields)


def seal(part: Part) -> Part:
    """The part with its content digest filled in."""
    manifest = part.manifest
    content = tables.digest(
        [
            tables.digest_columns(part.rows),
            manifest.counts,
            manifest.pool_taus,
            manifest.waiting_taus,
            manifest.arm_taus,
            manifest.ledger_digest,
            manifest.edition,
            manifest.calibration,
        ]
    )
    return Part(msgspec.structs.replace(manifest, digest=content), part.rows, part.ledger)


def encode(part: Part) -> bytes:
    """The bytes of the object."""
    kind = part.manifest.kind
    types = row_types(kind, part.manifest.scores)
    return tables.encode(part.rows, types, tables.canonical(part.manifest))


def read_manifest(data: bytes, name: str = "an object under parts/") -> PartManifest:
    """The manifest of an encoded part. Raises Fatal for another version or no part at all."""
    try:
        manifest = msgspec.json.decode(tables.manifest_of(data), type=PartManifest)
    except (msgspec.DecodeError, ValueError) as error:
        raise _foreign(name) from error
    if manifest.version != VERSION:
        raise _foreign(name)
    return manifest


def decode(data: bytes, name: str = "an object under parts/") -> Part:
    """An encoded part, without its ledger. Raises Fatal as `read_manifest`."""
    manifest = read_manifest(data, name)
    return Part(manifest, tables.decode(data)[0])


def agree(mine: PartManifest, theirs: PartManifest) -> None:
    """Who comes second drops its part; Fatal where both say other things of the same (law 6)."""
    ranges = [(m.start, m.end, m.through, m.engine) for m in (mine, theirs)]
    if ranges[0] == ranges[1] and mine.digest != theirs.digest:
        raise Fatal(
            f"two processes made different parts of {mine.lane} window {mine.window}",
            code=EXIT_BUG,
            hint="same records, same engine, other result: please report this as a bug",
        )


def _foreign(name: str) -> Fatal:
    return Fatal(
        f"{name} is no part of this version",
        code=EXIT_STATE,
        hint="the store belongs to another version of Sluice, or was damaged",
    )

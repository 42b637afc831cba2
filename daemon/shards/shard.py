"""Shards: the merge of all lanes' parts of one window, with a manifest that teaches (law 5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from daemon import tables
from daemon.learning.calibration import Calibration
from daemon.monitors.noise import Interval
from daemon.ports import EXIT_STATE, Fatal
from daemon.shards.agreement import NOTHING_SAID, Agreed
from daemon.shards.cascade import Cascaded
from daemon.shards.novelty import Novelty
from daemon.shards.partref import PartRef

PREFIX = "shards/"
ROLLING_PREFIX = "rolling/"
VERSION = 1

# columns of a shard, besides one per score; architecture of a row: how it got there
ROW_TYPES: Mapping[str, str] = {
    "id": "str",
    "text": "str",
    "locale": "str",
    "group": "str",
    "label": "str",
    "label_source": "str",
    "intent": "str",
    "confidence": "f64",
    "slots": "str",
    "multiplicity": "i64",
    "weight": "f64",
    "log_rank": "f64",
    "tau": "f64",  # of its group in the selection; null where nothing was turned away
    "inclusion_probability": "f64",  # that any of its arms takes it: 1 - prod(1 - p)
    "inclusion_selected": "f64",
    "inclusion_audit": "f64",
    "inclusion_random": "f64",
    "inclusion_review": "f64",
    "epoch": "i64",
    "cold": "str",  # why nothing was weighed or balanced in its window, "" when warm
    "checkpoint": "str",
    "argmax": "str",
    "plausibility": "f64",
    "lane": "str",
    "position": "i64",
    "time_ms": "i64",
    "event_time_ms": "i64",
    "user": "str",
    "signals": "str",
    "window": "i64",
    "arms": "strs",
}


class Labelled(Struct, frozen=True):
    """What the label lanes did to a shard."""

    late: int = 0  # labels that came after their record and spoke for a row
    outside_pool: int = 0  # labels of records whose text is no candidate: they change nothing
    lost: int = 0  # labels of candidates that contradict a more plausible one
    refused: int = 0  # records of label lanes that are no answers
    answered: int = 0  # audit answers folded here
    wrong: int = 0
    unmatched: int = 0  # audit answers whose row was not found, or had no label


class Revision(Struct, frozen=True):
    """Which version of a shard this is, and what erasures took from it (law 8)."""

    number: int = 1  # 2 is named W.v2
    records: int = 0  # of erasure lanes that were read for it
    refused: int = 0  # of them, those that name nobody
    removed: int = 0  # rows: of the first version those not shown, of others since the one before
    step: int = -1  # the shard that was made when these erasures had come; -1: they came in time
    supersedes: str = ""  # rows digest of the version before
    erasures: tuple[str, ...] = ()  # parts that came too late for the first version
    # audit rows that later versions lack: keyed hash of the id, and the label that was given
    tombstones: tuple[tuple[int, int, str | None], ...] = ()


class ShardManifest(Struct, frozen=True):
    """All that decided a shard, its counts and digests, and the calibration it taught."""

    window: int
    edition: int
    checkpoint: str
    policy: str  # digest
    calibration_used: int
    roster: tuple[tuple[str, int], ...]
    parts: tuple[PartRef, ...]
    labels: tuple[PartRef, ...]
    rows: int
    rows_object: str
    rows_digest: str
    selection_digest: str
    cold: str
    suspect_below: int | None
    counts: dict[str, int]  # records, late, and refusals by reason
    traffic: dict[str, int]  # accepted records by group name
    kept: dict[str, int]  # selected rows by group
    arms: dict[str, int]
    taus: dict[str, int]
    contradictions: int
    labelled: Labelled
    noise: Interval | None
    histograms: dict[str, dict[str, dict[int, int]]]  # score -> arm or "traffic" -> histogram
    lift: dict[str, tuple[float, float, float]]  # score -> mean(selected) - mean(random), 95 %
    calibration: Calibration
    windows: tuple[int, ...] = ()  # of a rolling shard: the windows merged
    revision: Revision = Revision()
    successor: str = ""  # the manifest of the next version; the rows of this one are a stub then
    version: int = VERSION
    novelty: Novelty | UnsetType = UNSET
    cascade: Cascaded | UnsetType = UNSET  # where the policy has a second stage
    agreed: Agreed = NOTHING_SAID


@dataclass(frozen=True, slots=True, eq=False)
class Shard:
    """A manifest and its rows as columns."""

    manifest: ShardManifest
    rows: dict[str, list[Any]]
    emitted: bytes = b""  # the last run that its calibration names: see daemon.shards.novelty


def prefix(window: int, number: int = 1) -> str:
    """Of the objects of a version: "W/", then "W.v2/", "W.v3/" ..."""
    return f"{PREFIX}{window:012d}{f'.v{number}' if number > 1 else ''}/"


def manifest_name(window: int, number: int = 1) -> str:
    """Created last: whoever sees it may read what it names."""
    return f"{prefix(window, number)}manifest.json"


def windows(names: Iterable[str]) -> Iterator[int]:
    """Of the first versions among names of objects: each window that has a shard, once."""
    for name in names:
        folder, _, last = name.removeprefix(PREFIX).partition("/")
        if last == "manifest.json" and folder.isdecimal():
            yield int(folder)


def row_types(scores: tuple[str, ...]) -> dict[str, str]:
    """Column -> type."""
    return {**ROW_TYPES, **{f"score_{score}": "f64" for score in scores}}


def encode_rows(shard: Shard, scores: tuple[str, ...]) -> bytes:
    """The Parquet object; its footer repeats what a lone file should say of itself."""
    m = shard.manifest
    footer = {
        "window": m.window,
        "edition": m.edition,
        "checkpoint": m.checkpoint,
        "rows_digest": m.rows_digest,
        "selection_digest": m.selection_digest,
    }
    return tables.encode(shard.rows, row_types(scores), tables.canonical(footer))


def scores_of(columns: dict[str, list[Any]]) -> tuple[str, ...]:
    """Names of the scores that rows carry."""
    return tuple(n[len("score_") :] for n in columns if n.startswith("score_"))


def digests(rows: dict[str, list[Any]], window: int) -> tuple[str, str]:
    """(selection, rows): of who was selected by which arm, and of every column."""
    selected = [
        [window, sorted(arms), lane, position, group]
        for arms, lane, position, group in zip(
            rows["arms"], rows["lane"], rows["position"], rows["group"], strict=True
        )
    ]
    return tables.digest(selected), tables.digest_columns(rows)


def read_manifest(data: bytes, name: str = "an object under shards/") -> ShardManifest:
    """Raises Fatal for another version or no manifest at all."""
    try:
        return msgspec.json.decode(data, type=ShardManifest)
    except msgspec.DecodeError as error:
        raise Fatal(
            f"{name} is no manifest of this version",
            code=EXIT_STATE,
            hint="the store belongs to another version of Sluice, or was damaged",
        ) from error


def empty_rows(scores: tuple[str, ...]) -> dict[str, list[Any]]:
    return {name: [] for name in row_types(scores)}

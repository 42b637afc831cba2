"""What is told to others, as messages: records that were refused, shards that were made.

Keys name what a message is about, so that consumers can drop what is delivered again. Headers hold
positions, numbers and closed words; no text of a record, label, id or user is ever in one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from daemon import tables
from daemon.learning.edition import Edition
from daemon.ports import Int64s, LaneId, Message
from daemon.shards import shard
from daemon.shards.shard import ShardManifest
from scoring.types import Refusal

VERSION = 1  # of the announcement's value


@dataclass(frozen=True, slots=True)
class Refuser:
    """What refused a record. `version`: of Sluice."""

    edition: int
    checkpoint: str  # digest
    policy: str  # digest
    version: str

    def headers(self) -> tuple[tuple[str, bytes], ...]:
        return (
            ("sluice.edition", b"%d" % self.edition),
            ("sluice.checkpoint", self.checkpoint.encode()),
            ("sluice.policy", self.policy.encode()),
            ("sluice.version", self.version.encode()),
        )


def refuser(edition: Edition, version: str) -> Refuser:
    """An edition as the refuser of records; once per edition, a policy's digest costs something."""
    return Refuser(edition.number, edition.checkpoint, tables.digest(edition.policy), version)


def dead_letters(
    lane: LaneId,
    positions: Int64s,
    times_ms: Int64s,
    values: Sequence[bytes | None],
    refusals: Iterable[Refusal],
    by: Refuser,
    *,
    payload_bytes: int = 0,
) -> Iterator[Message]:
    """A letter for each refused record of a batch of n, in order.

    `positions`, `times_ms`, `values`: (n,); `refusals` index into them. The key is
    "topic/partition@position". The value is that of the record where it has at most `payload_bytes`
    bytes (0: never), else empty, and never null, which a compacted topic would take as a deletion;
    `sluice.payload` says which: kept | left_out | none.
    """
    common = by.headers()
    topic, partition = lane.topic.encode(), b"%d" % lane.partition
    for refusal in refusals:
        position = int(positions[refusal.index])
        value = values[refusal.index]
        kept = value is not None and 0 < len(value) <= payload_bytes
        said = b"kept" if kept else b"left_out" if value else b"none"
        headers = (
            ("sluice.topic", topic),
            ("sluice.partition", partition),
            ("sluice.position", b"%d" % position),
            ("sluice.append_time_ms", b"%d" % times_ms[refusal.index]),
            ("sluice.reason", refusal.reason.value.encode()),
            *common,
            ("sluice.payload", said),
        )
        yield Message(f"{lane}@{position}".encode(), headers, value if value and kept else b"")


def announcement(manifest: ShardManifest, base: str) -> Message:
    """Of a shard that is in the store. `base`: where others find the store, without a slash.

    The key is the name of the manifest's object; for one shard the bytes are always the same.
    """
    number = manifest.revision.number
    name = shard.manifest_name(manifest.window, number)
    value: dict[str, object] = {
        "version": VERSION,
        "window": manifest.window,
        "manifest": name,
        "uri": f"{base}/{name}",
        "rows": manifest.rows,
        "rows_object": manifest.rows_object,
        "rows_digest": manifest.rows_digest,
        "selection_digest": manifest.selection_digest,
        "edition": manifest.edition,
        "checkpoint": manifest.checkpoint,
    }
    if number > 1:  # after an erasure: whoever has the one before must not go on with it
        before = shard.manifest_name(manifest.window, number - 1)
        value |= {"revision": number, "supersedes": before}
    return Message(name.encode(), (("sluice.announces", b"shard"),), tables.canonical(value))

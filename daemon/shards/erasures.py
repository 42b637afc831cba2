"""Erasures: which rows they name, and a part or a shard without them (law 8). Pure.

An erasure takes rows away and nothing else: what was selected beside them, with which tau and
which probability, stays as it was, so nothing is back-filled. Keyed hashes, ranks and labels of
an erased candidate stay in its part: with them the same selection can be made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from buffers import draw
from daemon import tables
from daemon.lanes.part import Part
from daemon.shards import shard
from daemon.shards.columns import Columns
from daemon.shards.shard import Revision, Shard, ShardManifest

Id = tuple[int, int]
# what a candidate says of a person; the rest is what a selection is a function of
PERSONAL: Mapping[str, str | None] = {
    "id": "", "text": "", "locale": None, "confidence": None, "slots": None, "user": None,
    "event_time_ms": None, "signals": None,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Erasures:
    """Whom erasure lanes name, as keyed hashes."""

    ids: frozenset[Id] = field(default_factory=frozenset)
    users: frozenset[str] = field(default_factory=frozenset)
    records: int = 0
    refused: int = 0

    def name(self, identity: Id, user: str | None) -> bool:
        """Whether a row of this id and user is erased."""
        return identity in self.ids or user in self.users


NOBODY = Erasures()


def read(parts: Sequence[Part]) -> Erasures:
    """All that some parts of erasure lanes say, in any order."""
    ids, users = set[Id](), set[str]()
    records = refused = 0
    for part in parts:
        rows = part.rows
        records += len(rows["position"])
        for high, low, user, reason in zip(
            rows["id_hi"], rows["id_lo"], rows["user"], rows["reason"], strict=True
        ):
            if reason:
                refused += 1
            elif user:
                users.add(user)
            else:
                ids.add((high, low))
    return Erasures(frozenset(ids), frozenset(users), records, refused)


def erased(columns: Columns, row: int, erasures: Erasures) -> bool:
    """Whether a candidate is erased, now or by a version that was made already."""
    identity = (columns["id_hi"][row], columns["id_lo"][row])
    gone: bool = columns["erased"][row]
    return gone or erasures.name(identity, columns["user"][row])


def blanked(part: Part, erasures: Erasures, step: int) -> Part | None:
    """The part without what it says of those who are named; None where it says nothing.

    Its digest stays: it is that of what the lane gave, and so is the selection.
    """
    m, rows = part.manifest, part.rows
    hits = [
        at
        for at, identity in enumerate(zip(rows["id_hi"], rows["id_lo"], strict=True))
        if rows["position"][at] not in m.erased and erasures.name(identity, rows["user"][at])
    ]
    if not hits:
        return None
    gone = {**m.erased, **{rows["position"][at]: step for at in hits}}
    bare = without_persons(rows, frozenset(gone))
    return Part(msgspec.structs.replace(m, erased=dict(sorted(gone.items()))), bare)


def without_persons(rows: Columns, positions: frozenset[int]) -> Columns:
    """Rows of a part, those at some positions without what they say of a person."""
    out = dict(rows)
    for name, empty in PERSONAL.items():
        out[name] = [
            empty if position in positions else value
            for position, value in zip(rows["position"], rows[name], strict=True)
        ]
    return out


def named_rows(rows: Columns, erasures: Erasures, key: bytes) -> list[int]:
    """Which rows of a shard are erased, ascending."""
    ids = draw.identity(key, "id", rows["id"]).tolist()
    users = rows["user"]
    return [at for at, (high, low) in enumerate(ids) if erasures.name((high, low), users[at])]


def remaining(rows: Columns, gone: Sequence[int]) -> Columns:
    """Rows of a shard without some of them."""
    out = frozenset(gone)
    return {n: [v for at, v in enumerate(column) if at not in out] for n, column in rows.items()}


def succeed(
    before: ShardManifest,
    rows: Columns,
    gone: Sequence[int],
    erasures: Erasures,
    *,
    step: int,
    parts: Sequence[str],
    key: bytes,
) -> Shard:
    """The next version of a shard: without the rows `gone`, all others unchanged.

    `step`: the window of the shard whose erasures these are; `parts`: where they stand. Aggregates
    (taus, traffic, histograms, lift, calibration) are of the first version and stay as they are.
    """
    window, number = before.window, before.revision.number + 1
    left = remaining(rows, gone)
    selection, content = shard.digests(left, window)
    audits = [at for at in gone if "audit" in rows["arms"][at]]
    hashes = draw.identity(key, "id", [rows["id"][at] for at in audits]).tolist()
    dead = [(high, low, rows["label"][at]) for (high, low), at in zip(hashes, audits, strict=True)]
    revision = Revision(
        number=number,
        records=erasures.records,
        refused=erasures.refused,
        removed=len(gone),
        step=step,
        supersedes=before.rows_digest,
        erasures=tuple(dict.fromkeys((*before.revision.erasures, *parts))),
        tombstones=(*before.revision.tombstones, *dead),
    )
    manifest = msgspec.structs.replace(
        before,
        rows=len(left["id"]),
        rows_object=f"{shard.prefix(window, number)}rows-{content[:32]}.parquet",
        rows_digest=content,
        selection_digest=selection,
        kept=_counted(
            g for g, arms in zip(left["group"], left["arms"], strict=True) if "selected" in arms
        ),
        arms=_counted(arm for arms in left["arms"] for arm in arms),
        revision=revision,
        successor="",
    )
    return Shard(manifest, left)


def stub(rows: Columns, successor: str) -> bytes:
    """What stands in the place of a version's rows: none of them, and where the next version is.

    A Parquet file of the same columns, so that whoever reads many at once is not stopped by it.
    """
    types = shard.row_types(shard.scores_of(rows))
    footer = {"erased": True, "successor": successor}
    return tables.encode({name: [] for name in rows}, types, tables.canonical(footer))


def is_stub(footer: bytes) -> bool:
    """Whether the footer of a file of rows is that of a stub."""
    try:
        return "erased" in msgspec.json.decode(footer, type=dict[str, Any])
    except msgspec.DecodeError:
        return False


def _counted(names: Any) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))

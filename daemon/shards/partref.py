"""How a shard names the parts that it was made of."""

from __future__ import annotations

from msgspec import Struct

from daemon.lanes.part import PartManifest


class PartRef(Struct, frozen=True):
    """A part that went into a shard."""

    object: str
    topic: str
    partition: int
    window: int
    through: int
    start: int
    end: int
    time_ms: int
    closed_by: str
    digest: str
    engine: str


def reference(name: str, manifest: PartManifest) -> PartRef:
    """How a shard names a part."""
    _, *fields = PartRef.__struct_fields__
    return PartRef(name, *(getattr(manifest, field) for field in fields))

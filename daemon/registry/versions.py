"""Versions of a shard, in the store: W, W.v2, W.v3 ... (law 8)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from buffers import draw
from daemon import tables
from daemon.ports import Missing, Retry, Store
from daemon.registry.registry import Registry
from daemon.shards import erasures, shard
from daemon.shards.columns import Columns
from daemon.shards.erasures import Id
from daemon.shards.shard import ShardManifest

LOOKS = 8  # while others make newer versions


def numbers(store: Store, window: int) -> list[int]:
    """Versions of a window's shard, ascending; the first is there if any is."""
    found = [1]
    for name in store.list(f"{shard.PREFIX}{window:012d}.v"):
        folder, _, last = name.removeprefix(shard.PREFIX).partition("/")
        if last == "manifest.json":
            found.append(int(folder.partition(".v")[2]))
    return sorted(found)


def manifest(store: Store, window: int, number: int) -> ShardManifest:
    """Of one version. Raises Missing."""
    name = shard.manifest_name(window, number)
    return shard.read_manifest(store.get(name), name)


def newest(registry: Registry, window: int) -> ShardManifest:
    """Of the newest version: the one whose rows are there. Raises Missing."""
    return manifest(registry.store, window, numbers(registry.store, window)[-1])


def newest_rows(registry: Registry, window: int) -> tuple[ShardManifest, Columns]:
    """The newest version with its rows. Raises Missing; Retry while versions come and go."""
    for _ in range(LOOKS):
        found = newest(registry, window)
        rows, footer = tables.decode(registry.store.get(found.rows_object))
        if not erasures.is_stub(footer):
            return found, rows
    raise Retry(f"the shard of window {window} is being replaced")


@dataclass(frozen=True, slots=True, eq=False)
class AuditRows:
    """The audit rows that a shard had when it was made, whatever was erased since."""

    shown: Mapping[str, str | None]  # id -> given label
    gone: Mapping[Id, str | None]  # keyed hash of the id -> given label

    def labels(self, names: Sequence[str], key: bytes) -> dict[str, str | None]:
        """Given labels of those of these ids that were audit rows."""
        found = {name: self.shown[name] for name in names if name in self.shown}
        if self.gone:
            hashes = draw.identity(key, "id", names).tolist()
            for name, (high, low) in zip(names, hashes, strict=True):
                if (high, low) in self.gone:
                    found[name] = self.gone[high, low]
        return found


def audit_rows(registry: Registry, window: int) -> AuditRows:
    """Of the shard of a window; none where there is no shard."""
    try:
        found, rows = newest_rows(registry, window)
    except Missing:
        return AuditRows({}, {})
    shown = {
        name: label
        for name, label, arms in zip(rows["id"], rows["label"], rows["arms"], strict=True)
        if "audit" in arms
    }
    return AuditRows(shown, {(high, low): label for high, low, label in found.revision.tombstones})

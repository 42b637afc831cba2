"""Objects that hold what somebody said, and are replaced by others that do not (law 8).

Each of these may be done again, by anybody and at the same time: what is found decides, and nothing
that was taken out comes back, because a write names what it replaces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from daemon import tables
from daemon.lanes import part as parts
from daemon.ports import Missing, Retry, Store
from daemon.registry.registry import Registry
from daemon.shards import erasures, shard
from daemon.shards.columns import Columns
from daemon.shards.erasures import Erasures

TRIES = 8  # at an object that others replace too


def name_successor(store: Store, window: int, number: int) -> None:
    """The manifest of a version says where the next one is."""
    name, successor = shard.manifest_name(window, number), shard.manifest_name(window, number + 1)

    def named(data: bytes) -> bytes | None:
        manifest = shard.read_manifest(data, name)
        if manifest.successor:
            return None
        return tables.canonical(msgspec.structs.replace(manifest, successor=successor))

    _replace(store, name, named)


def bare(store: Store, name: str, whom: Erasures, step: int) -> None:
    """A part loses what it says of those who are named, if it is there."""

    def without(data: bytes) -> bytes | None:
        made = erasures.blanked(parts.decode(data, name), whom, step)
        return None if made is None else parts.encode(made)

    try:
        _replace(store, name, without)
    except Missing:
        return  # a recorded stretch does not carry the parts of shards before it


def empty_rows(
    store: Store, name: str, successor: str, holds: Callable[[Columns], object] | None = None
) -> None:
    """Rows become a stub; with `holds` only those of which it says so."""

    def stub(data: bytes) -> bytes | None:
        rows, footer = tables.decode(data)
        if erasures.is_stub(footer) or (holds is not None and not holds(rows)):
            return None
        return erasures.stub(rows, successor)

    _replace(store, name, stub)


def empty_lost(store: Store, rows_object: str, manifest: str) -> None:
    """Rows of who came second to a manifest that names others, as other engines make them.

    Nobody reads them, and erasures that emptied all others may have passed already.
    """
    if shard.read_manifest(store.get(manifest), manifest).rows_object != rows_object:
        empty_rows(store, rows_object, "")


def take_back(registry: Registry, name: str, rows: Columns, windows: Iterable[int]) -> None:
    """Rows of some windows that were merged and just created: a stub where one was erased since.

    Erasures look for such objects after they have been at the parts: one of both sees the other.
    Raises Retry: then merge again.
    """
    shown = set(zip(rows["lane"], rows["position"], strict=True))
    for ref in (ref for window in windows for ref in registry.manifest(window).parts):
        part = parts.read_manifest(registry.store.get(ref.object), ref.object)
        if any((str(part.lane), position) in shown for position in part.erased):
            empty_rows(registry.store, name, "")
            raise Retry("rows were erased while they were merged: begin again")


def _replace(store: Store, name: str, without: Callable[[bytes], bytes | None]) -> None:
    """Until there is nothing left to take out. Raises Missing, Retry."""
    for _ in range(TRIES):
        data = store.get(name)
        left = without(data)
        if left is None or store.efface(name, data, left):
            return
    raise Retry("an object that holds erased rows is being replaced by others")

"""A store in memory, for tests and simulations. Threads may share it; it ends with the process."""

from __future__ import annotations

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator

from msgspec import Struct

from daemon.ports import EXIT_STATE, Fatal, Missing, Store
from daemon.stores import check_name


class Options(Struct, frozen=True, forbid_unknown_fields=True):
    """None."""


def build(options: Options) -> Store:  # noqa: ARG001 - there is nothing to choose
    """An empty store."""
    return MemoryStore()


class MemoryStore:
    """Objects in a dict, names in a sorted list."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._objects: dict[str, bytes] = {}
        self._folders: set[str] = set()
        self._names: list[str] = []

    def create(self, name: str, data: bytes) -> bool:
        segments = check_name(name)
        above = {"/".join(segments[:depth]) for depth in range(1, len(segments))}
        with self._lock:
            if name in self._objects:
                return False
            if name in self._folders or not above.isdisjoint(self._objects):
                raise Fatal("a name is also a folder of names", code=EXIT_STATE)
            self._folders |= above
            self._objects[name] = bytes(data)
            insort(self._names, name)
            return True

    def get(self, name: str) -> bytes:
        check_name(name)
        try:
            return self._objects[name]
        except KeyError:
            raise Missing(name) from None

    def efface(self, name: str, before: bytes, stub: bytes) -> bool:
        check_name(name)
        with self._lock:
            if name not in self._objects:
                raise Missing(name)
            if self._objects[name] not in (before, stub):
                return False
            self._objects[name] = bytes(stub)
            return True

    def list(self, prefix: str, after: str = "") -> Iterator[str]:
        # Step by step rather than over a copy: a create during the walk may or may not be seen.
        with self._lock:
            at = max(bisect_left(self._names, prefix), bisect_right(self._names, after))
            name = self._names[at] if at < len(self._names) else None
        while name is not None and name.startswith(prefix):
            yield name
            with self._lock:
                at = bisect_right(self._names, name)
                name = self._names[at] if at < len(self._names) else None

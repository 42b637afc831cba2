"""What leaves the process besides objects: dead letters, and announcements of shards."""

from __future__ import annotations

from daemon import messages, tables
from daemon.messages import Refuser
from daemon.ports import Missing, Outlet
from daemon.registry.registry import Registry
from daemon.running.facts import Listener
from daemon.running.pipeline import Ahead, Timed
from daemon.shards import shard

ANNOUNCED = "announced/"  # one object per shard whose announcement was acknowledged


class Letters:
    """A letter for every record that could not be read; none is passed before it is acknowledged.

    At least once: what a crash or a Retry leaves open is read again, and sent again under the same
    key.
    """

    def __init__(
        self, outlet: Outlet, tell: Listener, *, version: str, payload_bytes: int = 0
    ) -> None:
        self._outlet, self._tell = outlet, tell
        self._version, self._payload_bytes = version, payload_bytes
        self._refusers: dict[int, Refuser] = {}
        self._sent = 0

    def absorbed(self, ahead: Ahead, timed: Timed) -> None:
        """Send those of a segment. Raises Retry."""
        prepared, edition = timed.prepared, ahead.rules.edition
        if not prepared.refusals:
            return
        if edition.number not in self._refusers:
            self._refusers = {edition.number: messages.refuser(edition, self._version)}
        for letter in messages.dead_letters(
            ahead.lane.lane,
            prepared.positions,
            prepared.times_ms,
            ahead.values,
            prepared.refusals,
            self._refusers[edition.number],
            payload_bytes=self._payload_bytes,
        ):
            self._outlet.send(letter)
            self._sent += 1

    def flush(self) -> None:
        """All that was sent is acknowledged. Raises Retry: then it is read again."""
        if not self._sent:
            return
        sent, self._sent = self._sent, 0
        self._outlet.flush()
        self._tell("acknowledged", {"letters": sent})


class Announcer:
    """Tells of each shard at least once, in order: whoever makes the next one looks back.

    An object in the store marks what was acknowledged, so a crash in between is seen by others. A
    store that had shards before anything was announced begins behind those.
    """

    def __init__(self, outlet: Outlet, registry: Registry, tell: Listener, *, base: str) -> None:
        self._outlet, self._registry, self._tell = outlet, registry, tell
        self._base = base
        store = registry.store
        marks = [window_of(name) for name in store.list(ANNOUNCED)]
        shown = [window_of(name) for name in store.list(shard.PREFIX)]
        self._after = max(marks or shown, default=0)  # all up to here is acknowledged, or old
        if not marks:  # or the first shard of all would be an old one after a crash
            store.create(f"{ANNOUNCED}{self._after:012d}", tables.canonical({"begins": True}))

    def due(self) -> None:
        """Announce what is new. Raises Retry: then it is due again."""
        progress = self._registry.progress
        assert progress is not None
        if not progress.shards or progress.shards[-1] <= self._after:
            return
        for name in self._registry.store.list(shard.PREFIX, f"{shard.prefix(self._after)}~"):
            if name.endswith("/manifest.json"):
                self._announce(window_of(name))

    def _announce(self, window: int) -> None:
        mark = f"{ANNOUNCED}{window:012d}"
        if not self._known(mark):
            manifest = self._registry.manifest(window)
            self._outlet.send(messages.announcement(manifest, self._base))
            self._outlet.flush()
            told = {"window": window, "rows_digest": manifest.rows_digest}
            self._registry.store.create(mark, tables.canonical(told))
            self._tell("announced", {"window": window})
        self._after = window

    def _known(self, name: str) -> bool:
        try:
            self._registry.store.get(name)
        except Missing:
            return False
        return True


def window_of(name: str) -> int:
    """Of the name of a mark, or of an object of a shard."""
    return int(name.split("/")[1])

"""What leaves the process besides objects: dead letters, and announcements of shards."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from daemon import messages, tables
from daemon.lanes.pin import NOBODY
from daemon.learning.edition import Edition
from daemon.messages import Refuser
from daemon.ports import Batch, Message, Missing, Outlet
from daemon.registry import versions
from daemon.registry.registry import Registry
from daemon.running import erasing
from daemon.running.erasing import Receipt
from daemon.running.facts import Listener
from daemon.running.pipeline import Ahead, Timed
from daemon.shards import shard
from daemon.shards.shard import ShardManifest
from scoring.types import Refusal

ANNOUNCED = "announced/"  # one object per shard whose announcement was acknowledged
REVISED = "revised/"  # and per shard whose erasures made versions that were announced


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
        self._send(messages.dead_letters(
            ahead.lane.lane, prepared.positions, prepared.times_ms, ahead.values,
            prepared.refusals, self._refuser(edition), payload_bytes=self._payload_bytes,
        ))  # fmt: skip

    def heard(
        self, batch: Batch, kind: str, refusals: Sequence[Refusal], by: Edition | None
    ) -> None:
        """Send those of a batch of a label or erasure lane. Raises Retry.

        Of an erasure lane without what stood in them, which names a person, and without an
        edition: none decides there.
        """
        asked = kind == "erasures"
        self._send(messages.dead_letters(
            batch.lane, batch.positions, batch.times_ms, batch.values, refusals,
            Refuser(NOBODY, "", "", self._version) if asked or by is None else self._refuser(by),
            payload_bytes=0 if asked else self._payload_bytes,
        ))  # fmt: skip

    def _send(self, letters: Iterable[Message]) -> None:
        for letter in letters:
            self._outlet.send(letter)
            self._sent += 1

    def _refuser(self, edition: Edition) -> Refuser:
        if edition.number not in self._refusers:
            self._refusers = {edition.number: messages.refuser(edition, self._version)}
        return self._refusers[edition.number]

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
        shown = list(shard.windows(store.list(shard.PREFIX)))
        self._after = max(marks or shown, default=0)  # all up to here is acknowledged, or old
        revised = [window_of(name) for name in store.list(REVISED)]
        self._revised = max(revised, default=min(marks, default=self._after))
        if not marks:  # or the first shard of all would be an old one after a crash
            store.create(f"{ANNOUNCED}{self._after:012d}", tables.canonical({"begins": True}))

    def due(self) -> None:
        """Announce what is new. Raises Retry: then it is due again."""
        progress = self._registry.progress
        assert progress is not None
        if progress.shards and progress.shards[-1] > self._after:
            after = f"{shard.prefix(self._after)}~"
            for window in shard.windows(self._registry.store.list(shard.PREFIX, after)):
                mark = f"{ANNOUNCED}{window:012d}"
                if not self._known(mark):
                    manifest = self._registry.manifest(window)
                    self._announce(manifest)
                    told = {"window": window, "rows_digest": manifest.rows_digest}
                    self._registry.store.create(mark, tables.canonical(told))
                self._after = window
        if progress.erasure_topics:
            self._due_versions()

    def _due_versions(self) -> None:
        """Of each receipt of erasures the versions that it names; one mark for all of them."""
        store = self._registry.store
        for name in store.list(erasing.PREFIX, erasing.receipt_name(self._revised)):
            receipt = msgspec.json.decode(store.get(name), type=Receipt)
            mark = f"{REVISED}{receipt.shard:012d}"
            if receipt.versions and not self._known(mark):
                for window, number, _ in receipt.versions:
                    self._announce(versions.manifest(store, window, number))
                store.create(mark, tables.canonical({"versions": len(receipt.versions)}))
            self._revised = receipt.shard

    def _announce(self, manifest: ShardManifest) -> None:
        self._outlet.send(messages.announcement(manifest, self._base))
        self._outlet.flush()
        self._tell("announced", {"window": manifest.window})

    def _known(self, name: str) -> bool:
        try:
            self._registry.store.get(name)
        except Missing:
            return False
        return True


def window_of(name: str) -> int:
    """Of the name of a mark, or of an object of a shard."""
    return int(name.split("/")[1])

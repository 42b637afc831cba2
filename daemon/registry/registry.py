"""The registry: create-once objects of a store, typed, and what this process has seen of them.

Listing is the index: there is no side database to lose. `refresh` looks for what others made.
"""

from __future__ import annotations

import hashlib
from typing import TypeVar

import msgspec

from daemon import tables
from daemon.lanes import genesis as geneses
from daemon.lanes import part as parts
from daemon.lanes import pin as pins
from daemon.lanes.genesis import Genesis
from daemon.lanes.part import Part, PartManifest
from daemon.lanes.pin import FIRST, Pin
from daemon.lanes.progress import Covered, Progress
from daemon.learning import edition as editions
from daemon.learning.calibration import Calibration
from daemon.learning.edition import Edition
from daemon.ports import EXIT_STATE, Fatal, LaneId, Missing, Store
from daemon.shards import shard as shards
from daemon.shards.shard import ShardManifest

T = TypeVar("T")


class Registry:
    """Typed reads and creates over one store prefix. One per process, one thread at a time."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.editions: dict[int, Edition] = {}
        self.genesis = self._read(geneses.NAME, Genesis)
        self.progress: Progress | None = None
        self._last_part: dict[LaneId, str] = {}
        self._last_pin = self._last_shard = ""
        self._calibrations: dict[int, Calibration] = {}

    def reload(self) -> None:
        """Look for a genesis again: somebody else may have created it since."""
        self.genesis = self._read(geneses.NAME, Genesis)

    def _read(self, name: str, kind: type[T]) -> T | None:
        try:
            return msgspec.json.decode(self.store.get(name), type=kind)
        except Missing:
            return None
        except msgspec.DecodeError as error:
            raise Fatal(
                f"{name} in the store cannot be read by this version",
                code=EXIT_STATE,
                hint="use the image that wrote it, or another store prefix",
            ) from error

    def _create(self, name: str, value: T) -> T:
        """Create, or take what is there: the first object wins (law 6)."""
        if self.store.create(name, tables.canonical(value)):
            return value
        found = self._read(name, type(value))
        assert found is not None, "an object that exists can be read"
        return found

    def found(self, genesis: Genesis) -> Genesis:
        """Create the genesis, or adopt the one that another process created first."""
        self.genesis = self._create(geneses.NAME, genesis)
        return self.genesis

    def start(self) -> Progress:
        """Load what the store knows, once the genesis exists."""
        assert self.genesis is not None, "genesis comes first"
        self.progress = Progress(self.genesis)
        self.refresh()
        return self.progress

    def refresh(self) -> bool:
        """See what others published, pinned, closed and assembled. True if anything was new."""
        assert self.progress is not None and self.genesis is not None
        new = self.read_editions()
        # rows sort after the manifest but are created before it: only a manifest counts
        for window in shards.windows(self.store.list(shards.PREFIX, self._last_shard)):
            self.progress.shard(window)
            self._last_shard, new = shards.manifest_name(window), True
        for name in self._unsettled(pins.PREFIX, self._last_pin):
            pin = self._read(name, Pin)
            assert pin is not None
            self.progress.pin(pin)
            self._last_pin, new = name, True
        self._look_for_lanes()
        for lane in self.progress.lanes():
            for name in self._unsettled(parts.prefix(lane), self._last_part.get(lane, "")):
                self._saw_part(name, parts.read_manifest(self.store.get(name), name))
                new = True
        return new

    def _unsettled(self, prefix: str, after: str) -> list[str]:
        """Names that still matter: of windows not long settled, and the newest in any case."""
        assert self.progress is not None
        names = list(self.store.list(prefix, after))
        settled = sum(_window(name) <= self.progress.keep for name in names)
        return names[max(0, settled - 1) :]  # a run of empty windows may reach beyond its name

    def _look_for_lanes(self) -> None:
        """New partitions whose parts others have put: they are evidence like any others."""
        assert self.progress is not None
        known: dict[str, set[int]] = {}
        for lane in self.progress.lanes():
            known.setdefault(lane.topic, set()).add(lane.partition)
        for topic, partitions in known.items():
            highest = LaneId(topic, max(partitions))
            # partitions are numbered from 0: some may be new between those that are known
            for lane in (LaneId(topic, p) for p in range(highest.partition)):
                if lane.partition not in partitions and any(self.store.list(parts.prefix(lane))):
                    self.progress.saw(lane)
            for name in self.store.list(f"{parts.PREFIX}{topic}/", f"{parts.prefix(highest)}~"):
                self.progress.saw(LaneId(topic, int(name.split("/")[2])))

    def read_editions(self) -> bool:
        """See newly published editions."""
        last = editions.name(max(self.editions)) if self.editions else ""
        found = [self._read(name, Edition) for name in self.store.list(editions.PREFIX, last)]
        self.editions.update({e.number: e for e in found if e is not None})
        return bool(found)

    def publish(self, edition: Edition) -> Edition:
        """Create the edition under its number, or take the one that is there."""
        won = self._create(editions.name(edition.number), edition)
        return self.editions.setdefault(won.number, won)

    def _saw_part(self, name: str, manifest: PartManifest) -> None:
        assert self.progress is not None
        self.progress.cover(
            Covered(
                manifest.lane,
                manifest.window,
                manifest.through,
                manifest.start,
                manifest.end,
                manifest.time_ms,
                manifest.counts.records if manifest.kind == "utterances" else 0,
            )
        )
        self._last_part[manifest.lane] = max(self._last_part.get(manifest.lane, ""), name)

    def put_part(self, part: Part) -> bool:
        """Ledger first, then the part. False: another process was first; nothing is lost."""
        manifest = part.manifest
        if manifest.ledger:
            self.store.create(manifest.ledger, part.ledger)
        name = parts.name(manifest.lane, manifest.window)
        if self.store.create(name, parts.encode(part)):
            self._saw_part(name, manifest)
            return True
        parts.agree(manifest, parts.read_manifest(self.store.get(name), name))
        return False

    def part(self, name: str) -> Part:
        """A part by object name."""
        return parts.decode(self.store.get(name), name)

    def create_pin(self, pin: Pin) -> Pin:
        """Create, or adopt."""
        assert self.progress is not None
        won = self._create(pins.name(pin.window), pin)
        self.progress.pin(won)
        return won

    def manifest(self, window: int) -> ShardManifest:
        """Of the shard of a window. Raises Missing."""
        name = shards.manifest_name(window)
        return shards.read_manifest(self.store.get(name), name)

    def calibration(self, window: int) -> Calibration:
        """The calibration that a shard's manifest carries; the empty one for FIRST."""
        if window == FIRST:
            return Calibration(FIRST)
        if window not in self._calibrations:
            self._calibrations[window] = self.manifest(window).calibration
            while len(self._calibrations) > 4:  # the last few windows are asked for again
                del self._calibrations[next(iter(self._calibrations))]
        return self._calibrations[window]

    def check_key(self, key_id: str, key: bytes) -> None:
        """The key of this process is the one that this store was begun with (by fingerprint)."""
        fingerprint = hashlib.sha256(b"sluice key\0" + key).hexdigest()
        if self._create(f"keys/{key_id}.json", fingerprint) != fingerprint:
            raise Fatal(
                f"the secret of key {key_id} is not the one this store was begun with",
                code=EXIT_STATE,
                hint="every replica needs the same key file; a new secret needs a new key_id",
            )


def _window(name: str) -> int:
    """The window in the last segment of an object's name."""
    return int(name.rsplit("/", 1)[-1].split(".", maxsplit=1)[0])

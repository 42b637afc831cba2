"""Making the next shard from what the store holds: any replica may, the first one wins (law 5)."""

from __future__ import annotations

from daemon import tables
from daemon.lanes import part as parts
from daemon.lanes.pin import FIRST, Pin
from daemon.ports import EXIT_BUG, Fatal, LaneId
from daemon.registry import effacing
from daemon.registry.registry import Registry
from daemon.running.cascading import Cascading
from daemon.running.engines import Engines
from daemon.running.inputs import InputsReader
from daemon.running.pinning import Pinning
from daemon.shards import assemble, shard
from daemon.shards.assemble import Inputs
from daemon.shards.shard import Shard, ShardManifest


class Settler:
    """Looks at the oldest pinned window without a shard, and makes it if its parts are there."""

    def __init__(self, registry: Registry, pinning: Pinning, engines: Engines) -> None:
        self._registry, self._pinning = registry, pinning
        self.reader = InputsReader(registry, engines)
        self._cascading = Cascading(registry.store, engines)

    @property
    def scoring(self) -> bool:
        """Candidates of a second stage are being scored: `settle` has more to do."""
        return self._cascading.busy

    @property
    def scored(self) -> int:
        """Rows that the second stage of this process has scored so far."""
        return self._cascading.scored

    def settle(self) -> ShardManifest | None:
        """Make one shard durable; None where nothing can be made now, or not all is scored."""
        progress = self._registry.progress
        assert progress is not None
        window = progress.next_shard()
        inputs = self._cascading.ready(window, self.inputs)
        if window is None or inputs is None:
            return None
        made = assemble.assemble(inputs)
        manifest = self._publish(made)
        progress.shard(window)
        return manifest

    def inputs(self, window: int) -> Inputs | None:
        """Everything that the shard of `window` is a function of; None while a pin waits."""
        genesis, progress = self._registry.genesis, self._registry.progress
        assert genesis is not None and progress is not None
        opened = self._pinning.open(window)
        if opened is None:
            return None
        pin, rules = opened
        last = max((w for w in progress.shards if w < window), default=FIRST)
        first_label = max(genesis.first_window, min(last + 1, window - genesis.lag))
        return self.reader.read(
            pin,
            rules,
            parts=self._names(pin.lanes, window, window),
            labels=self._late_names(pin, first_label, window + genesis.label_wait, last),
            last=last,
        )

    def _names(self, lanes: tuple[LaneId, ...], first: int, last: int) -> list[str]:
        """Each part of these lanes that covers one of the windows, once."""
        progress = self._registry.progress
        assert progress is not None
        return [
            parts.name(lane, window)
            for lane in lanes
            for window in progress.part_windows(lane, first, last)
        ]

    def _late_names(self, pin: Pin, first: int, until: int, last: int) -> list[str]:
        """Parts of label and erasure lanes. Of an erasure lane that the shard before did not wait
        for, all of them: nobody may be forgotten because a partition was new.
        """
        progress, store = self._registry.progress, self._registry.store
        assert progress is not None
        before = progress.pins.get(last)
        heard = before.label_lanes if before is not None else pin.label_lanes
        names = []
        for lane in pin.label_lanes:
            if lane.topic in progress.erasure_topics and lane not in heard:
                names += [n for n in store.list(parts.prefix(lane)) if n <= parts.name(lane, until)]
            else:
                names += self._names((lane,), first, until)
        return names

    def _publish(self, made: Shard) -> ShardManifest:
        """Rows first, the manifest last: whoever sees it may read what it names."""
        manifest, store = made.manifest, self._registry.store
        name = shard.manifest_name(manifest.window)
        if next(store.list(name), None) is None:  # else rows that came now might be erased ones
            store.create(manifest.rows_object, shard.encode_rows(made, shard.scores_of(made.rows)))
            if made.emitted and (runs := manifest.calibration.emitted):
                store.create(runs[-1].name, made.emitted)
            if store.create(name, tables.canonical(manifest)):
                return manifest
            effacing.empty_lost(store, manifest.rows_object, name)
        theirs = self._registry.manifest(manifest.window)
        engines = {ref.engine for ref in (*manifest.parts, *theirs.parts) if ref.engine}
        # where erasures have come since, the parts that we read may lack those rows already
        same = theirs.calibration == manifest.calibration and (
            theirs.rows_digest == manifest.rows_digest or bool(theirs.successor)
        )
        if not same and len(engines) < 2:
            raise Fatal(
                f"two processes made different shards of window {manifest.window}",
                code=EXIT_BUG,
                hint="same parts, same engine, other result: please report this as a bug",
            )
        return theirs

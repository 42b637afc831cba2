"""Making the next shard from what the store holds: any replica may, the first one wins (law 5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from daemon import tables
from daemon.decode.decoder import AnswerDecoder
from daemon.lanes import ledger
from daemon.lanes import part as parts
from daemon.lanes.ledger import Arrays
from daemon.lanes.part import Part
from daemon.lanes.pin import FIRST, Pin
from daemon.learning.rules import Rules
from daemon.ports import EXIT_BUG, Fatal, LaneId
from daemon.registry import effacing, versions
from daemon.registry.registry import Registry
from daemon.registry.versions import AuditRows
from daemon.running.engines import Engines
from daemon.running.pinning import Pinning
from daemon.shards import answers, assemble, late, shard
from daemon.shards import erasures as erasing
from daemon.shards.answers import Said
from daemon.shards.assemble import Inputs
from daemon.shards.late import Late
from daemon.shards.shard import Shard, ShardManifest

AUDITED = 8  # shards whose audit rows are remembered for answers


class InputsReader:
    """Reads what a shard is a function of, by object names: for making it and for verifying it."""

    def __init__(self, registry: Registry, engines: Engines) -> None:
        self._registry, self._engines = registry, engines
        self._audited: dict[int, AuditRows] = {}

    def read(
        self,
        pin: Pin,
        rules: Rules,
        *,
        parts: Sequence[str],
        labels: Sequence[str],
        last: int,
        erasures: Sequence[str] = (),
    ) -> Inputs:
        """`last` is the window of the shard before (or FIRST): audit answers fold after it.

        `labels`: of labels and of erasures; `erasures`: those that came later, if any.
        """
        late_parts = [(name, self._registry.part(name)) for name in labels]
        later = [self._registry.part(name) for name in erasures]
        asked = [part for _, part in late_parts if part.manifest.kind == "erasures"]
        decoder = AnswerDecoder(rules.policy.answer, rules.policy.limits)
        said = answers.read(
            [part for _, part in late_parts],
            decoder,
            rules.key,
            audits_after=last,
            until=rules.window,
        )
        own = [(name, self._registry.part(name)) for name in parts]
        return Inputs(
            pin=pin,
            rules=rules,
            grading=self._engines.of(rules.edition).grading,
            parts=own,
            labels=late_parts,
            said=said,
            late=late.match(said.labels, self._ledgers(own, rules.window))
            if said.labels
            else Late.none(),
            # of shards before this one: a later one is not there yet, but will be for `verify`
            audited={
                w: self._audit_rows(w).labels(names, rules.key)
                for w, names in _asked_of(said).items()
                if w < rules.window
            },
            before=(before := self._registry.calibration(last)),
            known=self._engines.known(rules.window, rules.edition, before),
            erasures=erasing.read([*asked, *later]),
        )

    def _ledgers(self, placed: Sequence[tuple[str, Part]], window: int) -> Iterator[Arrays]:
        """Of the window's parts, one at a time: they may be large."""
        for _, part in placed:
            if part.manifest.ledger and part.manifest.window == window:
                data = self._registry.store.get(part.manifest.ledger)
                yield ledger.read(data, late.LEDGER_COLUMNS)

    def _audit_rows(self, window: int) -> AuditRows:
        """Of an earlier shard; read once. None are remembered of one that is not there yet."""
        if window not in self._audited:
            found = versions.audit_rows(self._registry, window)
            if not found.shown and not found.gone:
                return found
            self._audited[window] = found
            while len(self._audited) > AUDITED:
                del self._audited[next(iter(self._audited))]
        return self._audited[window]


def _asked_of(said: Said) -> dict[int, list[str]]:
    """window -> ids that audit answers name, of shards in order."""
    asked: dict[int, list[str]] = {}
    for window, name in sorted(said.audits):
        asked.setdefault(window, []).append(name)
    return asked


class Settler:
    """Looks at the oldest pinned window without a shard, and makes it if its parts are there."""

    def __init__(self, registry: Registry, pinning: Pinning, engines: Engines) -> None:
        self._registry, self._pinning = registry, pinning
        self.reader = InputsReader(registry, engines)

    def settle(self) -> ShardManifest | None:
        """Make one shard durable; None where nothing can be made now."""
        progress = self._registry.progress
        assert progress is not None
        window = progress.next_shard()
        inputs = None if window is None else self.inputs(window)
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

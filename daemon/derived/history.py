"""Reading back what decided a window long ago: pins, rules and inputs, from the registry alone."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import msgspec

from daemon.lanes import pin as pins
from daemon.lanes.pin import FIRST, Pin
from daemon.learning.emitted import Known
from daemon.learning.rules import Rules
from daemon.ports import EXIT_STATE, Fatal, Missing
from daemon.registry.registry import Registry
from daemon.running.engines import Engines
from daemon.running.inputs import InputsReader
from daemon.shards import rivals, shard
from daemon.shards.assemble import Inputs
from daemon.shards.shard import ShardManifest


class History:
    """Windows that are settled."""

    def __init__(self, registry: Registry, engines: Engines) -> None:
        registry.read_editions()
        self.registry, self.engines = registry, engines
        self.reader = InputsReader(registry, engines)

    def windows(self) -> list[int]:
        """Of all shards, ascending."""
        return list(shard.windows(self.registry.store.list(shard.PREFIX)))

    def pin(self, window: int) -> Pin:
        """Raises Fatal where the window was never pinned."""
        try:
            return msgspec.json.decode(self.registry.store.get(pins.name(window)), type=Pin)
        except Missing:
            raise Fatal(
                f"window {window} has no pin in this store",
                code=EXIT_STATE,
                hint="`sluice registry` lists the windows that it knows",
            ) from None

    def rules(self, window: int) -> tuple[Pin, Rules]:
        """What decided a window."""
        pin = self.pin(window)
        edition = self.registry.editions[pin.edition]
        calibration = self.registry.calibration(pin.calibration)
        return pin, self.engines.rules(window, edition, calibration)

    def known(self, rules: Rules) -> Known:
        """What the shards before a window had emitted, as its assembler knew it."""
        before = [w for w in self.windows() if w < rules.window]
        learnt = self.registry.calibration(before[-1] if before else FIRST)
        return self.engines.known(rules.window, rules.edition, learnt)

    def texts(self, manifest: ShardManifest) -> set[int]:
        """High words of the keys of a shard's candidates that labels could contradict."""
        parts = [self.registry.part(ref.object) for ref in manifest.parts]
        late = bool(manifest.labelled.late + manifest.labelled.outside_pool)
        return rivals.texts(parts, self.rules(manifest.window)[1], late=late)

    def inputs(self, manifest: ShardManifest, texts: AbstractSet[int] = frozenset()) -> Inputs:
        """Everything that a shard was a function of. `texts`: of others, whose rivals are found
        among this one's records."""
        pin, rules = self.rules(manifest.window)
        before = [w for w in self.windows() if w < manifest.window]
        return self.reader.read(
            pin,
            rules,
            parts=[ref.object for ref in manifest.parts],
            labels=[ref.object for ref in manifest.labels],
            last=before[-1] if before else FIRST,
            erasures=manifest.revision.erasures,
            texts=texts,
        )

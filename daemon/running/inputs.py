"""What a shard is a function of, read from the store by the names of objects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet

from daemon.decode.decoder import AnswerDecoder
from daemon.lanes import ledger
from daemon.lanes.ledger import Arrays
from daemon.lanes.part import Part
from daemon.lanes.pin import Pin
from daemon.learning.rules import Rules
from daemon.registry import versions
from daemon.registry.registry import Registry
from daemon.registry.versions import AuditRows
from daemon.running import cascading
from daemon.running.engines import Engines
from daemon.shards import answers, late, rivals
from daemon.shards import erasures as erasing
from daemon.shards.answers import Said
from daemon.shards.assemble import Inputs

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
        texts: AbstractSet[int] = frozenset(),
    ) -> Inputs:
        """`last` is the window of the shard before (or FIRST): audit answers fold after it.

        `labels`: of labels and of erasures; `erasures`: those that came later, if any. `texts`:
        high words of keys of other windows' candidates.
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
        if not rules.cold:  # else labels are no keys of their own
            texts = texts | rivals.texts([part for _, part in own], rules, late=bool(said.labels))
        return Inputs(
            pin=pin,
            rules=rules,
            grading=self._engines.of(rules.edition).grading,
            parts=own,
            labels=late_parts,
            said=said,
            late=late.match(said.labels, self._ledgers(own, rules, late.LEDGER_COLUMNS)),
            rivals=rivals.match(texts, self._ledgers(own, rules, rivals.LEDGER_COLUMNS)),
            # of shards before this one: a later one is not there yet, but will be for `verify`
            audited={
                w: self._audit_rows(w).labels(names, rules.key)
                for w, names in _asked_of(said).items()
                if w < rules.window
            },
            before=(before := self._registry.calibration(last)),
            known=self._engines.known(rules.window, rules.edition, before),
            erasures=erasing.read([*asked, *later]),
            held=cascading.held(self._registry.store, rules.window) if rules.second else None,
        )

    def _ledgers(
        self, placed: Sequence[tuple[str, Part]], rules: Rules, names: Sequence[str]
    ) -> Iterator[Arrays]:
        """Columns of the ledgers of a window, by lane, one at a time: they may be large."""
        for _, part in sorted(placed, key=lambda one: one[1].manifest.lane):
            if part.manifest.ledger and part.manifest.window == rules.window:
                yield ledger.read(self._registry.store.get(part.manifest.ledger), names)

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
